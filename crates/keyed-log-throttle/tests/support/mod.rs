//! A throttle with a clock that the test moves, and the window the cases speak of.

#![allow(dead_code, reason = "each test file uses its part")]

#[cfg(feature = "tracing")]
pub(crate) mod capture;
#[cfg(feature = "layer")]
pub(crate) mod layered;

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{Builder, LogThrottle};

/// The same in every run, and so is the estimate of how many keys shared an entry.
pub(crate) type Hasher = BuildHasherDefault<DefaultHasher>;
pub(crate) type Throttle = LogThrottle<String, FakeRelativeClock, Hasher>;

/// W of the cases.
pub(crate) const W: Duration = Duration::from_secs(60);
/// T of the cases: one tick.
pub(crate) const T: Duration = Duration::from_secs(5);

pub(crate) fn builder() -> (
    Builder<String, FakeRelativeClock, Hasher>,
    FakeRelativeClock,
) {
    let clock = FakeRelativeClock::default();
    let builder = LogThrottle::builder().window(W).clock(clock.clone());
    (builder.hasher(Hasher::default()), clock)
}

pub(crate) fn throttle() -> (Throttle, FakeRelativeClock) {
    let (builder, clock) = builder();
    (builder.build(), clock)
}

/// Fails `key` in `class` `times` times; how many lines were permitted.
pub(crate) fn fail(throttle: &Throttle, key: &str, class: u16, times: usize) -> usize {
    (0..times)
        .filter(|_| throttle.check(key, class).is_some())
        .count()
}

/// One sweep, as (key, class, count).
pub(crate) fn sweep(throttle: &Throttle) -> Vec<(String, u16, u64)> {
    let mut said = Vec::new();
    let summaries = throttle
        .sweep(|key, class, pending| said.push((key.clone(), class.get(), pending.suppressed)));
    assert_eq!(summaries, said.len());
    said
}
