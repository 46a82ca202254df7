//! `cargo xtask torture`: builds the programs that try to break the dispatcher, and runs them.

use std::path::PathBuf;
use std::process::Command;

use crate::peer::Peer;
use crate::run::{Done, cargo, root, run, target};

/// Short enough for every commit, and long enough for some hundred faults.
const BRIEF: &[&str] = &["--seed", "4", "--seconds", "30"];

/// The chaos and half a minute's soak, as CI runs them.
pub(crate) fn brief() -> Done {
    run_one(BRIEF)?;
    run_one(&["soak", "--seconds", "30"])
}

/// The chaos; a storm and its control; or the peer's stress beside our daemon and without it.
pub(crate) fn run_one(words: &[&str]) -> Done {
    build()?;
    match words {
        ["storm", options @ ..] => {
            run(storm(options))?;
            let mut control = torture("storm");
            control.arg("--control").args(options);
            run(control)
        }
        ["guard", options @ ..] => {
            let peer = Peer::ready()?;
            run(guard(&peer, options))?;
            let mut alone = torture("guard");
            alone.arg("--python").arg(&peer.python).args(options);
            run(alone)
        }
        ["soak", options @ ..] => {
            let mut soak = torture("soak");
            soak.arg("--kanban").arg(program("kanban")).args(options);
            run(soak)
        }
        [first, ..] if first.starts_with("--") => run(chaos(&Peer::ready()?, words)),
        _ => Err("say `torture --seed N --minutes M`, `torture storm [--kills N] [--seed S]`, `torture soak [--minutes M | --seconds S] [--seed S]` or `torture guard [--seconds N] [--processes N]`".to_owned()),
    }
}

fn build() -> Done {
    // As the tests build them: with other features all below them would be built anew.
    run(cargo(
        "build --quiet --workspace --all-features --bin kanban --bin torture",
    ))
}

fn storm(options: &[&str]) -> Command {
    let mut storm = torture("storm");
    storm.arg("--kanban").arg(program("kanban")).args(options);
    storm
}

fn guard(peer: &Peer, options: &[&str]) -> Command {
    let mut guard = torture("guard");
    guard.arg("--python").arg(&peer.python);
    guard.arg("--kanban").arg(program("kanban")).args(options);
    guard
}

/// `--write` puts the table into the page, with the peer's column beside ours.
fn chaos(peer: &Peer, options: &[&str]) -> Command {
    let mut chaos = torture("chaos");
    chaos.arg("--kanban").arg(program("kanban"));
    chaos.arg("--python").arg(&peer.python);
    for option in options {
        match *option {
            "--write" => {
                let page = root().join("docs/reliability.md");
                chaos.args(["--peer", "--write"]).arg(page)
            }
            other => chaos.arg(other),
        };
    }
    chaos
}

fn torture(what: &str) -> Command {
    let mut command = Command::new(program("torture"));
    command.arg(what);
    command
}

fn program(name: &str) -> PathBuf {
    target().join("debug").join(name)
}
