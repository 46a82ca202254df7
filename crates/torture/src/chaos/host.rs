//! The dispatcher under the nemesis: whichever it is, it is killed, frozen, told to stop, its clock is set and its settings change.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kanban_dispatcher::FileLock;
use rustix::process::{Pid, Signal, kill_process};

use super::diary::now;
use super::nemesis::fault;
use super::place::{BOARDS, INTERVAL, Place, RUNNING_MAX, settings};
use super::programs::peer;
use super::schedule::{Deed, Lane, Step, steps};
use crate::daemon::{Daemon, Deadline, bare, pause, this_program};
use crate::wall::WallClock;
use crate::{Result, ungated};

/// Which dispatcher is put under the nemesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatcher {
    /// `kanban run`.
    Kanban,
    /// The peer's `dispatch_once` on every board in turn, as its gateway calls it.
    Peer,
    /// Ours with its gate left out: the checker must find it out.
    Ungated,
}

pub(super) struct Host<'a> {
    pub(super) place: &'a Place,
    pub(super) dispatcher: Dispatcher,
    pub(super) kanban: PathBuf,
    pub(super) python: PathBuf,
    /// What a worker is started with.
    pub(super) worker: Vec<String>,
    pub(super) wall: WallClock,
    pub(super) deaths: Vec<String>,
}

// ===== impl Host =====

impl Host<'_> {
    pub(super) fn start(&self) -> Result<Daemon> {
        let mut command = match self.dispatcher {
            Dispatcher::Kanban => {
                let mut command = bare(&self.kanban);
                command.arg("--root").arg(self.place.root.dir()).arg("run");
                command
            }
            Dispatcher::Ungated => {
                let mut command = bare(&this_program());
                command.envs(ungated::variables(self.place.path(), &self.place.root)?);
                command
            }
            Dispatcher::Peer => self.peer()?,
        };
        self.wall.rule(&mut command);
        Daemon::start(command, &self.place.path().join("daemon.log"))
    }

    fn peer(&self) -> Result<Command> {
        let hermes = self.place.path().join("hermes");
        if !hermes.exists() {
            use std::os::unix::fs::PermissionsExt;
            let words: Vec<String> = self.worker.iter().map(|word| format!("'{word}'")).collect();
            std::fs::write(&hermes, format!("#!/bin/sh\nexec {}\n", words.join(" ")))?;
            std::fs::set_permissions(&hermes, std::fs::Permissions::from_mode(0o755))?;
        }
        let boards: Vec<String> = (0..BOARDS).map(|n| format!("board-{n}")).collect();
        let mut command = peer(&self.python, self.place);
        command
            .env("HERMES_BIN", hermes)
            .args(["-c", include_str!("peer_dispatcher.py")])
            .arg(boards.join(","))
            .args([INTERVAL.to_string(), RUNNING_MAX.to_string()]);
        Ok(command)
    }

    /// Strikes until it is over; the dispatcher that is left, in its right time and with its first settings.
    pub(super) fn strike(&mut self, seed: u64) -> Result<Daemon> {
        let mut daemon = self.start()?;
        for step in steps(seed, Lane::Host) {
            pause(step.gap);
            if self.place.is_over() {
                break;
            }
            if daemon.has_ended()? {
                self.deaths
                    .push("the dispatcher ended by itself".to_owned());
                daemon = self.start()?;
            }
            let from = now();
            daemon = self.blow(daemon, step)?;
            self.place.note(fault(step, None, from));
        }
        self.wall.set(0)?;
        self.place.set(&settings(&self.worker, 0))?;
        Ok(daemon)
    }

    fn blow(&mut self, daemon: Daemon, step: Step) -> Result<Daemon> {
        match step.deed {
            Deed::Kill => {
                daemon.kill()?;
                pause(step.time);
                return self.start();
            }
            Deed::Terminate => {
                // Only ours promises to end well.
                if self.dispatcher == Dispatcher::Kanban {
                    let status = daemon.stop()?;
                    let death =
                        format!("the dispatcher ended with {status} when it was told to end");
                    self.deaths.extend((!status.success()).then_some(death));
                } else {
                    daemon.kill()?;
                }
                return self.start();
            }
            Deed::RootLock => {
                daemon.kill()?;
                let lock = take(&self.place.root.dispatcher_lock());
                let next = self.start()?;
                pause(step.time);
                drop(lock);
                return Ok(next);
            }
            Deed::Freeze => {
                let pid = Pid::from_raw(i32::try_from(daemon.pid())?).ok_or("no pid")?;
                kill_process(pid, Signal::STOP)?;
                pause(step.time);
                kill_process(pid, Signal::CONT)?;
            }
            Deed::Settings => {
                let text = match step.chance % 4 {
                    0 => "workers_max = \"many\"\n".to_owned(),
                    n => settings(&self.worker, n),
                };
                self.place.set(&text)?;
                pause(step.time);
                self.place.set(&settings(&self.worker, 0))?;
            }
            _ => {
                let hours = i64::try_from(step.chance % 17)? - 8;
                self.wall.set(hours * 3600)?;
            }
        }
        Ok(daemon)
    }
}

fn take(path: &std::path::Path) -> Option<FileLock> {
    let deadline = Deadline::after(Duration::from_secs(1));
    while !deadline.is_over() {
        if let Ok(Some(lock)) = FileLock::try_acquire(path) {
            return Some(lock);
        }
        pause(Duration::from_millis(2));
    }
    None
}
