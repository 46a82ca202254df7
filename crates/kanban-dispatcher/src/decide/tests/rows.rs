//! Rows that cannot be read, and starts that failed.

use super::*;

#[test]
fn unreadable_rows_are_counted_and_cost_the_others_nothing() {
    let bad = |n: usize| BadRow {
        id: n.to_string(),
        reason: "x".into(),
        status: None,
    };
    let view = View {
        tasks: vec![task("t", Status::Ready)],
        bad_rows: (0..2).map(bad).collect(),
    };
    let decision = decide(&view, &Processes::new(), &policy(), NOW);
    assert_eq!(claims(&decision), ["t"]);
    assert_eq!(decision.held[&HeldReason::BadRow], 2);
}

#[test]
fn an_unreadable_row_is_blocked_if_it_is_ready_and_counted_until_it_is_blocked() {
    let bad = |id: &str, status| BadRow {
        id: id.into(),
        reason: "priority is not a number".into(),
        status,
    };
    let view = View {
        tasks: Vec::new(),
        bad_rows: vec![
            bad("ready", Some(Status::Ready)),
            bad("blocked", Some(Status::Blocked)),
            bad("todo", Some(Status::Todo)),
            bad("running", Some(Status::Running)),
            bad("odd", None),
            bad("", Some(Status::Ready)),
        ],
    };
    let decision = decide(&view, &Processes::new(), &policy(), NOW);
    let blocked = Transition::SetAside {
        task: "ready".into(),
        reason: "priority is not a number".into(),
    };
    assert_eq!(decision.transitions, [blocked]);
    assert_eq!(decision.held[&HeldReason::BadRow], 5);
}

#[test]
fn a_start_that_failed_is_counted_like_any_failure() {
    let view = View {
        tasks: vec![Task {
            failures: 1,
            ..task("t", Status::Ready)
        }],
        bad_rows: Vec::new(),
    };
    let work = Work {
        task: "t".into(),
        lock: "l".into(),
        ..Work::default()
    };
    let Transition::Fail(failure) = start_failed(&view, &work, "no program", &policy()) else {
        panic!("no failure")
    };
    assert_eq!(
        (failure.cause, failure.error.as_str()),
        (Cause::SpawnFailed, "no program")
    );
    assert!(matches!(
        failure.verdict,
        Verdict::Tripped { failures: 2, .. }
    ));
}
