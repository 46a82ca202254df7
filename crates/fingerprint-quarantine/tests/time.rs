//! What time does: the timer, its growth and how that fades, and the shortest hold.

mod support;

use std::cell::Cell;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use fingerprint_quarantine::{
    Admission, Backoff, Clock, FakeClock, Handle, Hold, Quarantine, Reason,
};
use support::{Boards, SECOND, boards, go, held};

/// Waits out the timer to the nanosecond and fails again; the wait that was.
fn fail_at_the_timer(boards: &Boards, clock: &FakeClock, hold: &Hold) -> Duration {
    let wait = held(boards, 1).retry_in.unwrap();
    clock.advance(wait - Duration::from_nanos(1));
    let _ = held(boards, 1);
    clock.advance(Duration::from_nanos(1));
    let attempt = go(boards, 1);
    assert_eq!(attempt.why(), Reason::Timer);
    attempt.failed(hold, |same| *same);
    wait
}

#[test]
fn the_clock_is_read_once_per_verb_and_never_for_a_healthy_key() {
    struct Counted(Cell<u32>);
    impl Clock for Counted {
        fn now(&self) -> Duration {
            self.0.set(self.0.get() + 1);
            Duration::ZERO
        }
    }

    let clock = Counted(Cell::new(0));
    let boards = Quarantine::<u32, u32, &Counted>::with_clock(&clock);
    let reads = |verb: &dyn Fn()| {
        clock.0.set(0);
        verb();
        clock.0.get()
    };
    let hold = Hold::until_changed();
    let handle = boards.handle(&1);
    let fail = |stamp| {
        boards
            .admit_stamped(&1, stamp)
            .go()
            .unwrap()
            .failed(&hold, |same| *same)
    };
    assert_eq!(reads(&|| _ = fail(1)), 1);
    assert_eq!(reads(&|| _ = boards.admit(&1, || 1)), 1, "held");
    assert_eq!(reads(&|| _ = boards.admit(&1, || 2)), 1, "changed");
    assert_eq!(reads(&|| _ = boards.status(&1)), 1);
    assert_eq!(reads(&|| _ = handle.status()), 1);
    assert_eq!(reads(&|| _ = boards.held()), 1);
    let recover = || _ = boards.admit(&1, || 2).go().unwrap().ok();
    assert_eq!(reads(&recover), 2, "admit and ok");
    assert_eq!(reads(&recover), 0, "healthy");
    assert_eq!(reads(&|| _ = handle.admit(|| 1).go().unwrap().ok()), 0);
    fail(1);
    boards.admit(&1, || 2).go().unwrap().ok();
    assert_eq!(reads(&|| _ = handle.admit(|| 1).go().unwrap().ok()), 0);
}

#[test]
fn attempts_at_an_unchanged_thing_follow_b_2b_4b_up_to_the_cap() {
    let (boards, clock) = boards();
    let hold = Hold::until_changed().or_retry(Backoff::new(SECOND * 10, SECOND * 60));
    go(&boards, 1).failed(&hold, |same| *same);
    let waits: Vec<u64> = (0..5)
        .map(|_| fail_at_the_timer(&boards, &clock, &hold).as_secs())
        .collect();
    assert_eq!(waits, [10, 20, 40, 60, 60]);
}

#[test]
fn after_a_success_the_next_failure_starts_again_at_b() {
    let (boards, clock) = boards();
    let hold = Hold::for_time(Backoff::new(SECOND * 10, SECOND * 60));
    go(&boards, 1).failed(&hold, |same| *same);
    fail_at_the_timer(&boards, &clock, &hold);
    clock.advance(SECOND * 20);
    let recovery = go(&boards, 1).ok().unwrap();
    assert_eq!((recovery.attempts, recovery.lasted), (2, SECOND * 30));
    assert_eq!(
        go(&boards, 1).failed(&hold, |same| *same).retry_in,
        Some(SECOND * 10)
    );
}

#[test]
fn only_timed_attempts_make_the_wait_longer_and_a_release_makes_it_short_again() {
    let (boards, clock) = boards();
    let hold = Hold::until_changed().or_retry(Backoff::new(SECOND * 10, SECOND * 60));
    go(&boards, 1).failed(&hold, |same| *same);
    fail_at_the_timer(&boards, &clock, &hold);
    clock.advance(SECOND);
    let changed = go(&boards, 2).failed(&hold, |same| *same);
    assert_eq!(changed.retry_in, Some(SECOND * 20));
    boards.release("a");
    let released = go(&boards, 2).failed(&hold, |same| *same);
    assert_eq!(released.retry_in, Some(SECOND * 10));
}

#[test]
fn a_thing_that_is_written_all_the_time_is_tried_no_more_often_than_min_hold_allows() {
    let (boards, clock) = boards();
    let hold = Hold::until_changed().at_least(SECOND * 30);
    let mut tries = 0;
    for second in 0..600 {
        if let Admission::Go(attempt) = boards.admit_stamped("a", second) {
            tries += 1;
            // Nothing but the writer changes it, and that between the attempts.
            attempt.failed(&hold, |same| *same);
        }
        clock.advance(SECOND);
    }
    assert_eq!(tries, 600 / 30);
}

