//! `cargo xtask scale`: what a tick costs with many boards, beside the peer and the limits, in one run.

use std::process::Command;

use crate::peer::Peer;
use crate::run::{Done, cargo, root, run, target};
use crate::tools;

/// The first question with few boards and few repetitions, as CI runs it: no number of it is judged.
pub(crate) fn brief() -> Done {
    run_one(&["--quick", "--only", "idle"])
}

/// All rows, or those that the options ask for; `--write` puts the tables and the plot into docs/.
pub(crate) fn run_one(options: &[&str]) -> Done {
    let is_write = |option: &&&str| **option == "--write";
    if options.iter().any(|option| is_write(&option)) && options.len() > 1 {
        return Err("`--write` wants all rows, properly: leave the other options out".to_owned());
    }
    tools::strace()?;
    let peer = Peer::ready()?;
    run(cargo("build --quiet --release -p scale -p kanban"))?;
    let programs = target().join("release");
    let mut scale = Command::new(programs.join("scale"));
    scale.arg("--kanban").arg(programs.join("kanban"));
    scale.arg("--python").arg(&peer.python);
    scale.arg("--dir").arg(target().join("scale"));
    for option in options {
        scale.arg(option);
        if is_write(&option) {
            scale.arg(root().join("docs/benchmarks.md"));
            scale.arg(root().join("docs/tick-cost.svg"));
        }
    }
    run(scale)
}
