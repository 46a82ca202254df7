//! What a user can see on one thread: one grant per key, remembered, and given again only where that was asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use once_per_key_repair::{Outcome, Permit, Rearmed, RepairGate, Turn};

type Gate = RepairGate<String>;

fn permit<'g>(gate: &'g Gate, key: &str) -> Permit<'g, String> {
    match gate.enter(key) {
        Turn::Yours(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

fn settle(gate: &Gate, key: &str, result: Result<(), ()>) {
    assert_eq!(permit(gate, key).run(|_token| result), result);
}

fn spent(gate: &Gate, key: &str) -> Option<Outcome> {
    match gate.enter(key) {
        Turn::Spent(outcome) => Some(outcome),
        _ => None,
    }
}

#[test]
fn each_way_to_end_a_turn_is_remembered_under_its_own_name() {
    let gate = Gate::new();
    settle(&gate, "ok", Ok(()));
    settle(&gate, "err", Err(()));
    drop(permit(&gate, "drop"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _: Result<(), ()> = permit(&gate, "panic").run(|_token| panic!("the payload"));
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"the payload"));

    let expected = [
        ("ok", Outcome::Repaired),
        ("err", Outcome::Failed),
        ("drop", Outcome::Abandoned),
        ("panic", Outcome::Panicked),
    ];
    for (key, outcome) in expected {
        for _ in 0..5 {
            assert_eq!(spent(&gate, key), Some(outcome), "{key}");
            assert_eq!(gate.outcome(key), Some(outcome), "{key}");
        }
    }
}

#[test]
fn a_repair_that_panics_leaves_the_gate_usable_and_nobody_in_flight() {
    let gate = Gate::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _: Result<(), ()> = permit(&gate, "a").run(|_token| panic!());
    }));
    assert!(panicked.is_err());
    settle(&gate, "b", Ok(()));
    assert_eq!(gate.rearm("a"), Rearmed::Ready(Outcome::Panicked));
    settle(&gate, "a", Ok(()));
}

#[test]
fn a_panic_between_the_grant_and_the_run_counts_as_abandoned() {
    let gate = Gate::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _permit = permit(&gate, "a");
        panic!();
    }));
    assert!(panicked.is_err());
    assert_eq!(gate.outcome("a"), Some(Outcome::Abandoned));
}

#[test]
fn a_run_hands_back_what_the_repair_returned() {
    let gate = Gate::new();
    assert_eq!(
        permit(&gate, "a").run(|token| Ok::<_, ()>(token.key().len())),
        Ok(1)
    );
    assert_eq!(
        permit(&gate, "b").run(|token| Err::<(), _>(token.key().clone())),
        Err("b".into())
    );
}

#[test]
fn a_forfeited_turn_is_granted_again_and_leaves_no_outcome() {
    let gate = Gate::new();
    for _ in 0..3 {
        permit(&gate, "a").forfeit();
        assert_eq!(gate.outcome("a"), None);
    }
    settle(&gate, "a", Ok(()));
    assert_eq!(spent(&gate, "a"), Some(Outcome::Repaired));
}

#[test]
fn re_arming_gives_exactly_one_more_turn_however_often_it_is_asked_for() {
    let gate = Gate::new();
    settle(&gate, "a", Err(()));
    assert_eq!(gate.rearm("a"), Rearmed::Ready(Outcome::Failed));
    assert_eq!(gate.rearm("a"), Rearmed::Unspent);
    settle(&gate, "a", Ok(()));
    assert_eq!(spent(&gate, "a"), Some(Outcome::Repaired));
}

#[test]
fn re_arming_in_flight_lets_the_permit_end_first_and_then_gives_one_more_turn() {
    let gate = Gate::new();
    let first = permit(&gate, "a");
    assert_eq!(gate.rearm("a"), Rearmed::AfterFlight);
    assert_eq!(gate.rearm("a"), Rearmed::AfterFlight);
    assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
    first.run(|_token| Ok::<(), ()>(())).unwrap();
    assert_eq!(gate.outcome("a"), None);
    settle(&gate, "a", Err(()));
    assert_eq!(spent(&gate, "a"), Some(Outcome::Failed));
}

