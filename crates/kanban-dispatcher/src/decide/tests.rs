//! The rules one by one as tables, and the laws that hold on any board whatever.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::past::Past;
use crate::transition::Reclaim;
use crate::view::Task;
use crate::view::{BadRow, End, Process};

pub(super) const NOW: i64 = 1_000_000;

pub(super) fn policy() -> Policy {
    Policy {
        lock: "rs.host:1:a".into(),
        our_prefix: "rs.host:".into(),
        peer_prefix: "host:".into(),
        spawnable: ["coder".to_owned(), "tester".to_owned()].into(),
        ..Policy::default()
    }
}

pub(super) fn task(id: &str, status: Status) -> Task {
    Task {
        id: id.into(),
        status,
        assignee: Some("coder".into()),
        created_at: 10,
        workspace_kind: "scratch".into(),
        ..Task::default()
    }
}

/// A task that a dispatcher of ours runs since 100 s.
pub(super) fn running(id: &str) -> Task {
    Task {
        claim_lock: Some("rs.host:1:a".into()),
        claim_expires: Some(NOW + 800),
        worker_pid: Some(42),
        run: Some(7),
        started_at: Some(NOW - 100),
        run_started_at: Some(NOW - 100),
        ..task(id, Status::Running)
    }
}

pub(super) fn one(task: Task, process: Option<Process>) -> Decision {
    many(vec![task], process, &policy())
}

/// The same process behind every task.
pub(super) fn many(tasks: Vec<Task>, process: Option<Process>, policy: &Policy) -> Decision {
    let processes = process.into_iter().flat_map(|process| {
        let ids: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
        ids.into_iter().map(move |id| (id, process))
    });
    let processes: Processes = processes.collect();
    let bad_rows = Vec::new();
    decide(&View { tasks, bad_rows }, &processes, policy, NOW)
}

pub(super) fn ended(end: End) -> Option<Process> {
    let stopping = None;
    Some(Process::Ended { end, stopping })
}

pub(super) fn failure(decision: &Decision) -> &Failure {
    match &decision.transitions[..] {
        [Transition::Fail(failure)] | [Transition::Fail(failure), Transition::Guard { .. }] => {
            failure
        }
        other => panic!("no single failure: {other:?}"),
    }
}

fn reclaim(decision: &Decision) -> &Reclaim {
    match &decision.transitions[..] {
        [Transition::Reclaim(reclaim)] => reclaim,
        other => panic!("no single reclaim: {other:?}"),
    }
}

pub(super) fn claims(decision: &Decision) -> Vec<&str> {
    decision
        .claims
        .iter()
        .map(|claim| claim.task.as_str())
        .collect()
}

// ===== ready =====

#[test]
fn ready_tasks_are_claimed_by_priority_then_age_then_id() {
    let tasks = vec![
        Task {
            created_at: 5,
            ..task("old", Status::Ready)
        },
        task("b", Status::Ready),
        task("a", Status::Ready),
        Task {
            priority: 3,
            created_at: 99,
            ..task("urgent", Status::Ready)
        },
        Task {
            priority: -1,
            created_at: 0,
            ..task("idle", Status::Ready)
        },
    ];
    let decision = many(tasks, None, &policy());
    assert_eq!(claims(&decision), ["urgent", "old", "a", "b", "idle"]);
    assert!(
        decision
            .claims
            .iter()
            .all(|c| c.lock == "rs.host:1:a" && c.expires == NOW + 900)
    );
}

