//! `torture`: see `cargo xtask torture`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use std::time::Duration;

use torture::Result;
use torture::chaos::{self, Chaos, Dispatcher};
use torture::guard::Guard;
use torture::soak::Soak;
use torture::storm::{Findings, Storm};

const HELP: &str = "\
Usage: torture storm --kanban PROGRAM [--kills N] [--seed S]   the gate: SIGKILL between claim and first step
       torture storm --control [--kills N] [--seed S]          the same without the gate: succeeds if it goes wrong
       torture guard --python PYTHON [--kanban PROGRAM] [--seconds N] [--processes N]
                      the peer's processes on one board, beside our daemon or alone; alone, what comes of it is only told
       torture soak --kanban PROGRAM [--minutes M | --seconds S] [--seed S]
                      thirty boards and a fault a second; what it uses returns to where it was
       torture chaos --kanban PROGRAM --python PYTHON [--seed S] [--minutes M | --seconds S] [--peer] [--ungated] [--write PAGE]
                      everything at once, and a checker; then the same with the peer's dispatcher, or with ours without its gate";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Before any role: workers inherit their dispatcher's.
    if let [chaos::WORKER, dir, seed, ..] = &*words.iter().map(String::as_str).collect::<Vec<_>>() {
        let seed = seed.parse().map_err(Into::into);
        let done = seed.and_then(|seed| chaos::work(dir.as_ref(), seed));
        return done.unwrap_or_else(|error| fail(&*error));
    }
    match torture::play() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return fail(&*error),
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["storm", options @ ..] => storm(options),
        ["guard", options @ ..] => guard(options),
        ["soak", options @ ..] => soak(options),
        ["chaos", options @ ..] => chaos_of(options),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    done.map_or_else(|error| fail(&*error), |()| ExitCode::SUCCESS)
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("torture: {error}");
    ExitCode::FAILURE
}

fn storm(options: &[&str]) -> Result {
    let mut storm = Storm {
        kanban: None,
        kills: 100,
        seed: 1,
        player: Vec::new(),
    };
    let (mut is_control, mut options) = (false, options.iter());
    while let Some(option) = options.next() {
        let mut value = || {
            options
                .next()
                .ok_or_else(|| format!("{option}: a value is missing"))
        };
        match *option {
            "--control" => is_control = true,
            "--kanban" => storm.kanban = Some(PathBuf::from(value()?)),
            "--kills" => storm.kills = value()?.parse()?,
            "--seed" => storm.seed = value()?.parse()?,
            other => return Err(format!("{other}: no such option").into()),
        }
    }
    if is_control == storm.kanban.is_some() {
        return Err("say either --kanban PROGRAM or --control".into());
    }
    let findings = storm.run()?;
    print(&storm, &findings);
    match (is_control, findings.is_clean()) {
        (false, false) => Err("the storm found what must not be".into()),
        (true, _) if findings.ghosts == 0 || findings.doubles == 0 => {
            Err("the control went well: the storm proves nothing".into())
        }
        _ => Ok(()),
    }
}

fn soak(options: &[&str]) -> Result {
    let mut soak = Soak {
        kanban: PathBuf::from("kanban"),
        time: Duration::from_secs(60),
        seed: 1,
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options
            .next()
            .ok_or_else(|| format!("{option}: a value is missing"))?;
        match *option {
            "--kanban" => soak.kanban = PathBuf::from(value).canonicalize()?,
            "--minutes" => soak.time = Duration::try_from_secs_f64(value.parse::<f64>()? * 60.0)?,
            "--seconds" => soak.time = Duration::from_secs(value.parse()?),
            "--seed" => soak.seed = value.parse()?,
            other => return Err(format!("{other}: no such option").into()),
        }
    }
    let soaked = soak.run()?;
    println!("{soaked}");
    match soaked.wrong.as_slice() {
        // Where nothing happens nothing goes wrong either.
        [] if soaked.faults * 2 < soak.time.as_secs() => Err("hardly a fault has struck".into()),
        [] => Ok(()),
        wrong => Err(wrong.join("; ").into()),
    }
}

