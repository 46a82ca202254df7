//! What ends a hold: the caller's choice, made anew at each failure.

use std::time::Duration;

/// How long a key that has just failed is left alone. Any of its exits is enough; a manual release always is one.
///
/// | exit | field |
/// |---|---|
/// | the stamp changed | `on_change` |
/// | the timer ran out | `retry` |
/// | neither of these two before | `min_hold` |
///
/// Give most holds both exits. On change alone, a thing whose cause lies elsewhere (a full disk, a permission on the directory)
/// stays held after the cause is gone; on the timer alone, a fix has to wait for it.
///
/// ```
/// use std::time::Duration;
/// use fingerprint_quarantine::{Backoff, Hold};
///
/// const DAMAGED: Hold = Hold::until_changed()
///     .or_retry(Backoff::new(Duration::from_secs(60), Duration::from_secs(3600)))
///     .at_least(Duration::from_secs(1));
/// assert!(DAMAGED.on_change);
/// assert_eq!(DAMAGED.min_hold, Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Hold {
    /// Whether a changed stamp releases.
    pub on_change: bool,
    /// When to try again although nothing changed; `None` for never.
    pub retry: Option<Backoff>,
    /// Within this time after the failure nothing but a manual release helps, and the thing is not even looked at. It bounds
    /// the attempts on a broken thing that somebody keeps writing to.
    pub min_hold: Duration,
}

// ===== impl Hold =====

impl Hold {
    /// Until the stamp changes.
    ///
    /// ```
    /// # use fingerprint_quarantine::Hold;
    /// let hold = Hold::until_changed();
    /// assert!(hold.on_change && hold.retry.is_none() && hold.min_hold.is_zero());
    /// ```
    #[must_use]
    pub const fn until_changed() -> Self {
        Self {
            on_change: true,
            retry: None,
            min_hold: Duration::ZERO,
        }
    }

    /// For the time that `retry` gives, whatever happens to the thing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Backoff, Hold};
    /// let retry = Backoff::every(Duration::from_secs(60));
    /// let hold = Hold::for_time(retry);
    /// assert_eq!((hold.on_change, hold.retry), (false, Some(retry)));
    /// ```
    #[must_use]
    pub const fn for_time(retry: Backoff) -> Self {
        Self {
            on_change: false,
            retry: Some(retry),
            min_hold: Duration::ZERO,
        }
    }

    /// Until a person releases it.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine};
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// let held = quarantine.admit_stamped(&7, 1).go().unwrap().failed(&Hold::until_released(), |_| 1);
    /// assert_eq!((held.on_change, held.retry_in), (false, None));
    /// ```
    #[must_use]
    pub const fn until_released() -> Self {
        Self {
            on_change: false,
            retry: None,
            min_hold: Duration::ZERO,
        }
    }

    /// The same, and a timer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Backoff, Hold};
    /// let retry = Backoff::every(Duration::from_secs(60));
    /// let hold = Hold::until_changed().or_retry(retry);
    /// assert_eq!((hold.on_change, hold.retry), (true, Some(retry)));
    /// ```
    #[must_use]
    pub const fn or_retry(mut self, retry: Backoff) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The same, but for `min_hold` at the least.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::{Hold, Quarantine};
    /// let feeds = Quarantine::<&str, u64>::new();
    /// let hold = Hold::until_changed().at_least(Duration::from_secs(86_400));
    /// feeds.admit_stamped(&"a", 1).go().unwrap().failed(&hold, |same| *same);
    /// assert!(feeds.admit_stamped(&"a", 2).go().is_none()); // it has changed, but too soon
    /// ```
    #[must_use]
    pub const fn at_least(mut self, min_hold: Duration) -> Self {
        self.min_hold = min_hold;
        self
    }
}

/// A waiting time that grows with each attempt the timer allowed and that failed: `first`, `first * factor`, ... up to `max`.
///
/// An attempt after a change that fails waits as long as before; one after a manual release, or the first after a success,
/// starts again at `first` (unless the growth is to fade more slowly: [`with_decay`](Self::with_decay)).
///
/// ```
/// use std::time::Duration;
/// use fingerprint_quarantine::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60));
/// let waits: Vec<u64> = (0..5).map(|round| backoff.delay(round, 0).as_secs()).collect();
/// assert_eq!(waits, [10, 20, 40, 60, 60]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait; it caps `first` as well.
    pub max: Duration,
    /// By how much each wait is longer than the one before; 0 and 1 mean that it never grows.
    pub factor: u32,
    /// Up to this part of a wait is taken off, so that things which failed together do not all come back together. 0 for none,
    /// which is what [`new`](Self::new) gives; a wait is never longer than it says.
    pub jitter_percent: u8,
    /// How long a thing that came good by itself must stay so for one step of growth to be forgotten; zero, which is what
    /// [`new`](Self::new) gives, forgets all of it at once. See [`with_decay`](Self::with_decay).
    pub decay: Duration,
}

// ===== impl Backoff =====