#[test]
fn a_ready_task_that_cannot_start_is_held_for_one_reason() {
    let ready = || task("t", Status::Ready);
    let cases = [
        (
            Task {
                assignee: None,
                ..ready()
            },
            Some(HeldReason::Unassigned),
        ),
        (
            Task {
                assignee: Some("  ".into()),
                ..ready()
            },
            Some(HeldReason::Unassigned),
        ),
        (
            Task {
                assignee: Some("nobody".into()),
                ..ready()
            },
            Some(HeldReason::UnknownAssignee),
        ),
        (
            Task {
                workspace_kind: "worktree".into(),
                ..ready()
            },
            None,
        ),
        (
            Task {
                rate_limited_at: Some(NOW - 299),
                ..ready()
            },
            Some(HeldReason::Cooldown),
        ),
        (
            Task {
                rate_limited_at: Some(NOW - 300),
                ..ready()
            },
            None,
        ),
        (
            Task {
                assignee: Some(" coder ".into()),
                ..ready()
            },
            None,
        ),
        (
            Task {
                workspace_kind: "dir".into(),
                ..ready()
            },
            None,
        ),
    ];
    for (task, reason) in cases {
        let told = format!("{task:?}");
        let decision = one(task, None);
        let held: Vec<_> = decision
            .held
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect();
        assert_eq!(
            held,
            reason
                .map(|reason| (reason, 1))
                .into_iter()
                .collect::<Vec<_>>(),
            "{told}"
        );
        assert_eq!(
            decision.claims.len(),
            usize::from(reason.is_none()),
            "{told}"
        );
        let is_told = |t: &Transition| {
            matches!(
                t,
                Transition::Guard {
                    reason: "rate_limit_cooldown" | "unknown_assignee",
                    ..
                }
            )
        };
        assert!(decision.transitions.iter().all(is_told), "{told}");
    }
    let mut unknown = task("t", Status::Ready);
    unknown.assignee = Some("nobody".into());
    assert_eq!(one(unknown.clone(), None).transitions.len(), 1);
    unknown.past.told = Some("unknown_assignee".into());
    assert_eq!(one(unknown, None).transitions, []);
    let cooling = Task {
        rate_limited_at: Some(NOW - 200),
        ..task("t", Status::Ready)
    };
    assert_eq!(one(cooling, None).next_due, Some(NOW + 100));
}

#[test]
fn somebodys_claim_and_an_open_parent_keep_a_ready_task_from_starting() {
    let claimed = Task {
        claim_lock: Some("x:1".into()),
        ..task("t", Status::Ready)
    };
    assert_eq!(one(claimed, None), Decision::default());
    let waits = Task {
        has_open_parent: true,
        ..task("t", Status::Ready)
    };
    let decision = one(waits, None);
    assert_eq!(
        decision.transitions,
        [Transition::Demote { task: "t".into() }]
    );
    assert!(decision.claims.is_empty() && decision.held.is_empty());
}

#[test]
fn the_boards_limit_counts_all_running_tasks_and_those_just_chosen() {
    for (cap, running_tasks, expected, held) in [
        (None, 3, 4, 0),
        (Some(0), 0, 0, 4),
        (Some(3), 0, 3, 1),
        (Some(3), 2, 1, 3),
        (Some(3), 3, 0, 4),
        (Some(3), 9, 0, 4),
    ] {
        let mut tasks: Vec<Task> = (0..4)
            .map(|n| task(&format!("r{n}"), Status::Ready))
            .collect();
        for n in 0..running_tasks {
            // A person's claim counts too.
            let lock = Some("elsewhere:1".to_owned());
            tasks.push(Task {
                claim_lock: lock,
                ..running(&format!("x{n}"))
            });
        }
        let policy = Policy {
            board_cap: cap,
            ..policy()
        };
        let decision = many(tasks, None, &policy);
        assert_eq!(decision.claims.len(), expected, "{cap:?} {running_tasks}");
        let capped = decision
            .held
            .get(&HeldReason::BoardCap)
            .copied()
            .unwrap_or(0);
        assert_eq!(capped, held, "{cap:?} {running_tasks}");
    }
}

#[test]
fn a_place_that_is_freed_is_used_in_the_same_tick() {
    let tasks = vec![running("ends"), task("next", Status::Ready)];
    let policy = Policy {
        board_cap: Some(1),
        ..policy()
    };
    let processes = [("ends".to_owned(), ended(End::Exited(3)).expect("some"))].into();
    let view = View {
        tasks,
        bad_rows: Vec::new(),
    };
    let decision = decide(&view, &processes, &policy, NOW);
    assert_eq!(failure(&decision).task, "ends");
    assert_eq!(
        (decision.claims.len(), decision.held[&HeldReason::BoardCap]),
        (1, 1)
    );
}

// ===== promotion =====

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

// ===== ends =====

