//! What becomes of a running task: its worker ended, ran too long, fell silent, or its claim ran out.

use std::collections::HashSet;

use super::Decision;
use super::breaker::{self, EndKey};
use super::draft::Draft;
use super::unproven;
use crate::policy::Policy;
use crate::transition::{Cause, Failure, Reclaim, Stale, Transition, Verdict};
use crate::view::{End, Process, Processes, Status, StopReason, Task};

/// A worker that gave no sign of life for this long counts as silent, once its claim has run out.
const SILENT_AFTER: i64 = 3600;

const SIGKILL: i32 = 9;

/// The exit code that says: another attempt would end the same way (`EX_CONFIG`).
const PERMANENT: i32 = 78;

/// What a shell adds to the number of the signal that ended its program.
const SHELLS_SIGNAL: i32 = 128;

pub(super) fn judge(
    task: &mut Draft<'_>,
    processes: &Processes,
    policy: &Policy,
    shared: &HashSet<EndKey>,
    now: i64,
    decision: &mut Decision,
) {
    let process = processes.get(&task.id);
    if let Some(Process::Alive { stopping }) = process {
        return alive(task, *stopping, policy, now, decision);
    }
    // Without a lock nobody renews it: it ends when it runs out.
    let lock = task.claim_lock.clone().unwrap_or_default();
    match process {
        Some(Process::Ended { .. }) | None
            if task.worker_pid.is_none() && lock.starts_with(&policy.our_prefix) =>
        {
            // Claimed by a dispatcher of ours that died before its worker passed the gate: nothing ever ran.
            release(task, lock, policy, now, Gone::Unseen, decision);
        }
        // The same, and its identity was on the board already; or the machine was started anew.
        Some(Process::Ended {
            end: End::Interrupted,
            ..
        }) => release(task, lock, policy, now, Gone::ByItself, decision),
        Some(Process::Ended { end, stopping }) => {
            let key = process.and_then(breaker::end_key);
            let limit = key
                .filter(|key| shared.contains(key))
                .map(|_| breaker::SHARED_LIMIT);
            ended(task, lock, *end, *stopping, policy, limit, now, decision);
        }
        Some(Process::Unproven { alive }) => {
            unproven::judge(task, lock, Some(*alive), policy, now, decision);
        }
        Some(Process::Alive { .. }) | None => {
            unproven::judge(task, lock, None, policy, now, decision);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "a leaf that only computes")]
fn ended(
    task: &mut Draft<'_>,
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
            release(task, lock, policy, now, Gone::Stopped, decision);
            return;
        }
        (Some(StopReason::Stale), _) => {
            give_back_stale(task, lock, policy, now, Gone::Stopped, decision);
            return;
        }
        (None, end) if policy.is_stopping && may_be_shutdown(end) => {
            release(task, lock, policy, now, Gone::ByItself, decision);
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
        (None, End::Signaled(SIGKILL)) => (
            Cause::Infrastructure(end),
            format!("pid {pid} killed by signal {SIGKILL}"),
        ),
        (_, End::Signaled(signal)) => (
            Cause::Crashed(end),
            format!("pid {pid} killed by signal {signal}"),
        ),
        (_, End::Unknown | End::Interrupted) => {
            (Cause::Crashed(end), format!("pid {pid} not alive"))
        }
    };
    fail(task, lock, cause, error, policy, limit_now, now, decision);
}

#[expect(clippy::too_many_arguments, reason = "a leaf that only computes")]
pub(super) fn fail(
    task: &mut Draft<'_>,
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
        Cause::Infrastructure(_) => breaker::count_infrastructure(task, policy),
        Cause::Crashed(End::Exited(PERMANENT)) => breaker::give_up(task, policy),
        _ => breaker::count(task, policy, limit_now),
    };
    task.past.error = Some(error.clone());
    let failure = Failure {
        task: task.id.clone(),
        lock,
        pid: task.worker_pid,
        cause,
        error,
        verdict,
    };
    let was_open = task.run.is_some();
    match verdict {
        Verdict::Tripped { stored, .. } => {
            task.status = Status::Blocked;
            task.failures = stored;
            task.past.gave_up_at = Some(now);
            task.past.give_ups += 1;
        }
        Verdict::Counted { failures } => {
            task.failures = failures;
            make_ready(task, now);
        }
        Verdict::Uncounted => {
            make_ready(task, now);
            if cause == Cause::RateLimited && was_open {
                task.rate_limited_at = Some(now);
            }
        }
    }
    decision.transitions.push(Transition::Fail(failure));
}

