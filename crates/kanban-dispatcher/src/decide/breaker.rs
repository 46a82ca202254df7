//! The circuit breaker: how many failures in a row a task may have.

use std::collections::{HashMap, HashSet};

use crate::policy::Policy;
use crate::transition::Verdict;
use crate::view::{End, Process, Processes, Status, StopReason, Task};

/// Attempts in a row that may end without a word before the task is given up.
const VIOLATIONS_MAX: i64 = 3;

/// This many workers of one board that end the same way in one tick share a cause.
const SHARED_ENDS: usize = 3;

/// The limit for those.
pub(super) const SHARED_LIMIT: i64 = 1;

/// A probe that fails doubles the time to the next one, at most so often.
const PROBE_DOUBLINGS_MAX: i64 = 6;

/// Whether the breaker holds a blocked task.
pub(super) fn has_given_up(task: &Task, policy: &Policy) -> bool {
    task.failures >= task.max_retries.unwrap_or(policy.failure_limit)
}

/// When a task that was given up is tried once more. The count stays, so that no program takes this for a recovery.
pub(super) fn probe_at(task: &Task, policy: &Policy) -> Option<i64> {
    let given_up = task.past.gave_up_at.filter(|_| policy.probe_after > 0)?;
    let doublings = task
        .past
        .give_ups
        .saturating_sub(1)
        .clamp(0, PROBE_DOUBLINGS_MAX);
    Some(given_up.saturating_add(policy.probe_after.saturating_mul(1 << doublings)))
}

/// Gives a task up at once: its program says that another attempt would end the same way.
pub(super) fn give_up(task: &Task, policy: &Policy) -> Verdict {
    let failures = task.failures.saturating_add(1);
    tripped(task, policy, failures, 1, "dispatcher", None)
}

/// An attempt that the machine ended: no fault of the task, but not for ever.
pub(super) fn count_infrastructure(task: &Task, policy: &Policy) -> Verdict {
    let (ends, limit) = (
        task.past.infrastructure.saturating_add(1),
        policy.infrastructure_limit,
    );
    if ends < limit {
        return Verdict::Uncounted;
    }
    let failures = task.failures.saturating_add(1).max(ends);
    tripped(task, policy, failures, limit, "dispatcher", None)
}

/// Counts one more failure against the task's own limit, else the dispatcher's.
pub(super) fn count(task: &Task, policy: &Policy, limit_now: Option<i64>) -> Verdict {
    let failures = task.failures.saturating_add(1);
    let (limit, limit_source) = limit(task, policy, limit_now);
    if failures < limit {
        return Verdict::Counted { failures };
    }
    tripped(task, policy, failures, limit, limit_source, None)
}

/// Counts one more attempt that ended without a word: its own streak, its own limit.
pub(super) fn count_silent(task: &Task, policy: &Policy) -> Verdict {
    let violations = task.violations.saturating_add(1);
    let allowed = task.max_retries.unwrap_or(VIOLATIONS_MAX);
    if violations < allowed {
        return Verdict::Uncounted;
    }
    let (limit, limit_source) = limit(task, policy, None);
    let failures = task.failures.saturating_add(1);
    tripped(
        task,
        policy,
        failures,
        limit,
        limit_source,
        Some((violations, allowed)),
    )
}

fn limit(task: &Task, policy: &Policy, limit_now: Option<i64>) -> (i64, &'static str) {
    match task.max_retries {
        Some(own) => (own, "task"),
        None => (limit_now.unwrap_or(policy.failure_limit), "dispatcher"),
    }
}

fn tripped(
    task: &Task,
    policy: &Policy,
    failures: i64,
    limit: i64,
    limit_source: &'static str,
    violations: Option<(i64, i64)>,
) -> Verdict {
    // A peer's next look frees a blocked task whose counter is below what *it* takes for the limit (the default is 2).
    let peers_limit = task
        .max_retries
        .unwrap_or_else(|| policy.failure_limit.max(2));
    let stored = failures.max(limit).max(peers_limit);
    Verdict::Tripped {
        failures,
        stored,
        limit,
        limit_source,
        violations,
    }
}

/// The ends that at least three workers of this tick share; for those the limit is 1.
pub(super) fn shared_ends(tasks: &[Task], processes: &Processes) -> HashSet<EndKey> {
    let mut counts: HashMap<EndKey, usize> = HashMap::new();
    for task in tasks.iter().filter(|task| task.status == Status::Running) {
        if let Some(key) = processes.get(&task.id).and_then(end_key) {
            *counts.entry(key).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count >= SHARED_ENDS);
    counts.into_keys().collect()
}

/// An end without what differs from worker to worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum EndKey {
    Code(i32),
    Signal(i32),
}

pub(super) fn end_key(process: &Process) -> Option<EndKey> {
    match process {
        Process::Ended {
            stopping: Some(StopReason::TimedOut | StopReason::Silent),
            ..
        } => None,
        Process::Ended {
            // 9 is the machine's doing.
            end: End::Exited(0 | 75) | End::Unknown | End::Interrupted | End::Signaled(9),
            ..
        } => None,
        Process::Ended {
            end: End::Exited(code),
            ..
        } => Some(EndKey::Code(*code)),
        Process::Ended {
            end: End::Signaled(signal),
            ..
        } => Some(EndKey::Signal(*signal)),
        Process::Alive { .. } | Process::Unproven { .. } => None,
    }
}
