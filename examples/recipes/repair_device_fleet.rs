//! Devices that are restarted when they hang: three times at most, also over restarts of the program that restarts them.
//!
//! Run with `cargo run --example repair_device_fleet`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;

use once_per_key_repair::{Ledger, RepairGate, Turn};
use rusqlite::Connection;

const ATTEMPTS_MAX: u32 = 3;
const TABLE: &str = "CREATE TABLE IF NOT EXISTS attempts (device TEXT PRIMARY KEY, made INTEGER)";

struct Attempts(Connection);

impl Ledger<String> for Attempts {
    type Error = rusqlite::Error;

    fn record(&self, device: &String) -> rusqlite::Result<u32> {
        let count = "INSERT INTO attempts VALUES (?1, 1) \
                     ON CONFLICT (device) DO UPDATE SET made = made + 1 RETURNING made";
        self.0.query_row(count, [device], |row| row.get(0))
    }
}

/// A later attempt goes further; only pump-1 is impressed by that.
fn restart(device: &str, attempt: u32) -> Result<&'static str, &'static str> {
    match (attempt, device) {
        (1, _) => Err("asked to reboot, no answer"),
        (_, "pump-1") => Ok("power cut, answers again"),
        _ => Err("power cut, no answer"),
    }
}

fn heal(gate: &RepairGate<String>, attempts: &Attempts, device: &str) -> rusqlite::Result<String> {
    let Turn::Yours(permit) = gate.enter(device) else {
        return Ok("left alone until the next start".into());
    };
    // A ledger that cannot be written ends this with its error, and the turn is given back.
    let Some(permit) = permit.record(attempts, ATTEMPTS_MAX)? else {
        return Ok(format!("{ATTEMPTS_MAX} attempts were made: send somebody"));
    };
    let attempt = permit.attempt();
    let told = permit.run(|token| restart(token.key(), token.attempt()));
    Ok(format!(
        "attempt {attempt}: {}",
        told.unwrap_or_else(|why| why)
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let mut hangs = vec!["pump-1", "pump-2"];
    for start in 1..=5 {
        // Each start of the program has a new gate; the ledger is what lasts.
        let gate = RepairGate::new();
        #[expect(clippy::disallowed_methods, reason = "a missing ledger is made")]
        let attempts = Attempts(Connection::open(dir.path().join("attempts.db"))?);
        attempts.0.execute_batch(TABLE)?;
        let mut still = Vec::new();
        for device in hangs {
            let told = heal(&gate, &attempts, device)?;
            println!("start {start}, {device}: {told}");
            assert_eq!(told.ends_with("send somebody"), start > 3);
            if !told.ends_with("answers again") {
                assert!(
                    matches!(gate.enter(device), Turn::Spent(_)),
                    "once per start"
                );
                still.push(device);
            }
        }
        hangs = still;
    }
    assert_eq!(hangs, ["pump-2"]);
    Ok(())
}
