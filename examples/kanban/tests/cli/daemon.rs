//! The daemon as a process.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};

use super::house::{House, Result};

/// A `kanban` that goes on until it is told to stop; killed when dropped. What it says goes to one file.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// `kanban ARGS`.
    pub(super) fn start(house: &House, args: &[&str]) -> Result<Self> {
        Self::start_with(house, &[], args)
    }

    /// The same with variables set.
    pub(super) fn start_with(house: &House, vars: &[(&str, &str)], args: &[&str]) -> Result<Self> {
        Self::spawn(house, house.command(args).envs(vars.iter().copied()))
    }

    /// This command as it stands.
    pub(crate) fn spawn(house: &House, command: &mut Command) -> Result<Self> {
        let named = tempfile::Builder::new()
            .prefix("said.")
            .append(true)
            .tempfile_in(house.beside(""))?;
        let (file, log) = named.keep()?;
        let child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its children that have ended and were not waited for.
    pub(crate) fn zombies(&self) -> Result<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        // Each thread has the children that it started.
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()))?.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let pids = children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok());
            found.extend(pids.filter(|pid| is_zombie(*pid)));
        }
        Ok(found)
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said `words`.
    pub(crate) fn says(&self, house: &House, words: &str) -> Result {
        house.until(words, || match self.log() {
            log if log.contains(words) => Ok(()),
            log => Err(log.into()),
        })
    }

    /// Waits until it serves and every board is well.
    pub(crate) fn serves(&self, house: &House) -> Result {
        house.until("a healthy dispatcher", || {
            let said = house.say(&["status", "--json"])?;
            let status = said.json()?;
            match status["dispatcher"]["pid"] == self.child.id() && said.code == Some(0) {
                true => Ok(()),
                false => Err(status.to_string().into()),
            }
        })
    }

    /// Waits until it holds the default board's tick lock. To ask by trying to take the lock would disturb the tick.
    pub(crate) fn ticks(&self, house: &House) -> Result {
        let holder = format!(" {} ", self.child.id());
        house.until("a tick under way", || {
            let inode = fs::metadata(house.root().join("kanban.db.dispatch.lock"))?.ino();
            let file = format!(":{inode} ");
            let locks = fs::read_to_string("/proc/locks")?;
            let mut held = locks.lines().filter(|line| line.contains("FLOCK"));
            match held.any(|line| line.contains(&holder) && line.contains(&file)) {
                true => Ok(()),
                false => Err(locks.into()),
            }
        })
    }

    /// Waits for so many more passes over all boards.
    pub(crate) fn passes(&self, house: &House, more: u64) -> Result {
        let passes = || -> Result<u64> {
            let status = house.say(&["status", "--json"])?.json()?;
            Ok(status["dispatcher"]["ticks"].as_u64().unwrap_or_default())
        };
        let first = passes()?;
        house.until("more passes", || match passes()? {
            now if now >= first + more => Ok(()),
            now => Err(format!("{first}, {now}").into()),
        })
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(&mut self, house: &House, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        let log = self.log.clone();
        house.until("the daemon's end", || {
            let status = self.child.try_wait()?;
            status.ok_or_else(|| fs::read_to_string(&log).unwrap_or_default().into())
        })
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.starts_with(" Z"))
    })
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Harmless where it has ended; nothing is to be done about a failure in a test that is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
