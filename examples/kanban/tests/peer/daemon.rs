//! Our daemon as a process.

use std::fs::OpenOptions;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::house::{House, Result};

/// `kanban run`, killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(super) fn start(house: &House) -> Result<Self> {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(house.log_path())?;
        let child = house
            .command(env!("CARGO_BIN_EXE_kanban"))
            .arg("--root")
            .arg(house.root())
            .arg("run")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        Ok(self.child.wait()?)
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Harmless where it has ended; nothing is to be done about a failure in a test that is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