fn alive(
    task: &Task,
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
        match stale_at(task, policy) {
            Some(at) if at <= now => decision.stops.push((task.id.clone(), StopReason::Stale)),
            Some(at) => decision.due(at),
            None => {}
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
            lock: task.claim_lock.clone().unwrap_or_default(),
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

/// What is known of the end of a claim's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nothing: another host's, or none was recorded.
    Unseen,
    /// It is gone, and not because of us.
    ByItself,
    /// It is gone because we asked it to go.
    Stopped,
}

pub(super) fn release(
    task: &mut Draft<'_>,
    lock: String,
    policy: &Policy,
    now: i64,
    gone: Gone,
    decision: &mut Decision,
) {
    let reclaim = reclaim(task, lock, policy, now, gone);
    decision.transitions.push(Transition::Reclaim(reclaim));
    make_ready(task, now);
    // A claim that is taken back asks for another attempt.
    task.past.succeeded_at = None;
}

/// As [`release`], with the age of the attempt and of its last sign of life.
pub(super) fn give_back_stale(
    task: &mut Draft<'_>,
    lock: String,
    policy: &Policy,
    now: i64,
    gone: Gone,
    decision: &mut Decision,
) {
    let began = attempt_start(task).unwrap_or(now);
    let stale = Stale {
        claim: reclaim(task, lock, policy, now, gone),
        elapsed: now - began,
        heartbeat_age: task.last_heartbeat_at.map(|at| now - at),
        timeout: policy.stale_after,
    };
    decision.transitions.push(Transition::Stale(stale));
    make_ready(task, now);
}

fn reclaim(task: &Task, lock: String, policy: &Policy, now: i64, gone: Gone) -> Reclaim {
    let is_ours = lock.starts_with(&policy.our_prefix) || lock.starts_with(&policy.peer_prefix);
    Reclaim {
        task: task.id.clone(),
        lock,
        pid: task.worker_pid,
        expires: task.claim_expires,
        last_heartbeat_at: task.last_heartbeat_at,
        host_local: is_ours && task.worker_pid.is_some_and(|pid| pid > 0),
        heartbeat_stale: is_silent(task, now),
        attempted: gone == Gone::Stopped,
        terminated: gone != Gone::Unseen,
    }
}

fn make_ready(task: &mut Draft<'_>, now: i64) {
    task.status = Status::Ready;
    task.claim_lock = None;
    task.worker_pid = None;
    if task.run.take().is_some() {
        task.past.ended_at = Some(now);
        task.rate_limited_at = None;
    }
}

/// When the open attempt is stale: as old as it may be, and an hour after its last sign of life.
pub(super) fn stale_at(task: &Task, policy: &Policy) -> Option<i64> {
    let began = attempt_start(task).filter(|_| policy.stale_after > 0)?;
    let old_at = began.saturating_add(policy.stale_after);
    let quiet_at = task
        .last_heartbeat_at
        .map(|at| at.saturating_add(SILENT_AFTER));
    Some(quiet_at.map_or(old_at, |at| at.max(old_at)))
}

/// An end that a shutdown of the machine or of our service brings about: a signal, or the tidy exit after one.
fn may_be_shutdown(end: End) -> bool {
    match end {
        End::Exited(code) => code == 0 || code > SHELLS_SIGNAL,
        End::Signaled(_) | End::Unknown | End::Interrupted => true,
    }
}

/// How long the open attempt runs and may run.
pub(super) fn runtime(task: &Task, now: i64) -> Option<(i64, i64)> {
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
