//! The two laws about how often a thing is tried: not too often while nobody else changes it, and soon when somebody does.

use std::time::Duration;

use fingerprint_quarantine::{Backoff, Clock, FakeClock, Hold, Quarantine, Reason};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Bounded attempts: nobody else changes the thing, so what is not the timer's doing is two, or three if each attempt writes.
    #[test]
    fn a_thing_that_only_its_own_attempts_write_to_is_tried_by_the_timer_and_three_times(
        rounds in prop::collection::vec(0..40_u32, 1..200),
        writes in any::<bool>(),
    ) {
        let clock = FakeClock::default();
        let boards = Quarantine::<u8, u32, FakeClock>::with_clock(clock.clone());
        let hold = Hold::until_changed().or_retry(Backoff::every(SECOND * 100));
        let (mut file, mut others) = (0, 0);
        for seconds in rounds {
            clock.advance(SECOND * seconds);
            let Some(attempt) = boards.admit(&1, || file).go() else { continue };
            others += u32::from(attempt.why() != Reason::Timer);
            file += u32::from(writes);
            attempt.failed(&hold, |_| file);
        }
        prop_assert!(others <= if writes { 3 } else { 2 }, "{others}");
    }

    /// The same for attempts that write now and then: only what they write twice in a row, and what they do not, is told apart.
    #[test]
    fn what_attempts_write_now_and_then_costs_one_attempt_more_for_each_such_write(
        rounds in prop::collection::vec((any::<bool>(), 0..40_u32), 1..200),
    ) {
        let clock = FakeClock::default();
        let boards = Quarantine::<u8, u32, FakeClock>::with_clock(clock.clone());
        let hold = Hold::until_changed().or_retry(Backoff::every(SECOND * 100));
        let (mut file, mut others) = (0, 0);
        for (writes, seconds) in rounds {
            clock.advance(SECOND * seconds);
            let Some(attempt) = boards.admit(&1, || file).go() else { continue };
            others += u32::from(attempt.why() != Reason::Timer);
            file += u32::from(writes);
            attempt.failed(&hold, |_| file);
        }
        prop_assert!(others <= 2 + file, "{others} and {file} written");
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
                attempt.failed(&hold, |_| file);
                failed = Some((file, now));
            }
        }
    }
}
