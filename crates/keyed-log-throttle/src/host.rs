//! The default clock, and a cheap look at it.
//!
//! Most checks ask about a window that is far from over. For those a time that is some milliseconds old is as good as the
//! exact one, and costs a third of it: Linux keeps it in memory, as of its last timer tick. See `docs/decisions`, 22.

use governor::clock::Clock;

/// The clock of a throttle that is given none: the host's monotonic one.
///
/// On Linux it is `CLOCK_MONOTONIC`, which nobody can set, and which stands still while the machine is suspended. Elsewhere
/// it is governor's default clock. No thread runs for it, and nothing is calibrated at the start.
///
/// A throttle that reads it asks the exact time only for a new key and near a window's end. Until then it looks at the time of
/// the kernel's last timer tick (`CLOCK_MONOTONIC_COARSE`): no line comes early, and one comes late only if that tick, or
/// the thread that looks at it, is held up for more than 100 ms, by as much.
///
/// ```
/// use keyed_log_throttle::{HostClock, LogThrottle, governor::clock::Clock};
///
/// let clock = HostClock::default();
/// assert!(clock.now() <= clock.now());
/// let throttle = LogThrottle::<u64>::builder().clock(clock).build(); // The exact time for every check.
/// assert!(throttle.check(&1, 0).is_some());
/// ```
#[derive(Clone, Debug, Default)]
pub struct HostClock(source::Source);

impl Clock for HostClock {
    type Instant = <source::Source as Clock>::Instant;

    #[inline]
    fn now(&self) -> Self::Instant {
        self.0.now()
    }
}

/// The time of the kernel's last timer tick, in nanoseconds since `start`.
#[derive(Debug)]
pub(crate) struct Coarse {
    /// As the kernel counts.
    start: u64,
}

impl Coarse {
    /// How old that time may be: ten ticks of the slowest kernel.
    const AGE_NS_MAX: u64 = 100_000_000;

    /// `None` where there is nothing cheaper than the clock itself.
    pub(crate) fn start() -> Option<Self> {
        source::last_tick_ns().map(|start| Self { start })
    }

    /// As if it had started that long ago.
    #[cfg(all(test, target_os = "linux", not(throttle_loom)))]
    pub(crate) fn at(passed: std::time::Duration) -> Self {
        let start = source::last_tick_ns().expect("Linux has it") - passed.as_nanos() as u64;
        Self { start }
    }

    /// [`now`](Self::now), or a moment that is surely to come.
    #[inline]
    pub(crate) fn at_most(&self) -> u64 {
        self.now().saturating_add(Self::AGE_NS_MAX)
    }

    /// Nanoseconds since the start: those of [`HostClock`], less what the last tick is old, give or take a tick.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        source::last_tick_ns()
            .unwrap_or_default()
            .saturating_sub(self.start)
    }
}

#[cfg(target_os = "linux")]
mod source {
    use rustix::time::{ClockId, clock_gettime};

    /// By the standard library's clock, which counts as the ticks do.
    pub(super) type Source = governor::clock::MonotonicClock;

    #[inline]
    pub(super) fn last_tick_ns() -> Option<u64> {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        // Never negative, and enough for 584 years.
        Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

#[cfg(not(target_os = "linux"))]
mod source {
    pub(super) type Source = governor::clock::DefaultClock;

    pub(super) fn last_tick_ns() -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use governor::clock::Reference;

    use super::*;

    #[test]
    fn the_time_of_the_last_tick_goes_with_the_clock() {
        const MS: u64 = 1_000_000;
        let clock = HostClock::default();
        let (start, coarse) = (clock.now(), Coarse::start().expect("Linux has it"));
        let passed = || Reference::duration_since(&clock.now(), start).as_u64();
        // A few ticks go by.
        while passed() < 30 * MS {}
        let (before, seen, after) = (passed(), coarse.now(), passed());
        // A tick is 10 ms at most; the first look and the last may each be one old.
        assert!(
            seen + 20 * MS >= before && seen <= after + 10 * MS,
            "{before} {seen} {after}"
        );
    }
}