fn guard(options: &[&str]) -> Result {
    let mut guard = Guard {
        python: PathBuf::from("python3"),
        kanban: None,
        processes: 4,
        time: Duration::from_secs(20),
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options
            .next()
            .ok_or_else(|| format!("{option}: a value is missing"))?;
        match *option {
            "--python" => guard.python = PathBuf::from(value),
            "--kanban" => guard.kanban = Some(PathBuf::from(value)),
            "--seconds" => guard.time = Duration::from_secs(value.parse()?),
            "--processes" => guard.processes = value.parse()?,
            other => return Err(format!("{other}: no such option").into()),
        }
    }
    let stressed = guard.run()?;
    let daemon = if guard.kanban.is_some() {
        "runs"
    } else {
        "none"
    };
    println!(
        "| daemon | processes | seconds | acknowledged | missing | unreadable | errors seen | integrity |"
    );
    println!(
        "| {daemon} | {} | {} | {} | {} | {} | {} | {} |",
        guard.processes,
        guard.time.as_secs(),
        stressed.acknowledged,
        stressed.missing,
        stressed.unreadable,
        stressed.errors,
        stressed.integrity.lines().last().unwrap_or_default(),
    );
    if guard.kanban.is_some() && !stressed.is_sound() {
        return Err("acknowledged writes are missing, or the board is damaged".into());
    }
    Ok(())
}

fn chaos_of(options: &[&str]) -> Result {
    let Asked { ours, others, page } = asked(options)?;
    let mut columns = vec![("`kanban run`", ours.run()?)];
    told(&ours, &columns[0].1);
    for (name, dispatcher) in others {
        let other = Chaos {
            dispatcher,
            ..ours.clone()
        };
        let findings = other.run()?;
        told(&other, &findings);
        if dispatcher == Dispatcher::Ungated && findings.wrong() == 0 {
            return Err("nothing was found without the gate: the chaos proves nothing".into());
        }
        columns.push((name, findings));
    }
    let minutes = ours.time.as_secs_f64() / 60.0;
    let shown: Vec<_> = columns.iter().map(|(name, found)| (*name, found)).collect();
    let table = chaos::render(ours.seed, minutes, &shown);
    println!("\n{table}");
    if let Some(page) = page {
        let text = std::fs::read_to_string(&page)?;
        std::fs::write(&page, chaos::page(&text, &table)?)?;
    }
    match &columns[0].1 {
        found if found.wrong() > 0 => {
            Err(format!("{} findings; the seed is {}", found.wrong(), ours.seed).into())
        }
        // Where nothing happens nothing goes wrong either.
        found if found.starts < 20 => Err("hardly a worker was started".into()),
        _ => Ok(()),
    }
}

struct Asked {
    ours: Chaos,
    others: Vec<(&'static str, Dispatcher)>,
    page: Option<PathBuf>,
}

fn asked(options: &[&str]) -> Result<Asked> {
    let mut ours = Chaos {
        seed: 1,
        time: Duration::from_secs(60),
        dispatcher: Dispatcher::Kanban,
        kanban: PathBuf::from("kanban"),
        python: PathBuf::from("python3"),
    };
    let (mut others, mut page, mut options) = (Vec::new(), None, options.iter());
    while let Some(option) = options.next() {
        let mut value = || {
            options
                .next()
                .ok_or_else(|| format!("{option}: a value is missing"))
        };
        match *option {
            "--peer" => others.push(("the peer's `dispatch_once`", Dispatcher::Peer)),
            "--ungated" => others.push(("ours without its gate", Dispatcher::Ungated)),
            "--kanban" => ours.kanban = PathBuf::from(value()?).canonicalize()?,
            "--python" => ours.python = PathBuf::from(value()?),
            "--seed" => ours.seed = value()?.parse()?,
            "--minutes" => {
                ours.time = Duration::try_from_secs_f64(value()?.parse::<f64>()? * 60.0)?
            }
            "--seconds" => ours.time = Duration::from_secs(value()?.parse()?),
            "--write" => page = Some(PathBuf::from(value()?)),
            other => return Err(format!("{other}: no such option").into()),
        }
    }
    Ok(Asked { ours, others, page })
}

fn told(chaos: &Chaos, findings: &chaos::Findings) {
    println!(
        "{:?}: {} faults, {} workers, {} findings",
        chaos.dispatcher,
        findings.struck(),
        findings.starts,
        findings.wrong()
    );
    let (first, last) = findings.notes.split_at(findings.notes.len().min(60));
    for note in first.iter().chain(last.last()) {
        println!("  {note}");
    }
}

fn print(storm: &Storm, findings: &Findings) {
    for note in findings.notes.iter().take(40) {
        println!("  {note}");
    }
    let gate = if storm.kanban.is_some() { "on" } else { "off" };
    println!(
        "| gate | seed | kills | attempts | died before record | before release | workers | ghosts | doubles | cut off | \
         stuck | lost | charged | damaged | recovery p50/p99/max ms |"
    );
    println!(
        "| {gate} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {}/{}/{} |",
        storm.seed,
        findings.kills,
        findings.attempts,
        findings.died_before_record,
        findings.died_before_release,
        findings.workers,
        findings.ghosts,
        findings.doubles,
        findings.cut_off,
        findings.stuck,
        findings.lost,
        findings.charged,
        findings.damaged,
        findings.recovery(50),
        findings.recovery(99),
        findings.recovery(100),
    );
}
