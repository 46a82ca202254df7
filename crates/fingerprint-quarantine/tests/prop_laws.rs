//! The two laws about how often a thing is tried: not too often while nobody else changes it, and soon when somebody does.

use std::time::Duration;

use fingerprint_quarantine::{Backoff, Clock, FakeClock, Hold, Quarantine, Reason};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// What an attempt may do to the file, and whether the caller looks after it.
#[derive(Clone, Copy, Debug)]
struct Round {
    writes: bool,
    looks: bool,
    seconds: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Bounded attempts: nobody else changes the thing, so what is not the timer's doing is a handful.
    #[test]
    fn a_thing_that_only_its_own_attempts_write_to_is_tried_by_the_timer_and_a_few_times_more(
        rounds in prop::collection::vec(
            (any::<bool>(), any::<bool>(), 0..40_u64)
                .prop_map(|(writes, looks, seconds)| Round { writes, looks, seconds }),
            1..200,
        ),
        always_looks in any::<bool>(),
        always_writes in any::<bool>(),
    ) {
        let clock = FakeClock::default();
        let boards = Quarantine::<u8, u32, FakeClock>::with_clock(clock.clone());
        let hold = Hold::until_changed().or_retry(Backoff::every(SECOND * 100));
        let (mut file, mut others, mut timed) = (0, 0, 0);
        for round in rounds {
            clock.advance(SECOND * round.seconds as u32);
            let Some(attempt) = boards.admit(&1, || file).go() else { continue };
            match attempt.why() {
                Reason::Timer => timed += 1,
                _ => others += 1,
            }
            file += u32::from(round.writes || always_writes);
            let _ = match round.looks || always_looks {
                true => attempt.failed_leaving(&file, &hold),
                false => attempt.failed(&hold),
            };
        }
        if always_writes {
            // One before the first stamp, and two that were seen or four that were not.
            prop_assert!(others <= if always_looks { 3 } else { 5 }, "{others} and {timed} timed");
        }
    }

    /// No lost release: whatever came before, a change that attempts are seen not to make is noticed at the next question after `min_hold`.
    #[test]
    fn a_change_by_others_is_noticed_after_min_hold(
        changes in prop::collection::vec((any::<bool>(), 0..10_u64), 1..100),
    ) {
        let clock = FakeClock::default();
        let boards = Quarantine::<u8, usize, FakeClock>::with_clock(clock.clone());
        let min_hold = SECOND * 5;
        let hold = Hold::until_changed().at_least(min_hold);
        let mut file = 0;
        let mut failed: Option<(usize, Duration)> = None;
        for (n, (writes, seconds)) in changes.into_iter().enumerate() {
            if writes {
                file = n;
            }
            clock.advance(SECOND * seconds as u32);
            let now = clock.now();
            let expected = failed.is_none_or(|(seen, at)| seen != file && now - at >= min_hold);
            let attempt = boards.admit_stamped(&1, file).go();
            prop_assert_eq!(attempt.is_some(), expected);
            if let Some(attempt) = attempt {
                attempt.failed_leaving(&file, &hold);
                failed = Some((file, now));
            }
        }
    }
}
