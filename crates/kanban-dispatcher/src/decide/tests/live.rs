//! What is done about workers that live, ours and those that are not proven ours.

use super::*;

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
