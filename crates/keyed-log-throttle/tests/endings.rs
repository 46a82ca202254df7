//! Proves how trouble ends in the log: by a summary after silence, by one recovery, by a flush at shutdown, by being
//! forgotten. In each case the count comes out once, and the totals agree.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use keyed_log_throttle::ClassId;
use support::{T, W, fail, sweep, throttle};

#[test]
fn twenty_five_failures_and_silence_give_one_summary_of_twenty_four() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 25);
    assert!(sweep(&throttle).is_empty(), "the window is not over");
    clock.advance(W + T);
    assert_eq!(sweep(&throttle), [("alpha".into(), 1, 24)]);
    clock.advance(W + T);
    assert!(sweep(&throttle).is_empty(), "said once");
    assert_eq!(
        (throttle.totals().reported, throttle.totals().pending),
        (24, 0)
    );
}

#[test]
fn a_summary_is_its_window_s_line() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 3);
    clock.advance(W);
    assert_eq!(sweep(&throttle).len(), 1);
    assert_eq!(fail(&throttle, "alpha", 1, 2), 0);
    clock.advance(W);
    assert_eq!(
        throttle.check("alpha", 1).map(|line| line.suppressed),
        Some(2)
    );
}

#[test]
fn success_after_trouble_gives_one_recovery_with_count_and_duration() {
    let (throttle, clock) = throttle();
    for _ in 0..15 {
        fail(&throttle, "alpha", 1, 1);
        clock.advance(T);
    }
    fail(&throttle, "alpha", 9, 2);
    assert_eq!(throttle.recovered("beta"), None);
    let end = throttle.recovered("alpha").expect("an incident");
    // Class 1: lines at 0 and 60 s; 11 of 13 were reported by the second. Class 9: one line, one held back.
    assert_eq!((end.lines, end.failures, end.suppressed), (3, 17, 3));
    assert_eq!(end.lasted, 15 * T);
    assert_eq!(end.classes, [ClassId::new(1), ClassId::new(9)]);
    assert_eq!(throttle.recovered("alpha"), None);
    assert_eq!(throttle.pending("alpha"), 0);
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_recovery_after_the_summary_still_tells_the_whole_incident() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 25);
    for _ in 0..20 {
        clock.advance(T);
        sweep(&throttle);
    }
    let end = throttle.recovered("alpha").expect("remembered");
    assert_eq!((end.suppressed, end.failures, end.lasted), (0, 25, 20 * T));
}

#[test]
fn a_key_that_flaps_inside_one_window_recovers_once() {
    let (throttle, clock) = throttle();
    let mut recoveries = 0;
    for _ in 0..10 {
        fail(&throttle, "alpha", 1, 1);
        recoveries += usize::from(throttle.recovered("alpha").is_some());
        clock.advance(T);
    }
    assert_eq!(recoveries, 1);
    assert_eq!(
        throttle.pending("alpha"),
        9,
        "the others wait for the next line"
    );
    clock.advance(W);
    assert_eq!(
        throttle.check("alpha", 1).map(|line| line.suppressed),
        Some(9)
    );
    let end = throttle.recovered("alpha").expect("a line was written");
    assert_eq!((end.failures, end.lasted.is_zero()), (1, true));
}

#[test]
fn an_incident_known_only_from_a_summary_recovers_too() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 1);
    assert!(throttle.recovered("alpha").is_some());
    clock.advance(T);
    fail(&throttle, "alpha", 1, 4);
    clock.advance(W);
    assert_eq!(sweep(&throttle), [("alpha".into(), 1, 4)]);
    let end = throttle
        .recovered("alpha")
        .expect("announced by the summary");
    assert_eq!((end.lines, end.failures, end.lasted), (0, 4, W));
}

#[test]
fn shutdown_flushes_every_outstanding_count_once() {
    let (throttle, _) = throttle();
    fail(&throttle, "alpha", 1, 10);
    fail(&throttle, "alpha", 2, 5);
    fail(&throttle, "beta", 1, 1);
    let mut said = Vec::new();
    let counts =
        throttle.drain(|key, class, p| said.push((key.clone(), class.get(), p.suppressed)));
    said.sort();
    assert_eq!(said, [("alpha".into(), 1, 9), ("alpha".into(), 2, 4)]);
    assert_eq!(counts, 2);
    assert_eq!(throttle.drain(|_, _, _| panic!("said once")), 0);
    assert_eq!(throttle.totals().pending, 0);
}

#[test]
fn forgetting_hands_out_what_was_pending() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 10);
    fail(&throttle, "alpha", 2, 3);
    fail(&throttle, "beta", 1, 3);
    clock.advance(T);
    let end = throttle.forget("alpha").expect("it failed");
    assert_eq!(
        (end.suppressed, end.lines, end.failures, end.lasted),
        (11, 2, 13, T)
    );
    assert_eq!((throttle.forget("alpha"), throttle.len()), (None, 1));
    assert_eq!(
        (throttle.totals().evicted, throttle.totals().reported),
        (2, 11)
    );
    assert!(throttle.totals().is_conserved());
    assert_eq!(
        fail(&throttle, "alpha", 1, 1),
        1,
        "a new thing of that name is heard at once"
    );
}

