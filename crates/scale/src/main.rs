//! What a tick costs with many boards, beside the peer and beside the least that it can cost, all in one run: `cargo xtask scale`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the terminal"
)]

mod fleet;
mod machine;
mod meter;
mod page;
mod peer;
mod plot;
mod report;
mod roles;
mod rows;
mod settings;
mod syncs;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use kanban_dispatcher::Gate;

use crate::report::Section;
use crate::rows::{Plan, claim_syncs, claims, daemon, decision, idle, trouble};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const HELP: &str = "\
Usage: scale --kanban PROGRAM --dir DIR [--python PYTHON] [--quick] [--only ROW] [--write PAGE SVG]
  --dir DIR      where the boards are made: on the disk that is to be measured
  --python       the peer's interpreter
  --quick        few boards and few repetitions: shows that everything works
  --only ROW     idle, claims, drifted, locked, memory, latency or decision
  --write        puts the tables and the plot into these files";

fn main() -> ExitCode {
    let gate = Gate::enter();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words, gate) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String], gate: Gate) -> Result {
    if roles::play(words)? || claim_syncs::play(words)? {
        return Ok(());
    }
    let asked = Asked::parse(words, gate)?;
    trouble::count_the_log()?;
    let mut text = format!("{}\n", machine::facts(&asked.plan.place)?);
    let (sections, plot) = measure(&asked)?;
    for section in &sections {
        text.push('\n');
        text.push_str(&section.render());
    }
    println!("{text}");
    if let Some((page, svg)) = &asked.write {
        page::write(page, &text)?;
        std::fs::write(svg, plot.ok_or("there is nothing to plot")?)?;
    }
    Ok(())
}

type Row = (&'static str, fn(&Plan) -> Result<Section>);

/// Everything, or the one row that was asked for.
fn measure(asked: &Asked) -> Result<(Vec<Section>, Option<String>)> {
    let plan = &asked.plan;
    let is_asked = |row| asked.only.as_deref().is_none_or(|only| only == row);
    let (mut sections, mut plot) = (Vec::new(), None);
    if is_asked("idle") {
        let (idle, series) = idle::measure(plan)?;
        sections.extend(idle);
        plot = plot::svg(&series);
    }
    let rows: [Row; 6] = [
        ("claims", claims::measure),
        ("drifted", trouble::drifted),
        ("locked", trouble::locked),
        ("memory", daemon::memory),
        ("latency", daemon::latency),
        ("decision", |plan| Ok(decision::measure(plan))),
    ];
    for (row, measure) in rows {
        if is_asked(row) {
            sections.push(measure(plan)?);
        }
    }
    match sections.is_empty() {
        true => Err("there is no such row".into()),
        false => Ok((sections, plot)),
    }
}

struct Asked {
    plan: Plan,
    only: Option<String>,
    /// The page and the picture.
    write: Option<(PathBuf, PathBuf)>,
}

impl Asked {
    fn parse(words: &[String], gate: Gate) -> Result<Self> {
        let (mut kanban, mut place, mut python) = (None, None, None);
        let (mut quick, mut only, mut write) = (false, None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(HELP);
            match &**word {
                "--kanban" => kanban = Some(PathBuf::from(value()?).canonicalize()?),
                "--dir" => place = Some(PathBuf::from(value()?)),
                // Not resolved: an environment's interpreter is a link whose name matters.
                "--python" => python = Some(std::path::absolute(value()?)?),
                "--quick" => quick = true,
                "--only" => only = Some(value()?.clone()),
                "--write" => write = Some((value()?.into(), value()?.into())),
                _ => return Err(HELP.into()),
            }
        }
        let place = place.ok_or(HELP)?;
        std::fs::create_dir_all(&place)?;
        let plan = Plan {
            quick,
            place: place.canonicalize()?,
            kanban: kanban.ok_or(HELP)?,
            python,
            gate,
        };
        Ok(Self { plan, only, write })
    }
}
