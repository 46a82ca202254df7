//! A host looks at its plugins' settings all the time; a file that does not parse is not read again until somebody edits it.
//!
//! Run with `cargo run -p examples --example quarantine_plugin_files`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use fingerprint_quarantine::{Backoff, FileState, Hold, Quarantine, TickClock};

/// An edit releases; the timer is for causes that lie elsewhere, such as a permission on the directory.
const HOLD: Hold = Hold::until_changed()
    .or_retry(Backoff::new(Duration::from_secs(60), Duration::from_secs(3600)).with_jitter(20));

struct Host {
    clock: TickClock,
    broken: Quarantine<PathBuf, FileState, TickClock>,
    workers: BTreeMap<PathBuf, u32>,
    reads: u32,
}

impl Host {
    fn round(&mut self, dir: &Path) -> io::Result<()> {
        // The time once per round: asking about a broken file then costs a `stat` and little else.
        self.clock.tick();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let look = || FileState::of(&path);
            let Some(attempt) = self.broken.admit(path.as_path(), look).go() else {
                continue;
            };
            self.reads += 1;
            if let Some(workers) = read(&path) {
                attempt.ok();
                self.workers.insert(path, workers);
            } else {
                // The settings from before stay in use.
                attempt.failed(&HOLD, |before| look().aged_as(before));
            }
        }
        // What is gone must not leave its record to what gets its name.
        self.broken.retain(|path| path.exists());
        Ok(())
    }
}

fn read(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    text.strip_prefix("workers = ")?.trim().parse().ok()
}

fn main() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let (mail, search) = (dir.path().join("mail"), dir.path().join("search"));
    let clock = TickClock::new();
    let mut host = Host {
        broken: Quarantine::with_clock(clock.clone()),
        clock,
        workers: BTreeMap::new(),
        reads: 0,
    };
    fs::write(mail, "workers = 4")?;
    fs::write(&search, "workers = four")?;
    (0..20).try_for_each(|_| host.round(dir.path()))?;
    let held = host.broken.held();
    println!("20 rounds, {} reads: {:?}", host.reads, host.workers);
    println!("{}: {}", held[0].0.display(), held[0].1);
    assert_eq!((held.len(), &held[0].0), (1, &search));
    // 20 of the good one, two of the other, and one more if its first stamp was so young that a write could have hidden in it.
    assert!((22..=23).contains(&host.reads));

    fs::write(&search, "workers = 2")?;
    host.round(dir.path())?;
    println!("after the edit: {:?}", host.workers);
    assert!(host.workers[&search] == 2 && host.broken.is_empty());
    Ok(())
}
