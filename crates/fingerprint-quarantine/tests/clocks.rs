//! Clocks that cannot be trusted: they step back, jump forward, stand still while the machine sleeps, or end. None makes a hold
//! overflow, panic or last for ever, and none keeps a change or a person from ending it.

mod support;

use std::sync::Arc;
use std::time::Duration;

use fingerprint_quarantine::{
    Admission, Backoff, Clock, FakeClock, Hold, Monotonic, Quarantine, Reason, Standing, TickClock,
};
use proptest::prelude::*;
use support::{SECOND, boards, go, held};

#[test]
fn a_clock_that_steps_back_costs_at_most_one_more_wait() {
    let (boards, clock) = boards();
    let wait = SECOND * 60;
    let hold = Hold::until_changed()
        .or_retry(Backoff::every(wait))
        .at_least(SECOND);
    go(&boards, 1).failed(&hold, |same| *same);
    clock.advance(SECOND * 30);
    clock.set(Duration::ZERO);
    let now = held(&boards, 1);
    assert_eq!((now.retry_in, now.since), (Some(wait), Duration::ZERO));
    clock.advance(SECOND);
    assert_eq!(go(&boards, 2).why(), Reason::Changed);
    clock.advance(wait - SECOND);
    assert_eq!(go(&boards, 1).why(), Reason::Timer);
}

#[test]
fn a_clock_that_jumps_forward_ends_waits_and_no_more() {
    let (boards, clock) = boards();
    let hold = Hold::for_time(Backoff::new(SECOND, Duration::MAX));
    go(&boards, 1).failed(&hold, |same| *same);
    clock.set(Duration::MAX);
    let attempt = go(&boards, 1);
    assert_eq!(attempt.why(), Reason::Timer);
    let last = attempt.failed(&hold, |same| *same);
    assert_eq!(last.retry_in, Some(SECOND * 2));
    // Time has come to its end, so the wait does not; but nothing overflows, and a person still can.
    clock.advance(Duration::MAX);
    assert_eq!(held(&boards, 1).retry_in, Some(SECOND * 2));
    assert!(boards.release("a"));
    assert!(go(&boards, 1).ok().is_some());
}

#[test]
fn no_hold_overflows_however_long() {
    let (boards, clock) = boards();
    let forever = Backoff::new(Duration::MAX, Duration::MAX)
        .with_factor(u32::MAX)
        .with_jitter(255);
    let hold = Hold::until_changed()
        .or_retry(forever)
        .at_least(Duration::MAX);
    for now in [Duration::ZERO, SECOND, Duration::MAX, Duration::ZERO] {
        clock.set(now);
        boards.release("a");
        assert_eq!(
            go(&boards, 1).failed(&hold, |same| *same).standing,
            Standing::Held
        );
        let _ = held(&boards, 2).to_string();
    }
}

#[test]
fn a_clock_that_stands_still_in_a_suspend_counts_time_awake_and_a_change_meanwhile_releases() {
    let (boards, clock) = boards();
    let hold = Hold::until_changed().or_retry(Backoff::every(SECOND * 60));
    go(&boards, 1).failed(&hold, |same| *same);
    clock.advance(SECOND * 59);
    // Here the machine sleeps for a night, and the clock with it.
    assert_eq!(held(&boards, 1).retry_in, Some(SECOND));
    assert_eq!(go(&boards, 2).why(), Reason::Changed);
    clock.advance(SECOND);
    assert_eq!(go(&boards, 1).why(), Reason::Timer);
}

#[test]
fn a_clock_that_counts_the_suspend_costs_each_key_one_attempt_on_waking() {
    let (boards, clock) = boards();
    let hold = Hold::for_time(Backoff::new(SECOND * 10, SECOND * 600)).at_least(SECOND * 5);
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let round = || {
        let mut tries = 0;
        for name in &names {
            if let Some(attempt) = boards.admit_stamped(name, 1).go() {
                attempt.failed(&hold, |same| *same);
                tries += 1;
            }
        }
        tries
    };
    assert_eq!((round(), round()), (20, 0));
    clock.advance(SECOND * 8 * 3600);
    assert_eq!((round(), round()), (20, 0));
}

#[test]
fn the_system_s_clock_is_monotonic_and_starts_at_zero() {
    let clock = Monotonic::default();
    let mut last = clock.now();
    assert!(last < SECOND);
    for _ in 0..10_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
}

#[test]
fn a_tick_clock_stands_still_between_ticks_for_all_its_clones_and_stops_at_its_end() {
    let source = FakeClock::at(SECOND);
    let clock = TickClock::over(source.clone());
    let boards = Quarantine::<u32, u32, _>::with_clock(clock.clone());
    let hold = Hold::for_time(Backoff::every(SECOND));
    boards
        .admit_stamped(&1, 1)
        .go()
        .unwrap()
        .failed(&hold, |same| *same);
    source.advance(SECOND);
    assert!(boards.admit_stamped(&1, 1).go().is_none());
    assert_eq!(clock.tick(), SECOND * 2);
    assert!(boards.admit_stamped(&1, 1).go().is_some());
    source.set(Duration::MAX);
    assert_eq!(clock.tick(), Duration::from_nanos(u64::MAX));
    source.set(Duration::ZERO);
    assert_eq!(clock.tick(), Duration::ZERO);
    assert!(TickClock::new().now() < SECOND && TickClock::default().now() < SECOND);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the clock has done before: from any moment on that it runs properly, a timed hold lasts no longer than it says.
    #[test]
    fn no_clock_makes_a_hold_last_longer_than_one_more_wait(
        readings in prop::collection::vec(
            prop_oneof![any::<u64>().prop_map(Duration::from_nanos), Just(Duration::MAX), (0..200_u64).prop_map(Duration::from_secs)],
            1..20,
        ),
        wait in 0..100_u32,
        least in 0..100_u32,
    ) {
        let (boards, clock) = boards();
        let hold = Hold::until_changed()
            .or_retry(Backoff::every(SECOND * wait))
            .at_least(SECOND * least);
        go(&boards, 1).failed(&hold, |same| *same);
        for reading in readings {
            clock.set(reading);
            if let Some(attempt) = boards.admit_stamped("a", 1).go() {
                attempt.failed(&hold, |same| *same);
            }
        }
        let now = clock.now();
        clock.set(now.min(Duration::MAX - SECOND * 100));
        let left = match boards.admit_stamped("a", 1) {
            Admission::Held(held) => held.retry_in.unwrap(),
            _ => Duration::ZERO,
        };
        prop_assert!(left <= SECOND * wait.max(least), "{left:?}");
        clock.advance(left);
        prop_assert!(boards.admit_stamped("a", 1).go().is_some());
    }
}

#[test]
fn the_monotonic_clock_goes_on() {
    let clock = Monotonic::new();
    let first = clock.now();
    assert!((0..10_000_000).any(|_| clock.now() > first));
}

#[test]
fn a_shared_clock_is_the_clock() {
    let clock = Arc::new(FakeClock::at(SECOND * 5));
    assert_eq!(Clock::now(&clock), SECOND * 5);
}
