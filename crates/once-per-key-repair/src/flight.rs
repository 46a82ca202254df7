//! One granted turn, from the grant to its end. Whoever waits for it holds it, so a later turn of the same key cannot be
//! mistaken for it.

use std::time::Duration;

use crate::outcome::Outcome;
#[cfg(feature = "async")]
use crate::sync::MutexGuard;
use crate::sync::{
    AtomicBool, Condvar, Mutex, Ordering, ThreadId, current, lock, wait_timeout_while, wait_while,
};
use crate::waiter::Waited;
#[cfg(feature = "async")]
use crate::wakers::Wakers;

/// How a granted turn ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Settled(Outcome),
    Forfeited,
}

#[derive(Debug)]
pub(crate) struct Flight {
    log: Mutex<Log>,
    landed: Condvar,
    /// Read and written only under the slot's lock, which also orders it.
    rearmed: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Log {
    /// The thread that is inside the repair.
    runner: Option<ThreadId>,
    /// Invariant: once it is `Some` it never changes, so all waiters are told the same.
    end: Option<End>,
    /// Whether a thread waits, or has waited, at `landed`. To wake nobody takes a system call, too.
    awaited: bool,
    /// Who is to be woken beside the threads at `landed`.
    #[cfg(feature = "async")]
    pub(crate) wakers: Wakers,
}

// ===== impl Flight =====

impl Flight {
    pub(crate) fn new() -> Self {
        Self {
            log: Mutex::new(Log {
                runner: None,
                end: None,
                awaited: false,
                #[cfg(feature = "async")]
                wakers: Wakers::default(),
            }),
            landed: Condvar::new(),
            rearmed: AtomicBool::new(false),
        }
    }

    /// Notes that the calling thread runs the repair.
    pub(crate) fn run_here(&self) {
        lock(&self.log).runner = Some(current().id());
    }

    /// Notes the end and wakes everyone who waits.
    pub(crate) fn land(&self, end: End) {
        let mut log = lock(&self.log);
        debug_assert!(log.end.is_none(), "a turn ends once");
        log.end = Some(end);
        let awaited = log.awaited;
        #[cfg(feature = "async")]
        let wakers = std::mem::take(&mut log.wakers);
        drop(log);
        if awaited {
            self.landed.notify_all();
        }
        #[cfg(feature = "async")]
        wakers.wake_all();
    }

    pub(crate) fn wait(&self) -> Waited {
        let me = current().id();
        let log = wait_while(&self.landed, lock(&self.log), |log| log.awaits(me));
        // `wait_while` comes back only with an answer.
        log.answer(me).unwrap_or(Waited::Own)
    }

    /// `None` when nothing was heard within `timeout`.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> Option<Waited> {
        let me = current().id();
        let log = wait_timeout_while(&self.landed, lock(&self.log), timeout, |log| log.awaits(me));
        log.answer(me)
    }

    #[cfg(feature = "async")]
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn rearm(&self) {
        self.rearmed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_rearmed(&self) -> bool {
        self.rearmed.load(Ordering::Relaxed)
    }
}

impl Log {
    /// Whether a waiter on thread `me` must wait on; if so it is noted.
    fn awaits(&mut self, me: ThreadId) -> bool {
        let none = self.answer(me).is_none();
        self.awaited |= none;
        none
    }

    /// What a waiter on thread `me` can be told now.
    pub(crate) fn answer(&self, me: ThreadId) -> Option<Waited> {
        match self.end {
            Some(End::Settled(outcome)) => Some(Waited::Settled(outcome)),
            Some(End::Forfeited) => Some(Waited::Forfeited),
            // The repair cannot end before the wait inside it does.
            None if self.runner == Some(me) => Some(Waited::Own),
            None => None,
        }
    }
}
