//! The one place that reads time: wall-clock seconds for the board's columns, a monotonic clock for ages.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use governor::nanos::Nanos;

/// Time as the dispatcher sees it; cheap to clone, every clone tells the same time.
///
/// Boards store unix seconds, so [`unix`](Self::unix) exists; everything that must not be fooled by a stepped wall
/// clock (back-off, throttle windows, grace periods) uses [`monotonic`](Self::monotonic).
///
/// # Examples
/// ```
/// use kanban_dispatcher::Clock;
/// use std::time::Duration;
///
/// let clock = Clock::manual(1_000);
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.unix(), 1_005);
/// assert_eq!(clock.monotonic(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { origin: Instant },
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    unix_start: AtomicI64,
    elapsed_ns: AtomicU64,
}

// ===== impl Clock =====

impl Clock {
    /// The machine's clocks; the monotonic one starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System {
            origin: Instant::now(),
        })
    }

    /// A clock that moves only by [`advance`](Self::advance) and [`step`](Self::step), starting at `unix` seconds.
    #[must_use]
    pub fn manual(unix: i64) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            unix_start: AtomicI64::new(unix),
            elapsed_ns: AtomicU64::new(0),
        })))
    }

    /// Seconds since 1970, truncated; what the boards store.
    #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
    #[must_use]
    pub fn unix(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
                }),
            Source::Manual(manual) => {
                let elapsed = manual.elapsed_ns.load(Ordering::SeqCst) / 1_000_000_000;
                manual.unix_start.load(Ordering::SeqCst) + i64::try_from(elapsed).unwrap_or(0)
            }
        }
    }

    /// Time since an arbitrary origin; never goes back.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { origin } => origin.elapsed(),
            Source::Manual(manual) => {
                Duration::from_nanos(manual.elapsed_ns.load(Ordering::SeqCst))
            }
        }
    }

    /// Time since the machine was started, which start times of processes count from; a manual clock knows no processes.
    pub(crate) fn since_boot(&self) -> Option<Duration> {
        match &self.0 {
            Source::System { .. } => {
                let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                Duration::try_from(since).ok()
            }
            Source::Manual(_) => None,
        }
    }

    /// Time that no step of the wall clock changes, from an origin that outlives this process: the start of the machine.
    pub(crate) fn steady(&self) -> Option<Duration> {
        match &self.0 {
            Source::System { .. } => self.since_boot(),
            Source::Manual(_) => Some(self.monotonic()),
        }
    }

    /// Moves a manual clock on; a system clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            manual.elapsed_ns.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Steps the wall clock of a manual clock by `seconds`, as an operator or NTP would; its monotonic time stays.
    pub fn step(&self, seconds: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_start.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fingerprint_quarantine::Clock for Clock {
    fn now(&self) -> Duration {
        self.monotonic()
    }
}

impl governor::clock::Clock for Clock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.monotonic())
    }
}