#[test]
fn every_end_has_its_cause_and_its_count() {
    let counted = Verdict::Counted { failures: 1 };
    let cases = [
        (
            End::Exited(0),
            Cause::Silent,
            Verdict::Uncounted,
            "exited 0 without",
        ),
        (
            End::Exited(75),
            Cause::RateLimited,
            Verdict::Uncounted,
            "code 75",
        ),
        (
            End::Exited(3),
            Cause::Crashed(End::Exited(3)),
            counted,
            "pid 42 exited with code 3",
        ),
        (
            End::Signaled(9),
            Cause::Infrastructure(End::Signaled(9)),
            Verdict::Uncounted,
            "killed by signal 9",
        ),
        (
            End::Signaled(15),
            Cause::Crashed(End::Signaled(15)),
            counted,
            "killed by signal 15",
        ),
        (
            End::Unknown,
            Cause::Crashed(End::Unknown),
            counted,
            "pid 42 not alive",
        ),
    ];
    for (end, cause, verdict, words) in cases {
        let decision = one(running("t"), ended(end));
        let failure = failure(&decision);
        assert_eq!(
            (failure.cause, failure.verdict),
            (cause, verdict),
            "{end:?}"
        );
        assert!(failure.error.contains(words), "{}", failure.error);
        assert_eq!(
            (failure.lock.as_str(), failure.pid),
            ("rs.host:1:a", Some(42))
        );
        let rests = cause == Cause::RateLimited;
        assert_eq!(decision.claims.is_empty(), rests, "{end:?}");
        assert_eq!(decision.held.contains_key(&HeldReason::Cooldown), rests);
    }
}

#[test]
fn the_breaker_counts_against_the_tasks_own_limit_first() {
    let limits = [
        // (failures so far, own limit, the dispatcher's) -> (tripped, limit, whose, stored)
        ((0, None, 2), (false, 0, "", 0)),
        ((1, None, 2), (true, 2, "dispatcher", 2)),
        ((0, None, 1), (true, 1, "dispatcher", 2)),
        ((4, None, 5), (true, 5, "dispatcher", 5)),
        ((1, Some(3), 2), (false, 0, "", 0)),
        ((2, Some(3), 2), (true, 3, "task", 3)),
        ((0, Some(1), 5), (true, 1, "task", 1)),
        ((7, Some(3), 2), (true, 3, "task", 8)),
        ((i64::MAX, None, 2), (true, 2, "dispatcher", i64::MAX)),
    ];
    for ((failures, max_retries, failure_limit), (trips, limit, source, stored)) in limits {
        let task = Task {
            failures,
            max_retries,
            ..running("t")
        };
        let policy = Policy {
            failure_limit,
            ..policy()
        };
        let decision = many(vec![task], ended(End::Exited(3)), &policy);
        let failures = failures.saturating_add(1);
        let expected = if trips {
            let (limit_source, violations) = (source, None);
            Verdict::Tripped {
                failures,
                stored,
                limit,
                limit_source,
                violations,
            }
        } else {
            Verdict::Counted { failures }
        };
        assert_eq!(failure(&decision).verdict, expected);
        assert_eq!(
            decision.claims.is_empty(),
            trips,
            "a task that was given up does not start"
        );
    }
}

