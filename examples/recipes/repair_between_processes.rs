//! Two processes find the same file damaged at the same moment: one repairs it, the other sees that it is whole again.
//!
//! Run with `cargo run --example repair_between_processes`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, io, thread};

use once_per_key_repair::{LockErrorKind, RepairGate, Turn};

const WHOLE: &str = "all of the catalog";

fn is_broken(dir: &Path) -> bool {
    fs::read_to_string(dir.join("catalog")).map_or(true, |content| content != WHOLE)
}

fn repair(dir: &Path) -> io::Result<()> {
    fs::write(dir.join(format!("repaired-by-{}", std::process::id())), "")?;
    fs::write(dir.join("catalog"), WHOLE)
}

/// What each process does when it finds the catalog damaged.
fn heal(gate: &RepairGate<String>, dir: &Path) -> Result<&'static str, Box<dyn Error>> {
    let Turn::Yours(permit) = gate.enter("catalog") else {
        return Ok("this process has had its turn");
    };
    // Beside the catalog, never the catalog itself, and never deleted.
    let lock = dir.join("catalog.repair-lock");
    match permit.lock(lock, |_key| is_broken(dir)) {
        Ok(Some(permit)) => {
            permit.run(|_token| repair(dir))?;
            Ok("repaired it")
        }
        Ok(None) => Ok("found it whole again"),
        // The turn has been given back: come again at the next round.
        Err(error) if error.kind() == LockErrorKind::Busy => Ok("found it being repaired"),
        Err(error) => Err(error.into()),
    }
}

fn worker(dir: &Path) -> Result<(), Box<dyn Error>> {
    let gate = RepairGate::new();
    loop {
        let told = heal(&gate, dir)?;
        println!("{told}");
        if !is_broken(dir) {
            return Ok(());
        }
        thread::park_timeout(Duration::from_millis(1));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(dir) = env::args_os().nth(1) {
        return worker(Path::new(&dir));
    }
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("catalog"), "half of the cat")?;
    let start = |_| {
        let mut program = Command::new(env::current_exe()?);
        program.arg(dir.path()).stdout(Stdio::piped()).spawn()
    };
    let both: Vec<_> = (0..2).map(start).collect::<io::Result<_>>()?;
    let mut repairs = 0;
    for process in both {
        let (id, output) = (process.id(), process.wait_with_output()?);
        assert!(output.status.success());
        let told = String::from_utf8(output.stdout)?;
        print!("process {id}:\n{told}");
        repairs += told.matches("repaired it").count();
    }
    assert_eq!(repairs, 1);
    assert!(!is_broken(dir.path()));
    Ok(())
}
