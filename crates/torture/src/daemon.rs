//! The dispatcher as a process that is killed at the worst moment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// Far above what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
}

// ===== impl Daemon =====

impl Daemon {
    /// Starts it; what it says goes to a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = fs::OpenOptions::new().append(true).create(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(Self {
            child: command.spawn()?,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Whether it has a child process: a worker, or one that waits at its gate.
    pub(crate) fn has_children(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()));
        // Each thread has the children that it started.
        tasks.into_iter().flatten().flatten().any(|task| {
            fs::read_to_string(task.path().join("children")).is_ok_and(|pids| !pids.is_empty())
        })
    }

    /// Whether it has this file open.
    pub(crate) fn has_open(&self, file: &Path) -> bool {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file))
    }

    /// Whether it holds this lock file, as the kernel has it.
    pub(crate) fn holds(&self, lock: &Path) -> Result<bool> {
        let (holder, file) = (
            format!(" {} ", self.pid()),
            format!(":{} ", fs::metadata(lock)?.ino()),
        );
        let locks = fs::read_to_string("/proc/locks")?;
        let mut held = locks.lines().filter(|line| line.contains("FLOCK"));
        Ok(held.any(|line| line.contains(&holder) && line.contains(&file)))
    }

    /// Kills it, as a machine out of memory does.
    pub(crate) fn kill(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Deadline::after(PATIENCE);
        while !deadline.is_over() {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            pause(Duration::from_millis(10));
        }
        Err("the dispatcher did not end on SIGTERM".into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Harmless where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `kanban --root ROOT run` with nothing of the caller's environment that it would read.
pub(crate) fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HERMES_") || text.starts_with("KANBAN_") {
            command.env_remove(name);
        }
    }
    command
}

/// An instant of the machine's clock: other processes have none that could be injected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    begun: Instant,
    limit: Duration,
}

#[expect(
    clippy::disallowed_methods,
    reason = "other processes have no clock to inject"
)]
impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self {
            begun: Instant::now(),
            limit,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.elapsed() >= self.limit
    }
}

pub(crate) fn pause(time: Duration) {
    std::thread::park_timeout(time);
}

/// This program's file, also when a build has replaced it since.
pub(crate) fn this_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}