#[test]
fn ends_without_a_word_have_a_streak_and_a_limit_of_their_own() {
    for (violations, max_retries, tripped) in [
        (0, None, None),
        (1, None, None),
        (2, None, Some((3, 3))),
        (0, Some(1), Some((1, 1))),
        (3, Some(5), None),
        (4, Some(5), Some((5, 5))),
    ] {
        let decision = one(
            Task {
                violations,
                max_retries,
                ..running("t")
            },
            ended(End::Exited(0)),
        );
        match (failure(&decision).verdict, tripped) {
            (Verdict::Uncounted, None) => {}
            (
                Verdict::Tripped {
                    failures,
                    violations,
                    stored,
                    ..
                },
                Some(_),
            ) => {
                assert_eq!((failures, violations), (1, tripped));
                assert!(
                    stored >= max_retries.unwrap_or(2),
                    "or a peer's next look frees it"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn three_workers_that_end_the_same_way_share_a_cause() {
    let is_tripped = |transition: &&Transition| match transition {
        Transition::Fail(failure) => matches!(failure.verdict, Verdict::Tripped { .. }),
        _ => false,
    };
    let tripped = |decision: &Decision| decision.transitions.iter().filter(is_tripped).count();
    let group = |count: usize, end| {
        let tasks = (0..count).map(|n| running(&format!("t{n}"))).collect();
        tripped(&many(tasks, ended(end), &policy()))
    };
    assert_eq!(group(2, End::Exited(3)), 0);
    assert_eq!(group(3, End::Exited(3)), 3);
    assert_eq!(group(3, End::Signaled(11)), 3);
    for end in [End::Exited(0), End::Exited(75), End::Unknown] {
        assert_eq!(group(9, end), 0, "{end:?} says nothing about a cause");
    }
    // Two causes at once are two causes.
    let ends = |n: usize| End::Exited(if n.is_multiple_of(2) { 4 } else { 3 });
    let tasks: Vec<Task> = (0..6).map(|n| running(&format!("t{n}"))).collect();
    let processes = tasks.iter().enumerate().map(|(n, task)| {
        let (end, stopping) = (ends(n), None);
        (task.id.clone(), Process::Ended { end, stopping })
    });
    let processes: Processes = processes.collect();
    let decision = decide(
        &View {
            tasks,
            bad_rows: Vec::new(),
        },
        &processes,
        &policy(),
        NOW,
    );
    assert_eq!(tripped(&decision), 6);
    // The one that ended otherwise is counted by itself.
    let tasks: Vec<Task> = (0..4).map(|n| running(&format!("t{n}"))).collect();
    let mut processes: Processes = HashMap::new();
    for (n, task) in tasks.iter().enumerate() {
        let end = End::Exited(if n == 0 { 4 } else { 3 });
        processes.insert(
            task.id.clone(),
            Process::Ended {
                end,
                stopping: None,
            },
        );
    }
    let view = View {
        tasks,
        bad_rows: Vec::new(),
    };
    let decision = decide(&view, &processes, &policy(), NOW);
    let odd = decision.transitions.iter().find(|t| t.task() == "t0");
    let counted = |t: &Transition| matches!(t, Transition::Fail(f) if f.verdict == Verdict::Counted { failures: 1 });
    assert!(odd.is_some_and(counted), "{odd:?}");
}

#[test]
fn a_claim_whose_worker_never_passed_the_gate_is_released_uncounted() {
    let never = Task {
        worker_pid: None,
        ..running("t")
    };
    for process in [None, ended(End::Unknown), ended(End::Exited(0))] {
        let decision = one(never.clone(), process);
        let reclaim = reclaim(&decision);
        assert!(!reclaim.host_local && !reclaim.terminated, "{process:?}");
        assert_eq!(claims(&decision), ["t"]);
    }
    // Somebody else's claim without a process runs until it runs out.
    let elsewhere = Task {
        claim_lock: Some("elsewhere:1".into()),
        ..never
    };
    assert!(one(elsewhere.clone(), None).transitions.is_empty());
    assert_eq!(one(elsewhere.clone(), None).next_due, Some(NOW + 801));
    let expired = Task {
        claim_expires: Some(NOW - 1),
        ..elsewhere
    };
    assert!(!reclaim(&one(expired.clone(), None)).host_local);
    assert!(
        one(
            Task {
                claim_expires: Some(NOW),
                ..expired.clone()
            },
            None
        )
        .transitions
        .is_empty()
    );
    assert_eq!(
        one(
            Task {
                claim_expires: None,
                ..expired
            },
            None
        )
        .transitions,
        []
    );
}

// ===== live workers =====

fn alive() -> Option<Process> {
    Some(Process::Alive { stopping: None })
}

#[test]
fn the_claim_of_a_live_worker_is_renewed_in_time() {
    for (left, renewed) in [
        (800, false),
        (301, false),
        (300, true),
        (0, true),
        (-5000, true),
    ] {
        let task = Task {
            claim_expires: Some(NOW + left),
            ..running("t")
        };
        let decision = one(task, alive());
        let expected = Transition::Renew {
            task: "t".into(),
            lock: "rs.host:1:a".into(),
            expires: NOW + 900,
        };
        let expected = if renewed { vec![expected] } else { Vec::new() };
        assert_eq!(decision.transitions, expected, "{left}");
        let due = if renewed { NOW + 600 } else { NOW + left - 300 };
        assert_eq!(decision.next_due, Some(due), "{left}");
        assert!(decision.stops.is_empty());
    }
}

#[test]
fn a_worker_is_asked_to_stop_when_its_time_is_over_and_only_once() {
    let limited = |limit| Task {
        max_runtime: Some(limit),
        ..running("t")
    };
    for (limit, stopped) in [
        (101, false),
        (100, true),
        (1, true),
        (0, false),
        (-1, false),
    ] {
        let decision = one(limited(limit), alive());
        let expected = if stopped {
            vec![("t".to_owned(), StopReason::TimedOut)]
        } else {
            Vec::new()
        };
        assert_eq!(decision.stops, expected, "{limit}");
    }
    assert_eq!(one(limited(150), alive()).next_due, Some(NOW + 50));
    let stopping = Some(Process::Alive {
        stopping: Some(StopReason::TimedOut),
    });
    assert!(one(limited(1), stopping).stops.is_empty());
    // Its claim goes on until it is gone.
    let late = Task {
        claim_expires: Some(NOW - 1),
        ..limited(1)
    };
    assert!(matches!(
        one(late, stopping).transitions[..],
        [Transition::Renew { .. }]
    ));
    // The attempt's own start counts, not the task's first.
    let second = Task {
        started_at: Some(NOW - 9000),
        ..limited(150)
    };
    assert!(one(second, alive()).stops.is_empty());
}

#[test]
fn an_end_after_its_time_is_a_timeout_if_it_was_us() {
    let limited = Task {
        max_runtime: Some(50),
        ..running("t")
    };
    let asked = Some(StopReason::TimedOut);
    let timed_out = |sigkill| Cause::TimedOut {
        elapsed: 100,
        limit: 50,
        sigkill,
    };
    let cases = [
        (End::Signaled(9), asked, timed_out(true)),
        (End::Signaled(15), asked, timed_out(false)),
        (End::Exited(0), asked, timed_out(false)),
        (End::Signaled(9), None, timed_out(true)),
        (End::Unknown, None, timed_out(false)),
        (End::Exited(3), None, Cause::Crashed(End::Exited(3))),
        (End::Exited(0), None, Cause::Silent),
    ];
    for (end, stopping, cause) in cases {
        let decision = one(limited.clone(), Some(Process::Ended { end, stopping }));
        assert_eq!(failure(&decision).cause, cause, "{end:?} {stopping:?}");
    }
}

#[test]
fn a_silent_worker_is_stopped_once_its_claim_has_run_out_and_that_is_no_failure() {
    let silent = |heartbeat, expires| Task {
        run_started_at: Some(NOW - 10_000),
        last_heartbeat_at: Some(heartbeat),
        claim_expires: Some(expires),
        ..running("t")
    };
    let stopped = |task| one(task, alive()).stops == [("t".to_owned(), StopReason::Silent)];
    assert!(stopped(silent(NOW - 3601, NOW - 1)));
    assert!(!stopped(silent(NOW - 3600, NOW - 1)));
    assert!(!stopped(silent(NOW - 3601, NOW)));
    // A sign of life from before this attempt says nothing.
    assert!(!stopped(silent(NOW - 10_001, NOW - 1)));
    let gone = Process::Ended {
        end: End::Signaled(15),
        stopping: Some(StopReason::Silent),
    };
    let decision = one(silent(NOW - 4000, NOW - 1), Some(gone));
    let reclaim = reclaim(&decision);
    assert!(reclaim.terminated && reclaim.heartbeat_stale && reclaim.host_local);
}

// ===== processes that are not proven ours =====

#[test]
fn an_unproven_process_is_watched_and_never_stopped() {
    let peers = |expires| Task {
        claim_lock: Some("host:9".into()),
        claim_expires: Some(expires),
        max_runtime: Some(1),
        ..running("t")
    };
    let there = |alive| Some(Process::Unproven { alive });
    // Alive: its claim is extended when it has run out.
    assert!(one(peers(NOW), there(true)).transitions.is_empty());
    let decision = one(peers(NOW - 1), there(true));
    let [
        Transition::Extend {
            pid: 42,
            expires_was,
            expires,
            ..
        },
    ] = decision.transitions[..]
    else {
        panic!("{decision:?}")
    };
    assert_eq!((expires_was, expires), (NOW - 1, NOW + 900));
    // Silent too: beside a process that may be its worker the task gets no second one.
    let silent = Task {
        last_heartbeat_at: Some(NOW - 4000),
        run_started_at: Some(NOW - 5000),
        ..peers(NOW - 1)
    };
    let decision = one(silent, there(true));
    assert!(matches!(
        decision.transitions[..],
        [Transition::Extend { .. }]
    ));
    assert!(decision.stops.is_empty());
    // Gone: a crash, but not within the grace of its first start.
    assert!(matches!(
        failure(&one(peers(NOW), there(false))).cause,
        Cause::Crashed(End::Unknown)
    ));
    let fresh = Task {
        started_at: Some(NOW - 29),
        max_runtime: None,
        ..peers(NOW)
    };
    let decision = one(fresh, there(false));
    assert_eq!(
        (decision.transitions.len(), decision.next_due),
        (0, Some(NOW + 1))
    );
    // A start in the future was written before the clock was set back: the grace does not last until then.
    let fresh = Task {
        started_at: Some(NOW + 18_000),
        max_runtime: None,
        ..peers(NOW + 18_900)
    };
    assert!(matches!(
        failure(&one(fresh, there(false))).cause,
        Cause::Crashed(End::Unknown)
    ));
}

// ===== rows and starts =====

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

// ===== laws =====

/// Numbers that rows may hold: around now, and as far away as rows are read.
fn number() -> impl Strategy<Value = i64> {
    const FAR: i64 = 1 << 53;
    prop_oneof![
        4 => NOW - 5_000..NOW + 5_000,
        1 => -3..4_i64,
        1 => prop_oneof![Just(FAR), Just(-FAR)],
    ]
}

fn maybe<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::of(strategy)
}

fn lock() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "rs.host:1:a",
        "rs.host:2:b",
        "host:9",
        "elsewhere:1",
        "",
    ])
    .prop_map(str::to_owned)
}

fn any_past() -> impl Strategy<Value = Past> {
    let error = prop::sample::select(vec!["HTTP 403", "pid 403 not alive", "boom"]);
    let reason = prop::sample::select(vec!["blocker_auth", "active_pr", "else"]);
    let times = (
        maybe(number()),
        maybe(number()),
        maybe(number()),
        maybe(number()),
    );
    let rest = (
        maybe(error.prop_map(str::to_owned)),
        maybe(reason.prop_map(str::to_owned)),
        0..9_i64,
        0..6_i64,
    );
    (times, rest).prop_map(|(times, rest)| Past {
        ended_at: times.0,
        succeeded_at: times.1,
        pull_request_at: times.2,
        gave_up_at: times.3,
        error: rest.0,
        told: rest.1,
        give_ups: rest.2,
        infrastructure: rest.3,
    })
}

fn any_task() -> impl Strategy<Value = Task> {
    let status = prop::sample::select(vec![
        Status::Todo,
        Status::Ready,
        Status::Running,
        Status::Blocked,
        Status::Review,
    ]);
    let assignee = prop::sample::select(vec!["coder", "tester", " coder ", "nobody", " ", ""]);
    let who = (
        status,
        maybe(assignee.prop_map(str::to_owned)),
        -2..3_i64,
        0..3_i64,
    );
    let claim = (
        maybe(lock()),
        maybe(number()),
        maybe(number()),
        maybe(number()),
        maybe(number()),
    );
    let counts = (
        0..5_i64,
        maybe(-1..4_i64),
        maybe(number()),
        0..4_i64,
        maybe(number()),
    );
    let rest = (
        maybe(1..9_i64),
        prop::sample::select(vec!["scratch", "dir", "worktree", ""]),
        any::<bool>(),
        any::<bool>(),
        maybe(number()),
    );
    (who, claim, counts, rest, any_past()).prop_map(|(who, claim, counts, rest, past)| Task {
        past,
        id: String::new(),
        status: who.0,
        assignee: who.1,
        priority: who.2,
        created_at: who.3,
        claim_lock: claim.0,
        claim_expires: claim.1,
        worker_pid: claim.2,
        started_at: claim.3,
        last_heartbeat_at: claim.4,
        failures: counts.0,
        max_retries: counts.1,
        max_runtime: counts.2,
        violations: counts.3,
        run_started_at: counts.4,
        run: rest.0,
        workspace_kind: rest.1.to_owned(),
        has_open_parent: rest.2,
        is_sticky: rest.3,
        rate_limited_at: rest.4,
    })
}

fn any_process() -> impl Strategy<Value = Process> {
    let stopping = || {
        let reasons = [
            StopReason::TimedOut,
            StopReason::Silent,
            StopReason::Stale,
            StopReason::ClaimLost,
        ];
        maybe(prop::sample::select(reasons.to_vec()))
    };
    let end = prop_oneof![
        prop::sample::select(vec![0, 1, 3, 75, 78]).prop_map(End::Exited),
        prop::sample::select(vec![9, 15]).prop_map(End::Signaled),
        Just(End::Unknown),
        Just(End::Interrupted),
    ];
    prop_oneof![
        stopping().prop_map(|stopping| Process::Alive { stopping }),
        (end, stopping()).prop_map(|(end, stopping)| Process::Ended { end, stopping }),
        any::<bool>().prop_map(|alive| Process::Unproven { alive }),
    ]
}

prop_compose! {
    pub(super) fn any_board()(
        tasks in prop::collection::vec((any_task(), maybe(any_process())), 0..12),
        bad in 0..3_usize,
        caps in (maybe(0..5_u32), maybe(1..3_u32)),
        failure_limit in 1..4_i64,
        cooldown in 0..400_i64,
        times in (0..400_i64, 0..9_000_i64, 0..400_i64),
        default in maybe(prop::sample::select(vec!["coder", "nobody"])),
        is_stopping in any::<bool>(),
    ) -> (View, Processes, Policy) {
        let mut view = View::default();
        let mut processes = Processes::new();
        for (n, (mut task, process)) in tasks.into_iter().enumerate() {
            // Not in the order of creation, so that sorting by id is not sorting by position.
            task.id = format!("t{:02}", (n * 7) % 12);
            // Only looked for where it matters, as `observe` does.
            task.has_open_parent &= task.status != Status::Running;
            if let Some(process) = process {
                processes.insert(task.id.clone(), process);
            }
            view.tasks.push(task);
        }
        view.bad_rows = (0..bad).map(|n| BadRow { id: n.to_string(), reason: String::new(), status: None }).collect();
        let policy = Policy {
            board_cap: caps.0,
            profile_cap: caps.1,
            failure_limit,
            cooldown,
            auth_backoff: times.0,
            stale_after: times.1,
            probe_after: times.2,
            default_assignee: default.map(str::to_owned),
            is_stopping,
            ..policy()
        };
        (view, processes, policy)
    }
}

/// A board's tasks after the transitions, as far as the next step looks at them.
fn after(view: &View, decision: &Decision) -> HashMap<String, Task> {
    let mut tasks: HashMap<String, Task> = view
        .tasks
        .iter()
        .map(|task| (task.id.clone(), task.clone()))
        .collect();
    for transition in &decision.transitions {
        let task = tasks
            .get_mut(transition.task())
            .expect("a task of this board");
        let status = match transition {
            Transition::Renew { .. } | Transition::Extend { .. } => continue,
            Transition::Guard { .. } => continue,
            Transition::Assign { assignee, .. } => {
                task.assignee = Some(assignee.clone());
                continue;
            }
            Transition::Promote { .. }
            | Transition::Probe { .. }
            | Transition::Reclaim(_)
            | Transition::Stale(_) => Status::Ready,
            Transition::Demote { .. } => Status::Todo,
            Transition::Fail(Failure {
                verdict: Verdict::Tripped { .. },
                ..
            }) => Status::Blocked,
            Transition::Fail(_) => Status::Ready,
            // Of rows that are no tasks of the view.
            Transition::SetAside { .. } => continue,
        };
        task.status = status;
        if !matches!(
            transition,
            Transition::Promote { .. } | Transition::Probe { .. } | Transition::Demote { .. }
        ) {
            task.claim_lock = None;
        }
    }
    tasks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn on_any_board_the_decision_is_lawful((view, processes, policy) in any_board()) {
        let decision = decide(&view, &processes, &policy, NOW);
        prop_assert_eq!(&decision, &decide(&view, &processes, &policy, NOW), "the same again");

        let mut changed: HashMap<&str, &Transition> = HashMap::new();
        let moves = |t: &&Transition| !matches!(t, Transition::Guard { .. } | Transition::Assign { .. });
        for transition in decision.transitions.iter().filter(moves) {
            let other = changed.insert(transition.task(), transition);
            prop_assert!(other.is_none(), "two changes of one task: {:?} {:?}", other, transition);
        }

        // What is claimed may start: ready, free, assigned to somebody who is there, no open parent, rested.
        let tasks = after(&view, &decision);
        let mut claimed = HashSet::new();
        for claim in &decision.claims {
            let task = &tasks[&claim.task];
            prop_assert!(claimed.insert(&claim.task), "claimed twice");
            prop_assert_eq!(task.status, claim.from);
            prop_assert!(task.claim_lock.is_none());
            prop_assert!(claim.from == Status::Review || claim.from == Status::Ready && !task.has_open_parent);
            let assignee = task.assignee.as_deref().map(str::trim).unwrap_or_default();
            prop_assert!(policy.spawnable.contains(assignee));
            prop_assert_eq!((&claim.lock, claim.expires), (&policy.lock, NOW + policy.claim_ttl));
        }

        // Best first.
        let keys: Vec<_> = decision
            .claims
            .iter()
            .map(|claim| (claim.from == Status::Review, &tasks[&claim.task]))
            .map(|(is_review, task)| {
                (is_review, std::cmp::Reverse(task.priority), task.created_at, task.id.clone())
            })
            .collect();
        prop_assert!(keys.is_sorted());

        // Every free task in the ready and the review column is claimed, demoted, or held for one reason.
        let free = |task: &&Task| {
            matches!(task.status, Status::Ready | Status::Review) && task.claim_lock.is_none()
        };
        let demoted = decision.transitions.iter().filter(|t| matches!(t, Transition::Demote { .. })).count();
        let bad = decision.held.get(&HeldReason::BadRow).copied().unwrap_or(0) as usize;
        prop_assert_eq!(bad, view.bad_rows.len());
        let held = decision.held.values().sum::<u32>() as usize - bad;
        prop_assert_eq!(held + claimed.len(), tasks.values().filter(free).count());
        let is_todo = |transition: &&&Transition| tasks[transition.task()].status == Status::Todo;
        prop_assert_eq!(demoted, changed.values().filter(is_todo).count());

        // The board's limit.
        if let Some(cap) = policy.board_cap {
            let running = tasks.values().filter(|task| task.status == Status::Running).count();
            prop_assert!(claimed.is_empty() || running + claimed.len() <= cap as usize);
        }

        // The limit of each profile, over both columns.
        if let Some(cap) = policy.profile_cap {
            for name in ["coder", "tester"] {
                let is_its = |task: &&Task| task.assignee.as_deref().is_some_and(|by| by.trim() == name);
                let running = tasks.values().filter(is_its).filter(|task| task.status == Status::Running);
                let more = claimed.iter().filter(|id| is_its(&&tasks[id.as_str()])).count();
                prop_assert!(more == 0 || running.count() + more <= cap as usize, "{name}");
            }
        }

        // Reasons are told of those that are held, once; nobody's tasks become somebody's only if that one can start.
        for transition in &decision.transitions {
            match transition {
                Transition::Guard { task, reason } => {
                    prop_assert!(!claimed.contains(task) && tasks[task].past.told.as_deref() != Some(reason));
                }
                Transition::Assign { assignee, .. } => prop_assert!(policy.spawnable.contains(assignee)),
                _ => {}
            }
        }

        // Only what is proven ours is stopped, once, and it is not given away before it is gone.
        for (task, _) in &decision.stops {
            prop_assert_eq!(processes.get(task), Some(&Process::Alive { stopping: None }));
            let change = changed.get(task.as_str());
            let gone = change.is_some_and(|change| !matches!(change, Transition::Renew { .. }));
            prop_assert!(!gone, "{task} is given away");
        }
        for task in &view.tasks {
            if matches!(processes.get(&task.id), Some(Process::Alive { .. })) && task.status == Status::Running {
                prop_assert!(!claimed.contains(&task.id), "a second worker");
            }
        }
        if let Some(due) = decision.next_due {
            prop_assert!(due >= NOW, "{due} is past");
        }
    }
}