#[test]
fn a_count_left_by_an_unannounced_incident_is_handed_out_by_forget() {
    let (throttle, clock) = throttle();
    clock.advance(10 * T);
    fail(&throttle, "alpha", 1, 1);
    drop(throttle.recovered("alpha"));
    fail(&throttle, "alpha", 1, 3);
    assert_eq!(throttle.recovered("alpha"), None);
    clock.advance(T);
    let end = throttle.forget("alpha").expect("three are pending");
    assert_eq!((end.suppressed, end.failures, end.lasted), (3, 3, T));
}

#[test]
fn a_sweep_lets_idle_entries_go_when_their_incident_is_old() {
    let (builder, clock) = support::builder();
    let throttle = builder.remember(2 * W).build();
    for key in ["works", "works too", "silent"] {
        fail(&throttle, key, 1, 1);
    }
    drop((throttle.recovered("works"), throttle.recovered("works too")));
    sweep(&throttle);
    assert_eq!(throttle.len(), 3, "their windows are not over");
    clock.advance(W);
    sweep(&throttle);
    assert_eq!(throttle.len(), 1, "only the open incident is remembered");
    clock.advance(2 * W - T);
    sweep(&throttle);
    assert_eq!(throttle.len(), 1);
    clock.advance(T);
    sweep(&throttle);
    assert!(throttle.is_empty());
    assert_eq!(
        (throttle.recovered("silent"), throttle.totals().evicted),
        (None, 3)
    );
}

#[test]
fn a_sweep_never_evicts_a_count() {
    let (builder, clock) = support::builder();
    let throttle = builder.remember(std::time::Duration::ZERO).build();
    fail(&throttle, "alpha", 1, 5);
    clock.advance(100 * W);
    assert_eq!(sweep(&throttle).len(), 1);
    let totals = throttle.totals();
    assert_eq!(
        (totals.observed, totals.permitted, totals.reported),
        (5, 1, 4)
    );
    clock.advance(W);
    sweep(&throttle);
    let totals = throttle.totals();
    assert_eq!((totals.observed, totals.evicted, throttle.len()), (5, 1, 0));
    assert!(totals.is_conserved());
}

#[test]
fn a_panic_in_the_callback_of_drain_leaves_its_count_and_the_others_pending() {
    let (throttle, _) = throttle();
    for key in ["alpha", "beta", "gamma"] {
        fail(&throttle, key, 1, 3);
    }
    let broken = AssertUnwindSafe(|| throttle.drain(|_, _, _| panic!("the sink is broken")));
    assert!(catch_unwind(broken).is_err());
    assert_eq!(
        (throttle.totals().pending, throttle.totals().reported),
        (6, 0)
    );
    assert!(throttle.totals().is_conserved());
    assert_eq!(
        throttle.drain(|_, _, pending| assert_eq!(pending.suppressed, 2)),
        3
    );
    assert_eq!(throttle.totals().pending, 0);
}

#[test]
fn a_panic_in_the_callback_of_sweep_leaves_the_count_for_the_next_line() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 4);
    clock.advance(W);
    let broken = AssertUnwindSafe(|| throttle.sweep(|_, _, _| panic!("the sink is broken")));
    assert!(catch_unwind(broken).is_err());
    assert_eq!(
        (throttle.totals().pending, throttle.totals().reported),
        (3, 0)
    );
    assert_eq!(
        fail(&throttle, "alpha", 1, 1),
        0,
        "the window is spent all the same"
    );
    clock.advance(W);
    assert_eq!(
        throttle.check("alpha", 1).map(|line| line.suppressed),
        Some(4)
    );
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_panic_between_check_and_sink_costs_the_line_it_carried_and_no_more() {
    let (throttle, clock) = throttle();
    fail(&throttle, "alpha", 1, 4);
    clock.advance(W);
    let broken = AssertUnwindSafe(|| {
        let _line = throttle.check("alpha", 1).expect("the window is over");
        panic!("the sink is broken")
    });
    assert!(catch_unwind(broken).is_err());
    fail(&throttle, "alpha", 1, 2);
    let totals = throttle.totals();
    assert_eq!((totals.reported, totals.pending), (3, 2));
    assert!(totals.is_conserved());
}

#[test]
fn a_guard_drains_on_the_way_out_of_a_panic() {
    let (throttle, said) = (throttle().0, std::cell::RefCell::new(Vec::new()));
    let work = AssertUnwindSafe(|| {
        let _told =
            throttle.drain_on_drop(|key, _, p| said.borrow_mut().push((key.clone(), p.suppressed)));
        fail(&throttle, "alpha", 1, 3);
        panic!("the loop is broken")
    });
    assert!(catch_unwind(work).is_err());
    assert_eq!(*said.borrow(), [("alpha".to_owned(), 2)]);
    assert_eq!(throttle.totals().pending, 0);
}

#[test]
fn a_handle_that_outlives_the_throttle_still_counts() {
    let (throttle, clock) = throttle();
    let handle = throttle.handle("alpha", 1);
    fail(&throttle, "alpha", 1, 3);
    drop(throttle);
    assert_eq!(handle.pending(), 2);
    clock.advance(W);
    assert_eq!(handle.check().map(|line| line.suppressed), Some(2));
}
