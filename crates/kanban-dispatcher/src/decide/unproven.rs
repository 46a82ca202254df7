//! A claim whose process is not proven ours: the peer's, a person's, another host's. It is judged as the peer would, but never
//! signalled.

use super::Decision;
use super::draft::Draft;
use super::guard::lasting;
use super::running::{Gone, fail, give_back_stale, release, runtime, stale_at};
use crate::policy::Policy;
use crate::transition::{Cause, Transition};
use crate::view::End;

/// `alive`: whether a process with the recorded id lives on this host; `None` when that says nothing about the claim.
pub(super) fn judge(
    task: &mut Draft<'_>,
    lock: String,
    alive: Option<bool>,
    policy: &Policy,
    now: i64,
    decision: &mut Decision,
) {
    let gone = match alive {
        Some(_) => Gone::ByItself,
        None => Gone::Unseen,
    };
    let expired = task.claim_expires.filter(|at| *at < now);
    if alive == Some(true) {
        // However silent it is: it is not ours to signal, and a second worker beside it would be worse.
        if let Some((was, pid)) = expired.zip(task.worker_pid) {
            extend(task, lock.clone(), pid, was, policy, now, decision);
        }
    } else if expired.is_some() {
        return release(task, lock, policy, now, gone, decision);
    } else if let Some(at) = stale_at(task, policy) {
        if at <= now {
            return give_back_stale(task, lock, policy, now, gone, decision);
        }
        decision.due(at);
    }
    if alive == Some(false) && is_over(task, lock, policy, now, decision) {
        return;
    }
    if let Some(at) = task.claim_expires {
        decision.due(at.max(now) + 1);
    }
}

/// A worker that is gone: it crashed, once the time has passed in which a starting one cannot be seen yet.
fn is_over(
    task: &mut Draft<'_>,
    lock: String,
    policy: &Policy,
    now: i64,
    decision: &mut Decision,
) -> bool {
    let grace_ends = task
        .started_at
        .and_then(|at| lasting(at, policy.crash_grace, now));
    let overdue = runtime(task, now).filter(|(elapsed, limit)| elapsed >= limit);
    let (cause, error) = match (grace_ends, overdue) {
        (None, _) => {
            let pid = task.worker_pid.unwrap_or_default();
            let cause = Cause::Crashed(End::Unknown);
            (cause, format!("pid {pid} not alive"))
        }
        (_, Some((elapsed, limit))) => {
            let cause = Cause::TimedOut {
                elapsed,
                limit,
                sigkill: false,
            };
            (cause, format!("elapsed {elapsed}s > limit {limit}s"))
        }
        (Some(grace_ends), None) => {
            decision.due(grace_ends);
            return false;
        }
    };
    fail(task, lock, cause, error, policy, None, now, decision);
    true
}

fn extend(
    task: &mut Draft<'_>,
    lock: String,
    pid: i64,
    expires_was: i64,
    policy: &Policy,
    now: i64,
    decision: &mut Decision,
) {
    let expires = now + policy.claim_ttl;
    decision.transitions.push(Transition::Extend {
        task: task.id.clone(),
        lock,
        pid,
        expires_was,
        expires,
        last_heartbeat_at: task.last_heartbeat_at,
    });
    task.claim_expires = Some(expires);
}
