//! Where the quarantine's time comes from: a clock that only has to be monotonic, and is believed even less than that.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time since some moment that does not matter, as long as it stays the same.
///
/// Read at most once per verb, never for a healthy key, and with a lock held: it must not call the quarantine. A clock that
/// jumps back costs at most one more waiting time, and one that jumps forward ends waits early; neither panics.
///
/// ```
/// use std::time::Duration;
/// use fingerprint_quarantine::{Clock, Quarantine};
///
/// struct Stopped;
/// impl Clock for Stopped {
///     fn now(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
///
/// let quarantine: Quarantine<String, u64, Stopped> = Quarantine::with_clock(Stopped);
/// assert!(quarantine.is_empty());
/// ```
pub trait Clock {
    /// The time now.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The operating system's monotonic clock, from the moment this value was made.
///
/// It may stand still while the machine sleeps: on Linux (`CLOCK_MONOTONIC`) and macOS it does, on Windows it does not. Where it does, a
/// hold is counted in time awake, and so lasts that much longer by the clock on the wall; a change or a release still ends it at once.
/// Where it does not, the holds whose timers ran out meanwhile are all due on waking, as after any clock that jumps forward: each
/// costs one attempt. Whoever wants the other kind (`CLOCK_BOOTTIME`) implements [`Clock`] with it.
///
/// A reading costs 20 to 30 ns, which is most of what asking about a held key costs; see [`TickClock`](crate::TickClock).
///
/// ```
/// use fingerprint_quarantine::{Clock, Monotonic};
///
/// let clock = Monotonic::new();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Monotonic {
    origin: Instant,
}

// ===== impl Monotonic =====

impl Monotonic {
    /// A clock that starts at zero.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, Monotonic};
    /// assert!(Monotonic::new().now() < Duration::from_secs(60));
    /// ```
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that gets injected"
    )]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for Monotonic {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Monotonic {
    #[inline]
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that a test moves by hand. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use fingerprint_quarantine::{Clock, FakeClock};
///
/// let clock = FakeClock::default();
/// let other = clock.clone();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(other.now(), Duration::from_secs(5));
/// other.set(Duration::ZERO);
/// assert_eq!(clock.now(), Duration::ZERO);
/// ```
#[derive(Clone, Default)]
pub struct FakeClock {
    now: Arc<Mutex<Duration>>,
}

// ===== impl FakeClock =====

impl FakeClock {
    /// A clock at `now`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, FakeClock};
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(FakeClock::at(minute).now(), minute);
    /// ```
    #[must_use]
    pub fn at(now: Duration) -> Self {
        let clock = Self::default();
        clock.set(now);
        clock
    }

    /// Moves the time forward; at the end of time it stops.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, FakeClock};
    /// let minute = Duration::from_secs(60);
    /// let clock = FakeClock::at(minute);
    /// clock.advance(minute);
    /// assert_eq!(clock.now(), minute * 2);
    /// clock.advance(Duration::MAX);
    /// assert_eq!(clock.now(), Duration::MAX);
    /// ```
    pub fn advance(&self, by: Duration) {
        self.change(|now| now.saturating_add(by));
    }

    /// Sets the time, also back.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Clock, FakeClock};
    /// let second = Duration::from_secs(1);
    /// let clock = FakeClock::at(second * 60);
    /// clock.set(second);
    /// assert_eq!(clock.now(), second);
    /// ```
    pub fn set(&self, to: Duration) {
        self.change(|_| to);
    }

    fn change(&self, to: impl FnOnce(Duration) -> Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to(*now);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FakeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeClock").field(&self.now()).finish()
    }
}