impl Backoff {
    /// Doubles from `first` to `max`, without jitter.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            factor: 2,
            jitter_percent: 0,
            decay: Duration::ZERO,
        }
    }

    /// Always the same wait.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::Backoff;
    /// let wait = Duration::from_secs(60);
    /// assert!((0..5).all(|round| Backoff::every(wait).delay(round, 0) == wait));
    /// ```
    #[must_use]
    pub const fn every(wait: Duration) -> Self {
        Self {
            first: wait,
            max: wait,
            factor: 1,
            jitter_percent: 0,
            decay: Duration::ZERO,
        }
    }

    /// The same, shortened by up to `percent` (at most 100).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::Backoff;
    /// let wait = Duration::from_secs(100);
    /// let backoff = Backoff::every(wait).with_jitter(20);
    /// assert!((80..=100).contains(&backoff.delay(0, 7).as_secs()));
    /// assert_eq!(backoff.delay(0, 7), backoff.delay(0, 7));
    /// assert_ne!(backoff.delay(0, 7), backoff.delay(0, 8));
    /// ```
    #[must_use]
    pub const fn with_jitter(mut self, percent: u8) -> Self {
        self.jitter_percent = percent;
        self
    }

    /// The same, growing by `factor` instead.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::Backoff;
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::new(second, second * 60).with_factor(3);
    /// assert_eq!(backoff.delay(2, 0), second * 9);
    /// ```
    #[must_use]
    pub const fn with_factor(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    /// The same, for things that flap: the growth outlives a success of the timer, and fades by one step in each `decay` of health.
    ///
    /// It is for a success of an attempt that the [timer](crate::Reason::Timer) allowed. After a change or a release somebody has mended
    /// the thing, and what fails next is something else. Healthy keys take no memory, so this is remembered by a
    /// [`Handle`](crate::Handle) of the key, and only as long as there is one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fingerprint_quarantine::{Backoff, FakeClock, Hold, Quarantine};
    ///
    /// let second = Duration::from_secs(1);
    /// let hold = Hold::for_time(Backoff::new(second * 10, second * 600).with_decay(second * 60));
    /// let clock = FakeClock::default();
    /// let handle = Quarantine::<u32, u64, _>::with_clock(clock.clone()).handle(&7);
    /// let mut waits = Vec::new();
    /// for healthy in [5, 5, 120, 5] {
    ///     let held = handle.admit_stamped(1).go().unwrap().failed(&hold, |_| 1);
    ///     waits.push(held.retry_in.unwrap().as_secs());
    ///     clock.advance(held.retry_in.unwrap());
    ///     handle.admit_stamped(1).go().unwrap().ok();
    ///     clock.advance(second * healthy);
    /// }
    /// assert_eq!(waits, [10, 20, 40, 20], "two steps faded in the two minutes");
    /// ```
    #[must_use]
    pub const fn with_decay(mut self, decay: Duration) -> Self {
        self.decay = decay;
        self
    }

    /// The wait after `round` timed attempts that failed, 0 for the first. The jitter is a pure function of `seed` and `round`;
    /// a quarantine's seed is the key's hash, so two runs agree if its hasher does.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fingerprint_quarantine::Backoff;
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::new(second, second * 60);
    /// assert_eq!([0, 3, u32::MAX].map(|round| backoff.delay(round, 0)), [second, second * 8, second * 60]);
    /// ```
    #[must_use]
    pub fn delay(&self, round: u32, seed: u64) -> Duration {
        let mut delay = self.first;
        if self.factor > 1 && !delay.is_zero() {
            // At most 96 rounds: then even a nanosecond, doubled, has met the end of `Duration`.
            for _ in 0..round {
                if delay >= self.max {
                    break;
                }
                delay = delay.saturating_mul(self.factor);
            }
        }
        let delay = delay.min(self.max);
        let percent = u32::from(self.jitter_percent.min(100));
        // 0..=1023 parts of 1024, of `percent` parts of 100.
        let parts = (mix(seed ^ u64::from(round)) >> 54) as u32;
        delay - delay / (100 * 1024) * (percent * parts)
    }
}

/// The finalizer of splitmix64 (Steele, Lea and Flood, 2014): neighbouring seeds give unrelated values.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn no_setting_overflows_or_runs_long() {
        for first in [0, 1, u64::MAX] {
            for factor in [0, 1, 2, u32::MAX] {
                for jitter_percent in [0, 100, 255] {
                    let backoff = Backoff {
                        first: Duration::from_nanos(first),
                        max: Duration::MAX,
                        factor,
                        jitter_percent,
                        decay: Duration::ZERO,
                    };
                    for round in [0, 1, 200, u32::MAX] {
                        assert!(backoff.delay(round, u64::MAX) <= Duration::MAX);
                    }
                }
            }
        }
    }

    #[test]
    fn the_cap_also_caps_the_first_wait() {
        let backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(2));
        assert_eq!(backoff.delay(0, 0), Duration::from_secs(2));
    }

    #[test]
    fn jitter_spreads_over_the_whole_of_its_share() {
        let backoff = Backoff::every(Duration::from_secs(1_000)).with_jitter(50);
        let waits: Vec<u64> = (0..1_000)
            .map(|seed| backoff.delay(0, seed).as_secs())
            .collect();
        assert!(waits.iter().all(|wait| (500..=1_000).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 550) && waits.iter().any(|wait| *wait > 950));
    }
}
