//! The two laws about how often a thing is tried: not too often while nobody else changes it, and soon when somebody does.

use std::time::Duration;

use fingerprint_quarantine::{Backoff, Clock, FakeClock, Hold, Quarantine, Reason};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Bounded attempts: nobody else changes the thing, so what is not the timer's doing is two, or three if attempts write.
    #[test]
    fn a_thing_that_only_its_own_attempts_write_to_is_tried_by_the_timer_and_three_times(
        rounds in prop::collection::vec((any::<bool>(), 0..40_u32), 1..200),
        always in any::<bool>(),
    ) {
        let clock = FakeClock::default();
        let boards = Quarantine::<u8, u32, FakeClock>::with_clock(clock.clone());
        let hold = Hold::until_changed().or_retry(Backoff::every(SECOND * 100));
        let (mut file, mut others) = (0, 0);
        for (writes, seconds) in rounds {
            clock.advance(SECOND * seconds);
            let Some(attempt) = boards.admit(&1, || file).go() else { continue };
            others += u32::from(attempt.why() != Reason::Timer);
            file += u32::from(writes || always);
            attempt.failed(&hold, |_| file);
        }
        prop_assert!(others <= if file > 0 { 3 } else { 2 }, "{others}");
    }

    /// No lost release: after `min_hold` the next question notices any change since before the attempt, unless the stamp had changed
    /// during two attempts. Who wrote then cannot be told; a timer is far away.
    #[test]
    fn a_change_is_noticed_after_min_hold_unless_two_attempts_saw_one(
        rounds in prop::collection::vec(
            (any::<bool>(), prop::bool::weighted(0.3), 0..10_u32),
            1..100,
        ),
        has_timer in any::<bool>(),
    ) {
        let clock = FakeClock::default();
        let boards = Quarantine::<u8, u32, FakeClock>::with_clock(clock.clone());
        let min_hold = SECOND * 5;
        let hold = Hold::until_changed().at_least(min_hold);
        let hold = if has_timer { hold.or_retry(Backoff::every(SECOND * 1_000_000)) } else { hold };
        let (mut file, mut seen) = (0, 0);
        let mut failed: Option<(u32, Duration)> = None;
        for (before, during, seconds) in rounds {
            file += u32::from(before);
            clock.advance(SECOND * seconds);
            let now = clock.now();
            let expected = failed.is_none_or(|(stamp, at)| {
                stamp != file && now - at >= min_hold && (seen < 2 || !has_timer)
            });
            let attempt = boards.admit_stamped(&1, file).go();
            prop_assert_eq!(attempt.is_some(), expected);
            if let Some(attempt) = attempt {
                failed = Some((file, now));
                file += u32::from(during);
                seen = if during { (seen + 1).min(2) } else { seen.min(1) };
                let held = attempt.failed(&hold, |_| file);
                prop_assert_eq!(held.self_disturbing, seen >= 2 && has_timer);
            }
        }
    }
}
