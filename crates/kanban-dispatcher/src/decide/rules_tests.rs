//! The later rules, one by one: the review column, limits per profile, who gets nobody's tasks, probes, stale attempts, shutdown.

use super::tests::{NOW, any_board, claims, ended, failure, many, one, policy, running, task};
use proptest::prelude::*;

use super::*;
use crate::past::Past;
use crate::transition::Reclaim;
use crate::view::Task;
use crate::view::{End, Process};

#[test]
fn review_comes_after_ready_and_asks_neither_for_parents_nor_for_the_past() {
    let review = Task {
        has_open_parent: true,
        rate_limited_at: Some(NOW),
        priority: 9,
        ..task("a", Status::Review)
    };
    let decision = many(
        vec![review.clone(), task("b", Status::Ready)],
        None,
        &policy(),
    );
    assert_eq!(claims(&decision), ["b", "a"]);
    let from: Vec<Status> = decision.claims.iter().map(|claim| claim.from).collect();
    assert_eq!(from, [Status::Ready, Status::Review]);
    let one_place = Policy {
        board_cap: Some(1),
        ..policy()
    };
    let decision = many(
        vec![review.clone(), task("b", Status::Ready)],
        None,
        &one_place,
    );
    assert_eq!(claims(&decision), ["b"]);
    assert_eq!(decision.held[&HeldReason::BoardCap], 1);
    let nobodys = Task {
        assignee: None,
        ..review
    };
    let generous = Policy {
        default_assignee: Some("coder".into()),
        ..policy()
    };
    let decision = many(vec![nobodys], None, &generous);
    assert_eq!(
        decision.held[&HeldReason::Unassigned],
        1,
        "a review is not given away"
    );
}

#[test]
fn a_profile_has_its_limit_over_both_columns_and_those_who_run() {
    let policy = Policy {
        profile_cap: Some(2),
        ..policy()
    };
    let of = |id, status, name: &str| Task {
        assignee: Some(name.to_owned()),
        ..task(id, status)
    };
    let elsewhere = Task {
        claim_lock: Some("elsewhere:1".into()),
        ..running("x")
    };
    let tasks = vec![
        elsewhere,
        of("a", Status::Ready, "coder"),
        of("b", Status::Ready, "coder"),
        of("c", Status::Ready, "tester"),
        of("d", Status::Review, "coder"),
        of("e", Status::Review, "tester"),
        of("f", Status::Review, "tester"),
    ];
    let decision = many(tasks, None, &policy);
    assert_eq!(claims(&decision), ["a", "c", "e"]);
    assert_eq!(decision.held[&HeldReason::ProfileCap], 3);
}

#[test]
fn nobodys_task_goes_to_whom_the_settings_name_if_that_one_can_start_and_there_is_room() {
    let nobodys = |name: Option<&str>| Task {
        assignee: name.map(str::to_owned),
        ..task("t", Status::Ready)
    };
    let given_to = |name: &str, cap| Policy {
        default_assignee: Some(name.to_owned()),
        board_cap: cap,
        ..policy()
    };
    let assign = Transition::Assign {
        task: "t".into(),
        assignee: "tester".into(),
    };
    for (name, policy, expected) in [
        (None, given_to("tester", None), Some(&assign)),
        (Some(""), given_to("tester", None), Some(&assign)),
        (Some(" "), given_to("tester", None), None),
        (Some("coder"), given_to("tester", None), None),
        (None, given_to("ghost", None), None),
        (None, given_to("tester", Some(0)), None),
        (None, policy(), None),
    ] {
        let decision = many(vec![nobodys(name)], None, &policy);
        let assigned = decision.transitions.first();
        assert_eq!(assigned, expected, "{name:?} {:?}", policy.default_assignee);
        let starts = expected.is_some() || name == Some("coder");
        assert_eq!(decision.claims.len(), usize::from(starts));
    }
}

