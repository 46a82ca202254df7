//! The ready column: which tasks start now, in which order, and why the others do not.

use super::Decision;
use crate::transition::{Claim, Transition};
use crate::view::{HeldReason, Policy, Status, Task};

pub(super) fn choose(tasks: &[Task], policy: &Policy, now: i64, decision: &mut Decision) {
    let running = tasks
        .iter()
        .filter(|task| task.status == Status::Running)
        .count();
    let mut room = policy
        .board_cap
        .map(|cap| (cap as usize).saturating_sub(running));
    for task in in_order(tasks) {
        if task.has_open_parent {
            decision.transitions.push(Transition::Demote {
                task: task.id.clone(),
            });
        } else if let Some(reason) = held(task, policy, now, decision) {
            decision.hold(reason);
        } else if room == Some(0) {
            decision.hold(HeldReason::BoardCap);
        } else {
            room = room.map(|room| room - 1);
            let expires = now + policy.claim_ttl;
            let (task, lock) = (task.id.clone(), policy.lock.clone());
            decision.claims.push(Claim {
                task,
                lock,
                expires,
            });
        }
    }
}

/// Unclaimed ready tasks: higher priority first, then older, then by id so that ticks are reproducible.
fn in_order(tasks: &[Task]) -> Vec<&Task> {
    let mut ready: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.status == Status::Ready && task.claim_lock.is_none())
        .collect();
    ready.sort_by_key(|task| (std::cmp::Reverse(task.priority), task.created_at, &task.id));
    ready
}

fn held(task: &Task, policy: &Policy, now: i64, decision: &mut Decision) -> Option<HeldReason> {
    let assignee = task
        .assignee
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let Some(assignee) = assignee else {
        return Some(HeldReason::Unassigned);
    };
    if !policy.spawnable.contains(assignee) {
        return Some(HeldReason::UnknownAssignee);
    }
    if !matches!(task.workspace_kind.as_str(), "scratch" | "dir") {
        return Some(HeldReason::Workspace);
    }
    let rest_ends = task
        .rate_limited_at
        .map(|at| at + policy.cooldown)
        .filter(|end| *end > now)?;
    decision.due(rest_ends);
    Some(HeldReason::Cooldown)
}
