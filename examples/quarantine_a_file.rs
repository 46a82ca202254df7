//! A loop reads a settings file that is broken; it leaves the file alone until somebody mends it.
//!
//! Run with `cargo run -p examples --example quarantine_a_file`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use fingerprint_quarantine::{Admission, Backoff, FakeClock, FileState, Hold, Quarantine};

type Files = Quarantine<String, FileState, FakeClock>;

/// Until the file changes, or for 10 s, 20 s, 40 s and so on up to a minute.
const HOLD: Hold = Hold::until_changed().or_retry(Backoff::new(
    Duration::from_secs(10),
    Duration::from_secs(60),
));

/// One visit; says what came of it.
fn visit(files: &Files, path: &Path) -> String {
    let look = || FileState::of(path);
    let attempt = match files.admit("settings", look) {
        Admission::Go(attempt) => attempt,
        Admission::Held(held) => return format!("left alone: {held}"),
        Admission::Probing => return "another thread is at it".to_owned(),
    };
    let why = attempt.why();
    match fs::read_to_string(path).map(|text| text.trim().parse::<u16>()) {
        Ok(Ok(port)) => match attempt.ok() {
            Some(incident) => format!("port {port}, after {} failures ({why})", incident.attempts),
            None => format!("port {port}"),
        },
        _ => {
            let held = attempt.failed(&HOLD, |before| look().aged_as(before));
            format!("failed ({why}): {held}")
        }
    }
}

fn main() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("settings");
    let clock = FakeClock::default();
    let files = Files::with_clock(clock.clone());

    fs::write(&path, "eighty")?;
    let mut told = Vec::new();
    for second in (0..35).step_by(5) {
        if second == 25 {
            fs::write(&path, "8080")?;
        }
        told.push(visit(&files, &path));
        println!("{second:2} s  {}", told[told.len() - 1]);
        clock.advance(Duration::from_secs(5));
    }
    assert!(told.iter().any(|line| line.starts_with("left alone")));
    assert!(told.iter().any(|line| line.ends_with("(changed)")));
    assert_eq!(told.last().map(String::as_str), Some("port 8080"));
    Ok(())
}