#[test]
fn min_hold_also_outlasts_a_shorter_timer_but_not_a_person() {
    let (boards, clock) = boards();
    let hold = Hold::for_time(Backoff::every(SECOND)).at_least(SECOND * 5);
    assert_eq!(
        go(&boards, 1).failed(&hold, |same| *same).retry_in,
        Some(SECOND * 5)
    );
    clock.advance(SECOND * 4);
    assert_eq!(held(&boards, 1).retry_in, Some(SECOND));
    boards.release("a");
    assert_eq!(go(&boards, 1).why(), Reason::Manual);
}

#[test]
fn keys_that_fail_together_do_not_come_back_together() {
    let clock = FakeClock::default();
    let retries = || -> Vec<Duration> {
        let hasher = BuildHasherDefault::<DefaultHasher>::new();
        let boards = Quarantine::<u32, u32, _, _>::with_clock_and_hasher(clock.clone(), hasher);
        let hold = Hold::for_time(Backoff::every(SECOND * 100).with_jitter(20));
        let fail = |key: u32| {
            boards
                .admit_stamped(&key, 1)
                .go()
                .unwrap()
                .failed(&hold, |same| *same)
        };
        (0..100).filter_map(|key| fail(key).retry_in).collect()
    };
    let mut waits = retries();
    assert_eq!(waits, retries(), "the same seed, the same waits");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 90, "{}", waits.len());
    assert!(waits[0] >= SECOND * 80 && waits[waits.len() - 1] <= SECOND * 100);
}

/// Fails, waits for the timer, works, and stays healthy so long; the wait that was.
fn flap(key: &Handle<u32, u32, FakeClock>, clock: &FakeClock, hold: &Hold, healthy: u32) -> u64 {
    let wait = key
        .admit_stamped(1)
        .go()
        .unwrap()
        .failed(hold, |same| *same)
        .retry_in;
    clock.advance(wait.unwrap());
    let attempt = key.admit_stamped(1).go().unwrap();
    assert_eq!(attempt.why(), Reason::Timer);
    assert!(attempt.ok().is_some());
    clock.advance(SECOND * healthy);
    wait.unwrap().as_secs()
}

#[test]
fn a_thing_that_flaps_waits_longer_each_time_and_its_growth_fades_while_it_is_healthy() {
    let clock = FakeClock::default();
    let keys = Quarantine::<u32, u32, _>::with_clock(clock.clone());
    let key = keys.handle(&1);
    let backoff = Backoff::new(SECOND * 10, SECOND * 60);
    let fading = Hold::for_time(backoff.with_decay(SECOND * 100));
    let waits = [0, 99, 100, 250, 1_000].map(|healthy| flap(&key, &clock, &fading, healthy));
    assert_eq!(waits, [10, 20, 40, 40, 20]);
    assert_eq!(flap(&key, &clock, &fading, 0), 10);
    // Up to the cap, as any growth.
    let waits = [0; 6].map(|healthy| flap(&key, &clock, &fading, healthy));
    assert_eq!(waits, [20, 40, 60, 60, 60, 60]);
    // Without a decay the first success forgets it all.
    let plain = Hold::for_time(backoff);
    flap(&key, &clock, &plain, 0);
    assert_eq!(flap(&key, &clock, &plain, 0), 10);
}

#[test]
fn what_somebody_mended_starts_anew_and_so_does_what_has_no_handle() {
    let clock = FakeClock::default();
    let keys = Quarantine::<u32, u32, _>::with_clock(clock.clone());
    let hold = Hold::until_changed()
        .or_retry(Backoff::new(SECOND * 10, SECOND * 60).with_decay(SECOND * 1_000));
    let fail = |stamp| {
        keys.admit_stamped(&1, stamp)
            .go()
            .unwrap()
            .failed(&hold, |same| *same)
    };
    let key = keys.handle(&1);
    let mends: [&dyn Fn() -> u32; 4] = [
        &|| {
            keys.admit_stamped(&1, 2).go().unwrap().ok();
            2
        },
        &|| {
            keys.release(&1);
            keys.admit_stamped(&1, 1).go().unwrap().ok();
            1
        },
        &|| {
            keys.forget(&1);
            1
        },
        &|| {
            // Released, or forgotten, when it is healthy again.
            clock.advance(SECOND * 60);
            keys.admit_stamped(&1, 1).go().unwrap().ok();
            assert!(!keys.release(&1));
            1
        },
    ];
    for mend in mends {
        for _ in 0..3 {
            flap(&key, &clock, &hold, 0);
        }
        assert_eq!(fail(1).retry_in, Some(SECOND * 60));
        let stamp = mend();
        assert_eq!(fail(stamp).retry_in, Some(SECOND * 10));
        keys.forget(&1);
    }
    flap(&key, &clock, &hold, 0);
    drop(key);
    assert_eq!(fail(1).retry_in, Some(SECOND * 10));
    assert_eq!(keys.len(), 1);
}

#[test]
fn the_growth_that_a_handle_remembers_also_counts_after_probation() {
    let clock = FakeClock::default();
    let key = Quarantine::<u32, u32, _>::with_clock(clock.clone()).handle(&1);
    let hold = Hold::for_time(Backoff::new(SECOND * 10, SECOND * 60).with_decay(SECOND * 1_000));
    flap(&key, &clock, &hold, 0);
    key.admit(|| 1).go().unwrap().failed(&hold, |same| *same);
    let second = key.admit(|| 1).go().unwrap();
    assert_eq!(second.why(), Reason::Probation);
    assert_eq!(
        second.failed(&hold, |same| *same).retry_in,
        Some(SECOND * 20)
    );
}
