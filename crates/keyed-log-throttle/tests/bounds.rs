//! Proves that memory is bounded and that a bound never costs a count: capacity, overflow, and handles to entries that a
//! sweep or `forget` would let go.

mod support;

use std::time::Duration;

use keyed_log_throttle::Handle;
use keyed_log_throttle::governor::clock::FakeRelativeClock;
use support::{T, Throttle, W, fail, sweep};

/// With room for one key, beside the one place that all others share.
fn of_one_key() -> (Throttle, FakeRelativeClock) {
    let (builder, clock) = support::builder();
    (builder.capacity(2).build(), clock)
}

#[test]
fn ten_thousand_keys_stay_below_the_bound_and_every_failure_is_counted() {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(1_064).build();
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
        (1, 1_000),
        "a full throttle forgets, but for what was shared"
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
    let throttle = builder.capacity(24).build();
    let own = (0..21).map(|key| fail(&throttle, &format!("board-{key}"), 1, 1));
    assert_eq!(
        own.sum::<usize>(),
        21,
        "three places are for what is shared"
    );
    let first = throttle.check("beta", 1);
    assert_eq!(first.map(|line| line.folded_keys), Some(1));
    assert_eq!(
        fail(&throttle, "gamma", 1, 2) + fail(&throttle, "delta", 1, 1),
        0
    );
    assert_eq!(
        fail(&throttle, "gamma", 2, 1),
        1,
        "a new class is heard even now"
    );
    assert_eq!((throttle.len(), throttle.pending("gamma")), (23, 0));
    clock.advance(W);
    let line = throttle.check("beta", 1).expect("the window is over");
    assert_eq!((line.suppressed, line.folded_keys), (3, 3));
    assert_eq!(line.to_string(), "(+3 in 60s, about 3 keys)");
}

#[test]
fn a_full_throttle_still_knows_its_own_keys() {
    let (throttle, clock) = of_one_key();
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
fn a_key_that_gets_room_waits_for_the_window_of_the_entry_it_shared() {
    let (throttle, clock) = of_one_key();
    clock.advance(W);
    fail(&throttle, "alpha", 1, 2);
    assert_eq!(fail(&throttle, "beta", 1, 2), 1);
    drop(throttle.forget("alpha"));
    clock.advance(W / 2);
    assert_eq!(fail(&throttle, "beta", 1, 2), 0, "it has had its line");
    assert_eq!(throttle.pending("beta"), 2, "and an entry of its own now");
    clock.advance(W / 2);
    let line = throttle.check("beta", 1).expect("the window is over");
    assert_eq!(line.to_string(), "(+2 in 60s)");
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_handle_made_without_room_has_an_entry_of_its_own_when_there_is_room() {
    let (throttle, clock) = of_one_key();
    let (own, folded) = (throttle.handle("alpha", 1), throttle.handle("beta", 1));
    assert_eq!((own.is_folded(), folded.is_folded()), (false, true));
    assert!(own.check().is_some() && folded.check().is_some());
    assert_eq!(
        fail(&throttle, "gamma", 1, 1),
        0,
        "the shared entry is one for all"
    );
    let state = |of: &Handle<_, _>| (of.pending(), of.class().get(), of.is_folded());
    assert_eq!((state(&own), state(&folded)), ((0, 1, false), (1, 1, true)));

    drop(own);
    drop(throttle.forget("alpha"));
    let again = folded.clone();
    assert!(folded.check().is_none() && again.check().is_none());
    assert_eq!(
        throttle.check("beta", 1),
        None,
        "by key it is the same entry"
    );
    assert_eq!(
        (state(&folded), throttle.pending("beta")),
        ((3, 1, false), 3)
    );
    clock.advance(W);
    assert_eq!(folded.check().map(|line| line.suppressed), Some(3));
    assert_eq!(throttle.check("beta", 1), None, "and the same window");
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_handle_keeps_the_entry_that_it_found_later() {
    let (throttle, clock) = of_one_key();
    fail(&throttle, "alpha", 1, 1);
    let handle = throttle.handle("beta", 1);
    fail(&throttle, "gamma", 1, 5);
    drop(throttle.forget("alpha"));
    clock.advance(W);
    assert!(handle.check().is_some() && handle.check().is_none());
    assert_eq!(throttle.forget("beta").map(|end| end.suppressed), Some(1));
    assert_eq!(
        (handle.is_folded(), handle.pending()),
        (false, 0),
        "nobody else's"
    );
    clock.advance(100 * W);
    sweep(&throttle);
    assert_eq!(throttle.len(), 2, "its own, and the shared one");
    drop(handle);
    sweep(&throttle);
    assert_eq!(throttle.len(), 1);
}

#[test]
fn a_key_that_gets_room_waits_for_its_own_class_s_window_and_not_for_a_longer_one() {
    let (builder, clock) = support::builder();
    let builder = builder.capacity(2).class_window(7, Duration::ZERO);
    let throttle = builder.class_window(9, 600 * W).build();
    fail(&throttle, "alpha", 1, 1);
    assert_eq!(fail(&throttle, "beta", 1, 1), 1);
    drop(throttle.forget("alpha"));
    assert_eq!(fail(&throttle, "gamma", 7, 3), 3, "no window at all");
    drop(throttle.forget("gamma"));
    assert_eq!(fail(&throttle, "gamma", 1, 1), 0);
    clock.advance(W);
    assert_eq!(fail(&throttle, "gamma", 1, 1), 1);
    assert_eq!(throttle.len(), 2);
}

#[test]
fn what_is_shared_is_within_the_capacity_too() {
    for capacity in [0, 1, 2, 7, 8, 16, 64, 600] {
        let (builder, _) = support::builder();
        let throttle = builder.capacity(capacity).build();
        assert_eq!(throttle.capacity(), capacity.max(1));
        for key in 0..capacity.max(10) {
            for class in 0..70 {
                fail(&throttle, &format!("board-{key}"), class, 2);
                assert!(throttle.len() <= throttle.capacity());
            }
        }
        assert_eq!(throttle.len(), throttle.capacity(), "all of it is used");
        let mut entries = 0;
        throttle.drain(|_, _, _| entries += 1);
        assert_eq!(entries, throttle.len());
        assert!(throttle.totals().is_conserved());
    }
}

#[test]
fn classes_without_a_place_share_the_last_one_and_its_window_is_the_longest() {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(1).class_window(2, 3 * W).build();
    assert_eq!(fail(&throttle, "alpha", 1, 2), 1);
    assert_eq!(
        fail(&throttle, "beta", 2, 1) + fail(&throttle, "beta", 3, 1),
        0
    );
    clock.advance(2 * W);
    assert_eq!(fail(&throttle, "alpha", 1, 1), 0);
    clock.advance(W);
    let line = throttle.check("beta", 2).expect("no window is longer");
    assert_eq!((line.suppressed, line.folded_keys), (4, 2));
    assert!(throttle.totals().is_conserved());
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
