//! One reason for each task, the same as in the decision.

use super::laws::any_board;
use super::*;

#[test]
fn every_task_has_one_reason_and_the_time_at_which_it_ends() {
    let blocked = |failures, is_sticky| Task {
        failures,
        is_sticky,
        ..task("t", Status::Blocked)
    };
    let waits = |status| Task {
        has_open_parent: true,
        ..task("t", status)
    };
    let given_up = Task {
        past: Past {
            gave_up_at: Some(NOW - 40),
            give_ups: 1,
            ..Past::default()
        },
        ..blocked(2, false)
    };
    let limited = Task {
        rate_limited_at: Some(NOW - 100),
        ..task("t", Status::Ready)
    };
    let claimed = Task {
        claim_lock: Some("x:1".into()),
        ..task("t", Status::Ready)
    };
    let late = Task {
        max_runtime: Some(100),
        ..running("t")
    };
    let alive = Process::Alive { stopping: None };
    let probing = Policy {
        probe_after: 100,
        ..policy()
    };
    for (task, process, policy, reason, next) in [
        (
            task("t", Status::Ready),
            None,
            policy(),
            Reason::Starts,
            Some(NOW),
        ),
        (
            task("t", Status::Review),
            None,
            policy(),
            Reason::Starts,
            Some(NOW),
        ),
        (
            limited,
            None,
            policy(),
            Reason::Held(HeldReason::Cooldown),
            Some(NOW + 200),
        ),
        (claimed, None, policy(), Reason::Claimed, None),
        (
            waits(Status::Todo),
            None,
            policy(),
            Reason::WaitsForParents,
            None,
        ),
        (
            waits(Status::Ready),
            None,
            policy(),
            Reason::WaitsForParents,
            None,
        ),
        (
            waits(Status::Blocked),
            None,
            policy(),
            Reason::WaitsForParents,
            None,
        ),
        (blocked(0, true), None, policy(), Reason::Blocked, None),
        (blocked(2, false), None, policy(), Reason::GivenUp, None),
        (given_up, None, probing, Reason::GivenUp, Some(NOW + 60)),
        (
            running("t"),
            Some(alive),
            policy(),
            Reason::Running,
            Some(NOW + 500),
        ),
        (
            late,
            Some(alive),
            policy(),
            Reason::Stopping,
            Some(NOW + 500),
        ),
    ] {
        let told = format!("{task:?}");
        let processes = process.map(|process| ("t".to_owned(), process));
        let view = View {
            tasks: vec![task],
            bad_rows: Vec::new(),
        };
        let why = explain(&view, &processes.into_iter().collect(), &policy, NOW, "t");
        assert_eq!(why, Some(Why::new(reason, next)), "{told}");
        assert_eq!(explain(&view, &Processes::new(), &policy, NOW, "u"), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_reasons_are_those_of_the_decision((view, processes, policy) in any_board()) {
        let decision = decide(&view, &processes, &policy, NOW);
        let mut held = HeldCounts::new();
        for task in &view.tasks {
            let why = explain(&view, &processes, &policy, NOW, &task.id).expect("a task of this board");
            let claimed = decision.claims.iter().any(|claim| claim.task == task.id);
            prop_assert_eq!(why.reason == Reason::Starts, claimed, "{}", task.id);
            prop_assert!(why.next_change.is_none_or(|at| at >= NOW), "{why:?} is past");
            if let Reason::Held(reason) = why.reason {
                *held.entry(reason).or_default() += 1;
            }
        }
        let mut expected = decision.held;
        expected.remove(&HeldReason::BadRow);
        prop_assert_eq!(held, expected);
    }
}
