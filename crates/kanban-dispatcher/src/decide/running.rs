//! What becomes of a running task: its worker ended, ran too long, fell silent, or its claim ran out.

use std::collections::HashSet;

use super::Decision;
use super::breaker::{self, EndKey};
use crate::transition::{Cause, Failure, Reclaim, Transition, Verdict};
use crate::view::{End, Policy, Process, Processes, Status, StopReason, Task};

/// A worker that gave no sign of life for this long counts as silent, once its claim has run out.
const SILENT_AFTER: i64 = 3600;

const SIGKILL: i32 = 9;

pub(super) fn judge(
    task: &mut Task,
    processes: &Processes,
    policy: &Policy,
    shared: &HashSet<EndKey>,
    now: i64,
    decision: &mut Decision,
) {
    // Without a lock nobody renews it: it ends when it runs out.
    let lock = task.claim_lock.clone().unwrap_or_default();
    match processes.get(&task.id) {
        Some(Process::Ended { .. }) | None
            if task.worker_pid.is_none() && lock.starts_with(&policy.our_prefix) =>
        {
            // Claimed by a dispatcher of ours that died before its worker passed the gate: nothing ever ran.
            release(task, lock, policy, now, false, decision);
        }
        Some(Process::Ended { end, stopping }) => {
            let key = processes.get(&task.id).and_then(breaker::end_key);
            let limit = key
                .filter(|key| shared.contains(key))
                .map(|_| breaker::SHARED_LIMIT);
            ended(task, lock, *end, *stopping, policy, limit, now, decision);
        }
        Some(Process::Alive { stopping }) => {
            alive(task, lock, *stopping, policy, now, decision);
        }
        Some(Process::Unproven { alive }) => {
            unproven(task, lock, *alive, policy, now, decision);
        }
        None => expire(task, lock, policy, now, decision),
    }
}

#[expect(clippy::too_many_arguments, reason = "a leaf that only computes")]
fn ended(
    task: &mut Task,
    lock: String,
    end: End,
    stopping: Option<StopReason>,
    policy: &Policy,
    limit_now: Option<i64>,
    now: i64,
    decision: &mut Decision,
) {
    let pid = task.worker_pid.unwrap_or_default();
    let overdue = runtime(task, now).filter(|(elapsed, limit)| elapsed >= limit);
    // After a restart nobody remembers that we asked it to stop; a signal past the limit was ours all the same.
    let asked = stopping == Some(StopReason::TimedOut) || !matches!(end, End::Exited(_));
    let (cause, error) = match (stopping, end) {
        (Some(StopReason::Silent), _) => {
            release(task, lock, policy, now, true, decision);
            return;
        }
        _ if overdue.is_some() && asked => {
            let (elapsed, limit) = overdue.unwrap_or_default();
            let sigkill = end == End::Signaled(SIGKILL);
            (
                Cause::TimedOut {
                    elapsed,
                    limit,
                    sigkill,
                },
                format!("elapsed {elapsed}s > limit {limit}s"),
            )
        }
        (_, End::Exited(0)) => (
            Cause::Silent,
            format!(
                "pid {pid} exited 0 without completing or blocking the task: protocol violation"
            ),
        ),
        (_, End::Exited(75)) => (
            Cause::RateLimited,
            format!("pid {pid} exited rate-limited (code 75)"),
        ),
        (_, End::Exited(code)) => (
            Cause::Crashed(end),
            format!("pid {pid} exited with code {code}"),
        ),
        (_, End::Signaled(signal)) => (
            Cause::Crashed(end),
            format!("pid {pid} killed by signal {signal}"),
        ),
        (_, End::Unknown) => (Cause::Crashed(end), format!("pid {pid} not alive")),
    };
    fail(task, lock, cause, error, policy, limit_now, now, decision);
}

#[expect(clippy::too_many_arguments, reason = "a leaf that only computes")]
fn fail(
    task: &mut Task,
    lock: String,
    cause: Cause,
    error: String,
    policy: &Policy,
    limit_now: Option<i64>,
    now: i64,
    decision: &mut Decision,
) {
    let verdict = match cause {
        Cause::RateLimited => Verdict::Uncounted,
        Cause::Silent => breaker::count_silent(task, policy),
        _ => breaker::count(task, policy, limit_now),
    };
    let failure = Failure {
        task: task.id.clone(),
        lock,
        pid: task.worker_pid,
        cause,
        error,
        verdict,
    };
    match verdict {
        Verdict::Tripped { stored, .. } => {
            task.status = Status::Blocked;
            task.failures = stored;
        }
        Verdict::Counted { failures } => {
            task.failures = failures;
            make_ready(task);
        }
        Verdict::Uncounted => {
            if cause == Cause::RateLimited {
                task.rate_limited_at = Some(now);
            }
            make_ready(task);
        }
    }
    decision.transitions.push(Transition::Fail(failure));
}

