//! What a healthy key's handle remembers of its last incident: how far the waits had grown, and since when that fades.

use std::time::Duration;

/// Left by an incident that ended by itself: nobody changed the thing, the timer's attempt just worked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// Timed attempts that the next failure would have had behind it.
    rounds: u32,
    /// When it ended.
    ended: Duration,
    /// How long a round takes to fade, more than zero.
    decay: Duration,
}

// ===== impl Past =====

impl Past {
    /// `None` where nothing is to be remembered.
    pub(crate) fn new(rounds: u32, ended: Duration, decay: Duration) -> Option<Self> {
        (!decay.is_zero()).then_some(Self {
            rounds,
            ended,
            decay,
        })
    }

    /// The rounds that have not faded by `now`.
    pub(crate) fn rounds(self, now: Duration) -> u32 {
        let healthy = now.saturating_sub(self.ended);
        let faded = healthy.as_nanos() / self.decay.as_nanos();
        self.rounds
            .saturating_sub(u32::try_from(faded).unwrap_or(u32::MAX))
    }
}

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::Past;
    use std::time::Duration;

    #[test]
    fn one_round_fades_in_each_step_of_health_and_no_clock_brings_one_back() {
        let second = Duration::from_secs(1);
        assert!(Past::new(3, second, Duration::ZERO).is_none());
        let past = Past::new(3, second * 100, second * 10).unwrap();
        let left = |at: u32| past.rounds(second * at);
        assert_eq!([100, 109, 110, 129, 130, 999].map(left), [3, 3, 2, 1, 0, 0]);
        assert_eq!(left(0), 3, "a clock that stepped back");
        assert_eq!(past.rounds(Duration::MAX), 0);
        let brief = Past::new(u32::MAX, Duration::ZERO, Duration::from_nanos(1)).unwrap();
        assert_eq!(brief.rounds(Duration::MAX), 0);
    }
}
