//! The clock for a loop: read once per round, and a load from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Monotonic};

/// Another clock's time as of the last [`tick`](Self::tick). Clones share it.
///
/// A loop that visits many things need not ask the system for the time at each: what is held for a minute may as well be held until the
/// round after. One tick per round, and asking about a held key costs a third.
///
/// Whoever forgets to tick stops the time, and with it every timer; a change and a release still work. Two threads that tick at once
/// may leave the earlier of their two readings, which [`Clock`] allows. It counts nanoseconds in 64 bits and stops after 584 years.
///
/// ```
/// use std::time::Duration;
/// use fingerprint_quarantine::{Backoff, Hold, Quarantine, Reason, TickClock};
///
/// let clock = TickClock::new();
/// let boards = Quarantine::<u32, u64, _>::with_clock(clock.clone());
/// let hold = Hold::for_time(Backoff::every(Duration::from_nanos(1)));
/// for round in 0..3 {
///     clock.tick();
///     for board in 0..10 {
///         if let Some(attempt) = boards.admit(&board, || 1).go() {
///             attempt.failed(&hold, |_| 1);
///         }
///         assert!(round == 0 || boards.admit(&board, || 1).go().is_none(), "time stands still within a round");
///     }
/// }
/// assert_eq!(boards.status(&0).unwrap().attempts, 3);
/// ```
#[derive(Debug)]
pub struct TickClock<C = Monotonic> {
    shared: Arc<Shared<C>>,
}

#[derive(Debug)]
struct Shared<C> {
    source: C,
    now_ns: AtomicU64,
}

// ===== impl TickClock =====

impl TickClock {
    /// Shows the operating system's monotonic time, from zero.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, TickClock};
    /// let clock = TickClock::new();
    /// assert!(clock.now() < Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::over(Monotonic::new())
    }
}

impl<C: Clock> TickClock<C> {
    /// Shows `source`'s time; this is the first tick.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, FakeClock, TickClock};
    /// let clock = TickClock::over(FakeClock::at(Duration::from_secs(5)));
    /// assert_eq!(clock.now(), Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn over(source: C) -> Self {
        let clock = Self {
            shared: Arc::new(Shared {
                source,
                now_ns: AtomicU64::new(0),
            }),
        };
        clock.tick();
        clock
    }

    /// Reads the source, for everybody; the time from now on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, FakeClock, TickClock};
    /// let source = FakeClock::default();
    /// let clock = TickClock::over(source.clone());
    /// source.advance(Duration::from_secs(1));
    /// assert_eq!(clock.now(), Duration::ZERO);
    /// assert_eq!(clock.tick(), Duration::from_secs(1));
    /// assert_eq!(clock.now(), Duration::from_secs(1));
    /// ```
    pub fn tick(&self) -> Duration {
        let now = self.shared.source.now().as_nanos();
        let now_ns = u64::try_from(now).unwrap_or(u64::MAX);
        self.shared.now_ns.store(now_ns, Ordering::Release);
        Duration::from_nanos(now_ns)
    }
}

impl<C> Clock for TickClock<C> {
    #[inline]
    fn now(&self) -> Duration {
        Duration::from_nanos(self.shared.now_ns.load(Ordering::Acquire))
    }
}

impl Default for TickClock {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for TickClock<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}
