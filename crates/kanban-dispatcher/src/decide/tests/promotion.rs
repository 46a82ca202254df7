//! Which waiting and blocked tasks become ready.

use super::*;

#[test]
fn waiting_tasks_are_promoted_unless_somebody_or_the_breaker_says_no() {
    let blocked = || task("t", Status::Blocked);
    let cases = [
        (task("t", Status::Todo), true),
        (
            Task {
                has_open_parent: true,
                ..task("t", Status::Todo)
            },
            false,
        ),
        (
            Task {
                failures: 9,
                ..task("t", Status::Todo)
            },
            true,
        ),
        (blocked(), true),
        (
            Task {
                has_open_parent: true,
                ..blocked()
            },
            false,
        ),
        (
            Task {
                is_sticky: true,
                ..blocked()
            },
            false,
        ),
        (
            Task {
                failures: 1,
                ..blocked()
            },
            true,
        ),
        (
            Task {
                failures: 2,
                ..blocked()
            },
            false,
        ),
        (
            Task {
                failures: 2,
                max_retries: Some(3),
                ..blocked()
            },
            true,
        ),
        (
            Task {
                failures: 1,
                max_retries: Some(1),
                ..blocked()
            },
            false,
        ),
    ];
    for (task, promoted) in cases {
        let (told, from) = (format!("{task:?}"), task.status);
        let decision = one(task, None);
        let expected = Transition::Promote {
            task: "t".into(),
            from,
        };
        let expected = if promoted { vec![expected] } else { Vec::new() };
        assert_eq!(decision.transitions, expected, "{told}");
        assert_eq!(
            claims(&decision).len(),
            usize::from(promoted),
            "and started: {told}"
        );
    }
}

#[test]
fn a_task_that_was_given_up_is_tried_once_more_later_each_time_if_the_settings_say_so() {
    let given_up = |ago, give_ups| Task {
        failures: 2,
        past: Past {
            gave_up_at: Some(NOW - ago),
            give_ups,
            ..Past::default()
        },
        ..task("t", Status::Blocked)
    };
    let probing = Policy {
        probe_after: 100,
        ..policy()
    };
    for (task, due) in [
        (given_up(100, 1), None),
        (given_up(99, 1), Some(NOW + 1)),
        (given_up(199, 2), Some(NOW + 1)),
        (given_up(200, 2), None),
        (given_up(6_399, 7), Some(NOW + 1)),
        (given_up(6_400, 70), None),
    ] {
        let told = format!("{task:?}");
        let decision = many(vec![task], None, &probing);
        assert_eq!(decision.next_due, due, "{told}");
        assert_eq!(decision.claims.len(), usize::from(due.is_none()), "{told}");
        let is_probe = |t: &Transition| matches!(t, Transition::Probe { .. });
        assert_eq!(
            decision.transitions.iter().any(is_probe),
            due.is_none(),
            "{told}"
        );
    }
    let never = [
        (given_up(100, 1), policy()),
        (
            Task {
                is_sticky: true,
                ..given_up(100, 1)
            },
            probing.clone(),
        ),
        (
            Task {
                has_open_parent: true,
                ..given_up(100, 1)
            },
            probing.clone(),
        ),
        (
            Task {
                past: Past::default(),
                ..given_up(100, 1)
            },
            probing,
        ),
    ];
    for (task, policy) in never {
        assert!(many(vec![task], None, &policy).transitions.is_empty());
    }
}