#[test]
fn a_forfeit_of_a_re_armed_turn_leaves_one_turn_and_not_two() {
    let gate = Gate::new();
    let first = permit(&gate, "a");
    assert_eq!(gate.rearm("a"), Rearmed::AfterFlight);
    first.forfeit();
    settle(&gate, "a", Ok(()));
    assert_eq!(spent(&gate, "a"), Some(Outcome::Repaired));
}

#[test]
fn asking_about_unknown_keys_takes_no_memory() {
    let gate = Gate::new();
    assert_eq!(gate.outcome("a"), None);
    assert_eq!(gate.rearm("a"), Rearmed::Unspent);
    gate.retain(|_| false);
    assert!(gate.is_empty());
}

#[test]
fn keys_are_forgotten_when_refused_but_not_while_their_permit_is_out() {
    let gate = Gate::new();
    let out = permit(&gate, "out");
    for key in ["gone", "here"] {
        settle(&gate, key, Ok(()));
    }
    gate.retain(|key| key == "here");
    assert_eq!(gate.len(), 2);
    assert!(matches!(gate.enter("out"), Turn::InFlight(_)));
    drop(out);
    assert_eq!(spent(&gate, "out"), Some(Outcome::Abandoned));
    assert_eq!(spent(&gate, "here"), Some(Outcome::Repaired));
    settle(&gate, "gone", Err(()));
}

#[test]
fn ten_thousand_keys_come_and_go_and_each_stays_right() {
    let gate = RepairGate::<u64>::new();
    for key in 0..10_000 {
        let Turn::Yours(permit) = gate.enter(&key) else {
            panic!("{key} is new")
        };
        permit
            .run(|_| if key % 2 == 0 { Ok(()) } else { Err(()) })
            .ok();
    }
    assert_eq!(gate.len(), 10_000);
    gate.retain(|key| key % 100 == 0);
    assert_eq!(gate.len(), 100);
    for key in 0..10_000 {
        let expected = (key % 100 == 0).then_some(Outcome::Repaired);
        assert_eq!(gate.outcome(&key), expected, "{key}");
    }
}

#[test]
fn a_handle_and_the_key_share_one_turn_both_ways() {
    let gate = Gate::new();
    let handle = gate.handle("a");
    let clone = handle.clone();
    assert!(!gate.is_empty());
    let permit = permit(&gate, "a");
    assert!(matches!(handle.enter(), Turn::InFlight(_)));
    drop(permit);
    assert!(matches!(clone.enter(), Turn::Spent(Outcome::Abandoned)));
    assert_eq!(clone.rearm(), Rearmed::Ready(Outcome::Abandoned));
    let Turn::Yours(_permit) = handle.enter() else {
        panic!("re-armed")
    };
    assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
}

#[test]
fn a_handle_of_a_forgotten_key_is_untried_and_still_shares_its_turn() {
    let gate = Gate::new();
    let handle = gate.handle("a");
    settle(&gate, "a", Err(()));
    gate.retain(|_| false);
    assert_eq!(handle.outcome(), None);
    assert_eq!(gate.len(), 1);
    settle(&gate, "a", Ok(()));
    assert!(matches!(handle.enter(), Turn::Spent(Outcome::Repaired)));

    drop(handle);
    gate.retain(|_| false);
    assert!(gate.is_empty());
}

#[test]
fn a_handle_outlives_its_gate() {
    let handle = Gate::new().handle("a");
    drop(handle.enter());
    assert_eq!(handle.clone().outcome(), Some(Outcome::Abandoned));
}

#[test]
fn a_forgotten_permit_is_the_one_hole_and_keeps_its_key_in_flight() {
    let gate = Gate::new();
    std::mem::forget(permit(&gate, "a"));
    assert_eq!(gate.rearm("a"), Rearmed::AfterFlight);
    gate.retain(|_| false);
    assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
    settle(&gate, "b", Ok(()));
}

#[test]
fn the_predicate_of_retain_may_use_the_gate() {
    let gate = Gate::new();
    settle(&gate, "a", Ok(()));
    settle(&gate, "b", Err(()));
    gate.retain(|key| {
        drop(gate.enter("new"));
        gate.outcome(key.as_str()) == Some(Outcome::Repaired)
    });
    assert_eq!(spent(&gate, "a"), Some(Outcome::Repaired));
    assert_eq!(gate.outcome("b"), None);
    assert_eq!(gate.len(), 2);
}
