//! A clock that a loop sets once per round, so that a check reads one number instead of asking the processor.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use governor::clock::{Clock, Reference};
use governor::nanos::Nanos;

use crate::HostClock;

/// A clock that stands still until [`tick`](Self::tick).
///
/// For a loop that asks many times per round: the time is read once per round, and each check reads one
/// atomic, the cheapest clock there is; and all checks of a round see the same moment. Clones share the time: give one to
/// [`Builder::clock`](crate::Builder::clock) and tick the other.
///
/// Who forgets to tick stops time: known keys stay held back (and counted) and a sweep finds no window over; the first
/// line of a new key still passes, and nothing is lost. All moments of one round are one moment, so `since` and `lasted`
/// are exact to a round. Do not use it where no loop turns, as in a program that only answers requests.
///
/// # Examples
///
/// ```
/// use keyed_log_throttle::{LogThrottle, TickClock};
/// use std::time::Duration;
///
/// let clock = TickClock::new();
/// let throttle = LogThrottle::<u64>::builder().window(Duration::from_nanos(1)).clock(clock.clone()).build();
/// for round in 0..3 {
///     clock.tick();
///     assert!(throttle.check(&7, 0).is_some(), "round {round}");
///     assert!(throttle.check(&7, 0).is_none(), "time stands still within a round");
/// }
/// ```
#[derive(Clone)]
pub struct TickClock<C: Clock = HostClock> {
    /// Nanoseconds since the clock was made, at the last tick.
    now: Arc<AtomicU64>,
    origin: C::Instant,
    source: C,
}

// ===== impl TickClock =====

impl TickClock {
    /// A clock whose ticks read the host's monotonic clock.
    #[must_use]
    pub fn new() -> Self {
        Self::over(HostClock::default())
    }
}

impl<C: Clock> TickClock<C> {
    /// A clock whose ticks read `source`.
    ///
    /// ```
    /// use keyed_log_throttle::{TickClock, governor::clock::{Clock, FakeRelativeClock}};
    /// use std::time::Duration;
    ///
    /// let source = FakeRelativeClock::default();
    /// let clock = TickClock::over(source.clone());
    /// source.advance(Duration::from_secs(5));
    /// assert_eq!(Duration::from(clock.now()), Duration::ZERO);
    /// clock.tick();
    /// assert_eq!(Duration::from(clock.now()), Duration::from_secs(5));
    /// ```
    pub fn over(source: C) -> Self {
        Self {
            now: Arc::new(AtomicU64::new(0)),
            origin: source.now(),
            source,
        }
    }

    /// Sets the time, for all clones. Call it at the top of each round.
    ///
    /// Several threads may tick; the latest time wins, and time never goes back.
    ///
    /// ```
    /// # use keyed_log_throttle::{TickClock, governor::clock::{Clock, FakeRelativeClock}};
    /// # use std::time::Duration;
    /// let source = FakeRelativeClock::default();
    /// let clock = TickClock::over(source.clone());
    /// let clone = clock.clone();
    /// source.advance(Duration::from_secs(5));
    /// clock.tick();
    /// assert_eq!(Duration::from(clone.now()), Duration::from_secs(5));
    /// ```
    pub fn tick(&self) {
        let now = self.source.now().duration_since(self.origin).as_u64();
        self.now.fetch_max(now, Relaxed);
    }
}

impl Default for TickClock {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> Clock for TickClock<C> {
    type Instant = Nanos;

    #[inline]
    fn now(&self) -> Nanos {
        Nanos::new(self.now.load(Relaxed))
    }
}

impl<C: Clock> fmt::Debug for TickClock<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickClock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}
