//! Proves that memory is bounded and that a bound never costs a count: capacity, overflow, and handles to entries that a
//! sweep or `forget` would let go.

mod support;

use support::{T, W, fail, sweep};

#[test]
fn ten_thousand_keys_stay_below_the_bound_and_every_failure_is_counted() {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(1_000).build();
    let mut lines = 0;
    for board in 0..10_000 {
        lines += fail(&throttle, &format!("board-{board}"), 1, 1);
        assert!(throttle.len() <= throttle.capacity());
    }
    assert_eq!(
        lines, 1_001,
        "each of the first thousand, and one for the others"
    );
    let totals = throttle.totals();
    assert_eq!(
        (totals.observed, totals.folded, totals.pending),
        (10_000, 9_000, 8_999)
    );

    clock.advance(W);
    let mut about = 0;
    throttle.sweep(|_, _, pending| about = pending.folded_keys);
    assert!(
        (8_000..10_000).contains(&about),
        "the summary says about how many keys: {about}"
    );
    assert_eq!(
        (throttle.len(), throttle.totals().evicted),
        (0, 1_000),
        "a full throttle forgets"
    );
    assert!(throttle.totals().is_conserved());
}

#[test]
fn removed_keys_leave_nothing_behind() {
    let (throttle, _) = support::throttle();
    for board in 0..10_000 {
        let board = format!("board-{board}");
        fail(&throttle, &board, 1, 2);
        assert_eq!(throttle.forget(&board).map(|end| end.suppressed), Some(1));
    }
    assert_eq!((throttle.len(), throttle.totals().evicted), (0, 10_000));
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_key_without_room_shares_its_class_s_line() {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(1).build();
    assert_eq!(
        throttle.check("alpha", 1).map(|line| line.folded_keys),
        Some(0)
    );
    assert_eq!(
        throttle.check("beta", 1).map(|line| line.folded_keys),
        Some(1)
    );
    assert_eq!(
        fail(&throttle, "gamma", 1, 2) + fail(&throttle, "delta", 1, 1),
        0
    );
    assert_eq!(
        fail(&throttle, "gamma", 2, 1),
        1,
        "a new class is heard even now"
    );
    assert_eq!((throttle.len(), throttle.pending("gamma")), (1, 0));
    clock.advance(W);
    let line = throttle.check("beta", 1).expect("the window is over");
    assert_eq!((line.suppressed, line.folded_keys), (3, 3));
    assert_eq!(line.to_string(), "(+3 in 60s, about 3 keys)");
}

#[test]
fn a_full_throttle_still_knows_its_own_keys() {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(1).build();
    fail(&throttle, "alpha", 1, 5);
    fail(&throttle, "beta", 1, 5);
    clock.advance(W);
    assert_eq!(
        throttle.check("alpha", 1).map(|line| line.suppressed),
        Some(4)
    );
    assert_eq!(throttle.recovered("beta"), None);
    assert_eq!(sweep(&throttle), [("beta".into(), 1, 4)]);
}

#[test]
fn room_that_is_made_is_used() {
    let (builder, _) = support::builder();
    let throttle = builder.capacity(1).build();
    fail(&throttle, "alpha", 1, 2);
    assert_eq!(fail(&throttle, "beta", 1, 2), 1);
    drop(throttle.forget("alpha"));
    // The line before was its class's, and may have been of any key: in this window it is the first of its own.
    assert_eq!(fail(&throttle, "beta", 1, 2), 1);
    assert_eq!((throttle.len(), throttle.pending("beta")), (1, 1));
}

#[test]
fn beyond_the_capacity_there_is_one_entry_for_each_class() {
    let (builder, _) = support::builder();
    let throttle = builder.capacity(1).build();
    for key in 0..100 {
        for class in 1..=3 {
            fail(&throttle, &format!("board-{key}"), class, 2);
        }
    }
    // The first key's own entry, and an entry for whatever each class had no room for.
    let mut held_back = Vec::new();
    throttle.drain(|_, class, pending| held_back.push((class.get(), pending.suppressed)));
    held_back.sort_unstable();
    assert_eq!(held_back, [(1, 1), (1, 197), (2, 199), (3, 199)]);
}

#[test]
fn a_capacity_of_zero_throttles_by_class() {
    let (builder, _) = support::builder();
    let throttle = builder.capacity(0).build();
    let lines: usize = ["alpha", "beta"]
        .map(|key| fail(&throttle, key, 1, 3))
        .iter()
        .sum();
    assert_eq!((lines, throttle.len()), (1, 0));
    assert_eq!(
        throttle.drain(|_, _, pending| assert_eq!(pending.suppressed, 5)),
        1
    );
}

#[test]
fn lines_that_handles_hold_back_tell_how_many_keys_they_were_of() {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(0).build();
    let handles = ["alpha", "beta", "gamma"].map(|key| throttle.handle(key, 1));
    assert!(handles[0].check().is_some());
    assert!(handles.iter().all(|handle| handle.check().is_none()));
    clock.advance(W);
    let line = handles[0].check();
    assert_eq!(
        line.map(|line| (line.suppressed, line.folded_keys)),
        Some((3, 3))
    );
}

#[test]
fn an_entry_with_a_handle_is_not_evicted() {
    let (throttle, clock) = support::throttle();
    let handle = throttle.handle("alpha", 1);
    let second = handle.clone();
    clock.advance(100 * W);
    sweep(&throttle);
    assert_eq!(throttle.len(), 1);
    drop(handle);
    assert!(second.check().is_some() && second.check().is_none());
    assert_eq!(
        throttle.pending("alpha"),
        1,
        "it still counts into the throttle"
    );
    drop(second);
    clock.advance(W);
    assert_eq!(sweep(&throttle), [("alpha".into(), 1, 1)]);
    clock.advance(100 * W);
    sweep(&throttle);
    assert!(throttle.is_empty());
}

#[test]
fn a_handle_to_a_forgotten_key_still_counts_into_the_throttle() {
    let (throttle, clock) = support::throttle();
    let handle = throttle.handle("alpha", 1);
    for _ in 0..4 {
        let _ = handle.check();
    }
    assert_eq!(throttle.forget("alpha").map(|end| end.suppressed), Some(3));
    assert!(handle.check().is_some(), "a new life starts with a line");
    assert!(handle.check().is_none());
    assert_eq!(
        (throttle.totals().pending, throttle.totals().evicted),
        (1, 0)
    );
    assert!(throttle.totals().is_conserved());
    clock.advance(W + T);
    assert_eq!(sweep(&throttle), [("alpha".into(), 1, 1)]);
}

#[test]
fn a_handle_made_without_room_folds_and_says_so() {
    let (builder, _) = support::builder();
    let throttle = builder.capacity(1).build();
    let (own, folded) = (throttle.handle("alpha", 1), throttle.handle("beta", 1));
    assert_eq!((own.is_folded(), folded.is_folded()), (false, true));
    assert!(own.check().is_some() && folded.check().is_some());
    assert_eq!(
        fail(&throttle, "gamma", 1, 1),
        0,
        "the overflow entry is one for all"
    );
    assert_eq!(
        (own.pending(), folded.pending(), folded.class().get()),
        (0, 1, 1)
    );
}

#[cfg(feature = "serde")]
#[test]
fn totals_are_written_as_plain_numbers() -> Result<(), serde_json::Error> {
    let (throttle, _) = support::throttle();
    fail(&throttle, "alpha", 1, 3);
    let json = serde_json::to_value(throttle.totals())?;
    assert_eq!(
        (&json["observed"], &json["pending"]),
        (&3.into(), &2.into())
    );
    assert_eq!(
        serde_json::to_value(throttle.check("beta", 2))?["suppressed"],
        0
    );
    Ok(())
}
