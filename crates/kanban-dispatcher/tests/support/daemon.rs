//! A dispatcher that runs, by a clock that stands still unless a test moves it.

use std::thread::JoinHandle;
use std::time::Duration;

use kanban_dispatcher::{Builder, Config, Status, Wake};

use super::{Fleet, Result, task, until};

/// As far apart as two turns of one board between two passes are.
pub const APART: Duration = Duration::from_millis(50);

/// A dispatcher that runs on a thread of its own.
pub struct Daemon<'f> {
    fleet: &'f Fleet,
    pub wake: Wake,
    thread: Option<JoinHandle<()>>,
}

impl<'f> Daemon<'f> {
    /// After its second pass: from then on boards are watched.
    pub fn start(fleet: &'f Fleet, change: impl FnOnce(&mut Config)) -> Result<Self> {
        Self::run(fleet, fleet.builder(change))
    }

    pub fn run(fleet: &'f Fleet, builder: Builder) -> Result<Self> {
        let wake = Wake::new();
        let its = wake.clone();
        let mut dispatcher = builder.build();
        let thread = std::thread::spawn(move || dispatcher.run(&its));
        let daemon = Self {
            fleet,
            wake,
            thread: Some(thread),
        };
        daemon.has_passed(1)?;
        daemon.pass()?;
        daemon.move_on(APART);
        Ok(daemon)
    }

    pub fn move_on(&self, by: Duration) {
        self.fleet.clock.advance(by);
        self.wake.news();
    }

    pub fn ticks(&self) -> Result<u64> {
        let status = Status::read(&self.fleet.root, &self.fleet.clock)?;
        Ok(status.dispatcher.ticks.unwrap_or_default())
    }

    fn has_passed(&self, ticks: u64) -> Result {
        // A ledger that is just being made has no line yet.
        let is_past = |now| now >= ticks;
        until("it has passed over all boards", || {
            Ok(self.ticks().is_ok_and(is_past))
        })
    }

    pub fn pass(&self) -> Result {
        let ticks = self.ticks()?;
        self.move_on(Duration::from_secs(60));
        self.has_passed(ticks + 1)
    }

    /// Another program adds a task.
    pub fn add(&self, board: &str) -> Result<String> {
        Ok(self.fleet.store(board)?.create(&task(0))?)
    }

    pub fn is_running(&self, board: &str, id: &str) -> Result<bool> {
        Ok(self.fleet.show(board, id)?.task.status == "running")
    }

    pub fn starts(&self, board: &str, id: &str) -> Result {
        until(&format!("{id} is started on {board}"), || {
            Ok(self.fleet.status(board)?.running > 0 && self.is_running(board, id)?)
        })
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.wake.stop();
        let thread = self.thread.take();
        if thread.is_some_and(|thread| thread.join().is_err()) && !std::thread::panicking() {
            panic!("the dispatcher panicked");
        }
    }
}