#[test]
fn a_reason_is_told_once_and_again_when_it_is_another() {
    let held = |told: Option<&str>| Task {
        past: Past {
            pull_request_at: Some(NOW - 5),
            told: told.map(str::to_owned),
            ..Past::default()
        },
        ..task("t", Status::Ready)
    };
    let active = [Transition::Guard {
        task: "t".into(),
        reason: "active_pr",
    }];
    assert_eq!(one(held(None), None).transitions, active);
    assert_eq!(one(held(Some("blocker_auth")), None).transitions, active);
    let decision = one(held(Some("active_pr")), None);
    assert!(decision.transitions.is_empty() && decision.claims.is_empty());
    assert_eq!(decision.next_due, Some(NOW - 5 + 86_401));
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

#[test]
fn the_code_for_a_permanent_failure_ends_it_whatever_the_limits() {
    let stubborn = Task {
        max_retries: Some(9),
        ..running("t")
    };
    let decision = one(stubborn, ended(End::Exited(78)));
    let failure = failure(&decision);
    let Verdict::Tripped {
        failures,
        stored,
        limit,
        ..
    } = failure.verdict
    else {
        panic!("{failure:?}")
    };
    assert_eq!((failures, stored, limit), (1, 9, 1));
    assert!(decision.claims.is_empty());
}

#[test]
fn what_the_machine_ends_is_counted_by_itself_and_not_for_ever() {
    let killed = |before, stopping| {
        let task = Task {
            past: Past {
                infrastructure: before,
                ..Past::default()
            },
            ..running("t")
        };
        let end = End::Signaled(9);
        one(task, Some(Process::Ended { end, stopping }))
    };
    let decision = killed(3, None);
    assert_eq!(
        failure(&decision).cause,
        Cause::Infrastructure(End::Signaled(9))
    );
    assert_eq!(failure(&decision).verdict, Verdict::Uncounted);
    assert_eq!(claims(&decision), ["t"]);
    let decision = killed(4, None);
    assert!(matches!(
        failure(&decision).verdict,
        Verdict::Tripped { limit: 5, .. }
    ));
    // The signal was ours.
    let decision = killed(0, Some(StopReason::ClaimLost));
    assert_eq!(failure(&decision).cause, Cause::Crashed(End::Signaled(9)));
    // Three at once: the machine's trouble, and no board full of blocked tasks.
    let three = (0..3).map(|n| running(&format!("t{n}"))).collect();
    let decision = many(three, ended(End::Signaled(9)), &policy());
    assert_eq!(decision.claims.len(), 3);
}

#[test]
fn ends_that_a_shutdown_brings_about_are_nobodys_failure() {
    let stopping = Policy {
        is_stopping: true,
        ..policy()
    };
    for (end, is_free) in [
        (End::Signaled(15), true),
        (End::Signaled(9), true),
        (End::Exited(0), true),
        (End::Exited(143), true),
        (End::Unknown, true),
        (End::Exited(1), false),
        (End::Exited(75), false),
        (End::Exited(78), false),
        (End::Exited(128), false),
    ] {
        let decision = many(vec![running("t")], ended(end), &stopping);
        let is_reclaim = matches!(decision.transitions[..], [Transition::Reclaim(_)]);
        assert_eq!(is_reclaim, is_free, "{end:?}");
    }
}

#[test]
fn an_old_silent_attempt_is_stopped_if_it_is_ours_and_else_taken_back_if_nobody_lives() {
    let old = |heartbeat: Option<i64>| Task {
        started_at: Some(NOW - 20_000),
        run_started_at: Some(NOW - 14_400),
        last_heartbeat_at: heartbeat,
        ..running("t")
    };
    let alive = || Some(Process::Alive { stopping: None });
    let stopped = |task| one(task, alive()).stops == [("t".to_owned(), StopReason::Stale)];
    assert!(stopped(old(None)) && stopped(old(Some(NOW - 3_600))));
    assert!(!stopped(old(Some(NOW - 3_599))));
    assert!(!stopped(Task {
        run_started_at: Some(NOW - 14_399),
        ..old(None)
    }));
    let off = Policy {
        stale_after: 0,
        ..policy()
    };
    assert!(many(vec![old(None)], alive(), &off).stops.is_empty());

    let gone = Process::Ended {
        end: End::Signaled(15),
        stopping: Some(StopReason::Stale),
    };
    let stale = |decision: &Decision| match &decision.transitions[..] {
        [Transition::Stale(stale)] => stale.clone(),
        other => panic!("{other:?}"),
    };
    let of_ours = stale(&one(old(Some(NOW - 5_000)), Some(gone)));
    assert_eq!(
        (of_ours.elapsed, of_ours.heartbeat_age, of_ours.timeout),
        (14_400, Some(5_000), 14_400)
    );
    assert!(of_ours.claim.attempted && of_ours.claim.terminated);

    let elsewhere = Task {
        claim_lock: Some("elsewhere:1".into()),
        ..old(None)
    };
    let decision = one(elsewhere, None);
    let Reclaim {
        attempted,
        terminated,
        host_local,
        ..
    } = stale(&decision).claim;
    assert!(!attempted && !terminated && !host_local);
    assert_eq!(claims(&decision), ["t"]);
    // Somebody's process lives: it is left alone.
    let peers = Task {
        claim_lock: Some("host:9".into()),
        ..old(None)
    };
    let decision = one(peers, Some(Process::Unproven { alive: true }));
    assert!(decision.transitions.is_empty() && decision.stops.is_empty());
}

#[test]
fn a_process_of_the_peers_that_is_gone_is_reclaimed_timed_out_or_crashed_as_the_peer_would() {
    let gone = Some(Process::Unproven { alive: false });
    let peers = |expires, started| Task {
        claim_lock: Some("host:9".into()),
        claim_expires: Some(expires),
        started_at: Some(started),
        run_started_at: Some(started),
        max_runtime: Some(10),
        ..running("t")
    };
    let expired = one(peers(NOW - 1, NOW - 100), gone);
    let [Transition::Reclaim(reclaim)] = &expired.transitions[..] else {
        panic!("{expired:?}")
    };
    assert!(reclaim.terminated && !reclaim.attempted && reclaim.host_local);
    let crashed = one(peers(NOW, NOW - 30), gone);
    assert_eq!(failure(&crashed).cause, Cause::Crashed(End::Unknown));
    // Within the grace no crash is seen yet, but the time is up.
    let late = one(peers(NOW, NOW - 29), gone);
    assert!(matches!(
        failure(&late).cause,
        Cause::TimedOut {
            elapsed: 29,
            limit: 10,
            sigkill: false
        }
    ));
}

#[test]
fn a_second_failure_in_the_same_tick_is_counted_on_top_of_the_first() {
    let mut view = View {
        tasks: vec![running("t")],
        bad_rows: Vec::new(),
    };
    let processes = [("t".to_owned(), ended(End::Exited(3)).expect("one"))].into();
    let decision = decide(&view, &processes, &policy(), NOW);
    note_failures(&mut view, &decision.transitions);
    let work = Work {
        task: "t".into(),
        ..Work::default()
    };
    let Transition::Fail(failure) = start_failed(&view, &work, "no program", &policy()) else {
        panic!("no failure")
    };
    assert!(matches!(
        failure.verdict,
        Verdict::Tripped { failures: 2, .. }
    ));
}

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