fn alive(
    task: &Task,
    lock: String,
    stopping: Option<StopReason>,
    policy: &Policy,
    now: i64,
    decision: &mut Decision,
) {
    if stopping.is_none() {
        if let Some((elapsed, limit)) = runtime(task, now) {
            if elapsed >= limit {
                decision.stops.push((task.id.clone(), StopReason::TimedOut));
            } else {
                decision.due(now + (limit - elapsed));
            }
        }
        let expired = task.claim_expires.is_some_and(|at| at < now);
        if expired && is_silent(task, now) {
            decision.stops.push((task.id.clone(), StopReason::Silent));
        }
    }
    // The claim is renewed until the process is gone: a peer that saw it run out would start a second worker.
    let renew_at = task
        .claim_expires
        .map_or(now, |at| at - policy.renew_before);
    if renew_at <= now && !(stopping.is_none() && expired_and_silent(task, now)) {
        let expires = now + policy.claim_ttl;
        decision.transitions.push(Transition::Renew {
            task: task.id.clone(),
            lock,
            expires,
        });
        decision.due(expires - policy.renew_before);
    } else {
        decision.due(renew_at.max(now + 1));
    }
}

fn expired_and_silent(task: &Task, now: i64) -> bool {
    task.claim_expires.is_some_and(|at| at < now) && is_silent(task, now)
}

fn unproven(
    task: &mut Task,
    lock: String,
    alive: bool,
    policy: &Policy,
    now: i64,
    decision: &mut Decision,
) {
    if !alive {
        let grace_ends = task.started_at.unwrap_or(0) + policy.crash_grace;
        if now < grace_ends {
            decision.due(grace_ends);
            return;
        }
        let error = format!("pid {} not alive", task.worker_pid.unwrap_or_default());
        fail(
            task,
            lock,
            Cause::Crashed(End::Unknown),
            error,
            policy,
            None,
            now,
            decision,
        );
        return;
    }
    // Alive: its claim goes on however silent it is. It is not ours to signal, and a second worker beside it would be worse.
    let Some((expires_was, pid)) = task.claim_expires.zip(task.worker_pid) else {
        return;
    };
    if expires_was >= now {
        decision.due(expires_was + 1);
    } else {
        let expires = now + policy.claim_ttl;
        decision.transitions.push(Transition::Extend {
            task: task.id.clone(),
            lock,
            pid,
            expires_was,
            expires,
            last_heartbeat_at: task.last_heartbeat_at,
        });
        decision.due(expires + 1);
    }
}

/// A claim of a person, or of another host: it ends when it runs out.
fn expire(task: &mut Task, lock: String, policy: &Policy, now: i64, decision: &mut Decision) {
    match task.claim_expires {
        Some(at) if at < now => release(task, lock, policy, now, false, decision),
        Some(at) => decision.due(at + 1),
        None => {}
    }
}

fn release(
    task: &mut Task,
    lock: String,
    policy: &Policy,
    now: i64,
    terminated: bool,
    decision: &mut Decision,
) {
    let host_local = lock.starts_with(&policy.our_prefix) || lock.starts_with(&policy.peer_prefix);
    decision.transitions.push(Transition::Reclaim(Reclaim {
        task: task.id.clone(),
        lock,
        pid: task.worker_pid,
        expires: task.claim_expires,
        last_heartbeat_at: task.last_heartbeat_at,
        host_local,
        heartbeat_stale: is_silent(task, now),
        terminated,
    }));
    make_ready(task);
}

fn make_ready(task: &mut Task) {
    task.status = Status::Ready;
    task.claim_lock = None;
    task.worker_pid = None;
    task.run = None;
}

/// How long the open attempt runs and may run.
fn runtime(task: &Task, now: i64) -> Option<(i64, i64)> {
    let limit = task.max_runtime.filter(|limit| *limit > 0)?;
    Some((now - attempt_start(task)?, limit))
}

fn attempt_start(task: &Task) -> Option<i64> {
    task.run_started_at.or(task.started_at)
}

/// A sign of life from an earlier attempt says nothing about this one.
fn is_silent(task: &Task, now: i64) -> bool {
    let since = attempt_start(task).unwrap_or(i64::MIN);
    task.last_heartbeat_at
        .is_some_and(|at| at >= since && now - at > SILENT_AFTER)
}
