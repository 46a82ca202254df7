//! Several attempts per key: how many there are, what uses one, what ends them early, and what gives them back.

use std::num::NonZeroU8;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use once_per_key_repair::{Outcome, Permit, Rearmed, RepairGate, Turn, Waited};

type Gate = RepairGate<String>;

fn gate(attempts: u8) -> Gate {
    Gate::new().with_budget(NonZeroU8::new(attempts).expect("not zero"))
}

fn permit<'g>(gate: &'g Gate, key: &str) -> Permit<'g, String> {
    match gate.enter(key) {
        Turn::Yours(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

#[test]
fn each_key_has_the_whole_budget_and_what_is_remembered_is_how_the_last_attempt_ended() {
    let gate = gate(3);
    for key in ["a", "b"] {
        for attempt in 1..=3 {
            assert_eq!(gate.outcome(key), None);
            let permit = permit(&gate, key);
            assert_eq!(permit.attempt(), attempt);
            let result = permit.run(|token| {
                assert_eq!(token.attempt(), attempt);
                if attempt < 3 { Ok(()) } else { Err(()) }
            });
            assert_eq!(result.is_ok(), attempt < 3);
        }
        assert!(matches!(gate.enter(key), Turn::Spent(Outcome::Failed)));
        assert_eq!(gate.outcome(key), Some(Outcome::Failed));
    }
}

#[test]
fn every_end_but_a_forfeit_uses_one_attempt() {
    let gate = gate(5);
    permit(&gate, "a").run(|_| Ok::<(), ()>(())).unwrap();
    permit(&gate, "a").run(|_| Err::<(), ()>(())).unwrap_err();
    drop(permit(&gate, "a"));
    for _ in 0..10 {
        permit(&gate, "a").forfeit();
    }
    let panics = || permit(&gate, "a").run::<(), ()>(|_| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(permit(&gate, "a").attempt(), 5);
    assert_eq!(gate.outcome("a"), Some(Outcome::Abandoned));
}

#[test]
fn re_arming_a_key_with_attempts_left_gives_all_of_them_back() {
    let gate = gate(2);
    permit(&gate, "a").run(|_| Err::<(), ()>(())).unwrap_err();
    assert_eq!(gate.rearm("a"), Rearmed::Ready(Outcome::Failed));
    assert_eq!(gate.rearm("a"), Rearmed::Unspent);
    for attempt in 1..=2 {
        assert_eq!(permit(&gate, "a").attempt(), attempt);
    }
    assert!(matches!(gate.enter("a"), Turn::Spent(_)));
}

#[test]
fn re_arming_in_flight_gives_all_attempts_back_when_the_turn_ends_or_is_forfeited() {
    let ends: [fn(Permit<'_, String>); 2] = [|permit| permit.forfeit(), |permit| drop(permit)];
    for end in ends {
        let gate = gate(2);
        drop(permit(&gate, "a"));
        let second = permit(&gate, "a");
        assert_eq!(second.attempt(), 2);
        assert_eq!(gate.rearm("a"), Rearmed::AfterFlight);
        end(second);
        assert_eq!(permit(&gate, "a").attempt(), 1);
    }
}

#[test]
fn forgetting_gives_all_attempts_back_but_not_those_of_a_key_whose_permit_is_out() {
    let gate = gate(2);
    let handle = gate.handle("a");
    drop(permit(&gate, "a"));
    gate.retain(|_| false);
    assert_eq!(permit(&gate, "a").attempt(), 1);

    let second = permit(&gate, "a");
    gate.retain(|_| false);
    drop(second);
    assert_eq!(handle.outcome(), Some(Outcome::Abandoned));
}

#[test]
fn those_who_wait_hear_of_that_attempt_and_may_have_the_next() {
    let gate = gate(2);
    let first = permit(&gate, "a");
    let Turn::InFlight(waiter) = gate.enter("a") else {
        panic!("in flight")
    };
    first.run(|_| Err::<(), ()>(())).unwrap_err();
    assert_eq!(waiter.wait(), Waited::Settled(Outcome::Failed));
    assert_eq!(permit(&gate, "a").attempt(), 2);
}

#[test]
fn a_key_keeps_the_budget_it_was_first_seen_with() {
    let gate = Gate::new();
    drop(gate.handle("old"));
    let gate = gate.with_budget(NonZeroU8::MAX);
    drop(permit(&gate, "old"));
    assert!(matches!(gate.enter("old"), Turn::Spent(_)));
    for attempt in 1..=255 {
        assert_eq!(permit(&gate, "new").attempt(), attempt);
    }
    assert!(matches!(gate.enter("new"), Turn::Spent(_)));
    // One that was forgotten is first seen once more.
    gate.retain(|key| key != "old");
    for attempt in 1..=255 {
        assert_eq!(permit(&gate, "old").attempt(), attempt);
    }
}

#[test]
fn threads_share_a_budget_and_never_run_two_at_once() {
    let gate = gate(7);
    let (running, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Barrier::new(4);
    let work = || {
        start.wait();
        loop {
            match gate.enter("a") {
                Turn::Yours(permit) => permit
                    .run(|_| {
                        assert_eq!(running.fetch_add(1, Relaxed), 0);
                        thread::yield_now();
                        ran.fetch_add(1, Relaxed);
                        running.fetch_sub(1, Relaxed);
                        Ok::<(), ()>(())
                    })
                    .unwrap(),
                Turn::InFlight(waiter) => drop(waiter.wait()),
                Turn::Spent(outcome) => break assert_eq!(outcome, Outcome::Repaired),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    assert_eq!(ran.load(Relaxed), 7);
}
