//! What an ended worker means for its task.

use super::*;

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
