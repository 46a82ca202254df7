//! What wakes a waiting dispatcher: a stop, or news of a worker.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wakes or stops a running dispatcher from another thread; clones are the same.
///
/// # Examples
/// ```
/// use kanban_dispatcher::Wake;
///
/// let wake = Wake::new();
/// assert!(!wake.is_stopped());
/// wake.clone().stop();
/// assert!(wake.is_stopped());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    flags: Mutex<Flags>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Flags {
    news: bool,
    stopped: bool,
}

impl Wake {
    /// Not stopped, nothing new.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run: no claim is made after this has returned and the tick under way has ended.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.0.changed.notify_all();
    }

    /// A worker may have ended: look now. For a SIGCHLD handler's thread.
    pub fn news(&self) {
        self.lock().news = true;
        self.0.changed.notify_all();
    }

    /// Whether somebody said stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for news, a stop, or `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let quiet = |flags: &mut Flags| !flags.news && !flags.stopped;
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.lock(), timeout, quiet);
        let (mut flags, _) = waited.unwrap_or_else(PoisonError::into_inner);
        flags.news = false;
    }

    fn lock(&self) -> MutexGuard<'_, Flags> {
        self.0.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
