//! Leadership: asked anew before each tick.

use error_classify::Class;

use super::Dispatcher;
use crate::error::{Error, ErrorKind};
use crate::ledger::is_broken;
use crate::lock::FileLock;
use crate::report::{StandbyReason, TickReport};
use crate::root::Root;

/// What follows from a ledger that is there and cannot be used.
pub(super) const NO_START: &str = "no worker is started until it can";

impl Dispatcher {
    /// Holds the root's lock, or says why not. A lock on a file that is no longer at its path keeps nobody out.
    pub(super) fn lead(&mut self) -> Result<(), (StandbyReason, Error)> {
        if !self.lock.as_ref().is_some_and(FileLock::is_current) {
            self.lock = None;
            let path = self.site.root.dispatcher_lock();
            let failed = |error| {
                let what = format!("take the lock {}", path.display());
                (StandbyReason::LockUnusable, Error::io(what, error))
            };
            // Not again once it was there: a root that goes away under us was unmounted or moved, not new.
            if !self.has_led {
                make_kanban_dir(&self.site.root).map_err(failed)?;
            }
            let Some(lock) = FileLock::try_acquire(&path).map_err(failed)? else {
                let what = format!("take {}: another dispatcher holds it", path.display());
                let error = Error::new(ErrorKind::Busy, what);
                return Err((StandbyReason::AnotherDispatcher, error));
            };
            self.lock = Some(lock);
            // While the lock was away another dispatcher may have started workers: the ledger is read anew.
            self.site.ledger.close();
            self.has_read_ledger = false;
            // And its operator may have resumed what was paused here.
            self.mark = None;
            self.has_led = true;
            self.is_shut_down = false;
            self.roster.wake_all();
            self.roster.distrust();
        }
        self.open_ledger()
            .map_err(|error| (StandbyReason::LedgerBusy, error))?;
        if self.standby.take().is_some() {
            tracing::info!("dispatcher takes over");
        }
        Ok(())
    }

    /// Fails closed: nothing is dispatched without the lock, and the next tick asks again.
    pub(super) fn stand_by(&mut self, reason: StandbyReason, error: &Error) -> TickReport {
        let why = error.chain();
        if self.standby.as_ref() != Some(&why) {
            tracing::warn!("dispatcher stands by: {why}");
            self.standby = Some(why.clone());
        }
        TickReport::standby(reason, why)
    }

    /// Adopts the workers that the ledger knows and tells it of ours, whenever it was opened anew.
    ///
    /// # Errors
    /// The ledger is in use and was never read: it may know workers that must not get a second one. A ledger that cannot be used at
    /// all is told once, and dispatching goes on without it.
    fn open_ledger(&mut self) -> Result<(), Error> {
        match self.site.ledger.open(&self.site.root) {
            Ok(None) => {
                self.site.ledger.need(true);
                Ok(())
            }
            Ok(Some((adopted, clocks))) => {
                self.site.ledger.need(true);
                self.site.workers.adopt(adopted, clocks);
                self.site.workers.poll(self.site.clock.monotonic());
                self.site.ledger.record_workers(&self.site.workers.all());
                self.has_read_ledger = true;
                // It knows no board of this pass.
                self.told.forget();
                self.levers_at = None;
                self.roster.wake_all();
                Ok(())
            }
            Err(error) if is_busy(&error) && !self.has_read_ledger => Err(error),
            Err(error) => {
                // Somebody has it, or it is there and cannot be read: it may hold a pause.
                let is_needed = is_busy(&error) || is_broken(&error);
                self.site.ledger.need(is_needed);
                let then = match is_needed {
                    true => NO_START,
                    false => "dispatching goes on without it",
                };
                self.ledger_failed(&error.chain(), then);
                Ok(())
            }
        }
    }

    /// Told once, however often and in whatever words it goes on to fail.
    pub(super) fn ledger_failed(&mut self, text: &str, then: &str) {
        if !std::mem::replace(&mut self.ledger_fails, true) {
            tracing::error!("the ledger cannot be used: {text}; {then}");
        }
    }

    pub(super) fn ledger_works(&mut self) {
        if std::mem::take(&mut self.ledger_fails) {
            tracing::info!("the ledger works again");
        }
    }
}

/// `kanban/` below an existing root: the one directory that every program here makes.
fn make_kanban_dir(root: &Root) -> std::io::Result<()> {
    match std::fs::create_dir(root.kanban_dir()) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn is_busy(error: &Error) -> bool {
    error_classify::classify(error).class() == Class::Busy
}
