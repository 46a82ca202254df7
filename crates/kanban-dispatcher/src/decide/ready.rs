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
            let expires = now.saturating_add(policy.claim_ttl);
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
    // An end in the future was written before the clock was set back: a rest is never longer than the cooldown.
    let rest_ends = task
        .rate_limited_at
        .filter(|at| *at <= now)
        .map(|at| at.saturating_add(policy.cooldown))
        .filter(|end| *end > now)?;
    decision.due(rest_ends);
    Some(HeldReason::Cooldown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;
    const COOLDOWN: i64 = 300;

    fn decide_at(now: i64, claim_ttl: i64, rate_limited_at: i64) -> Decision {
        let task = Task {
            id: "t".to_owned(),
            status: Status::Ready,
            assignee: Some("coder".to_owned()),
            priority: 0,
            created_at: 0,
            started_at: None,
            claim_lock: None,
            claim_expires: None,
            worker_pid: None,
            last_heartbeat_at: None,
            failures: 0,
            max_retries: None,
            max_runtime: None,
            run: None,
            run_started_at: None,
            workspace_kind: "scratch".to_owned(),
            has_open_parent: false,
            is_sticky: false,
            rate_limited_at: Some(rate_limited_at),
            violations: 0,
        };
        let policy = Policy {
            lock: "rs.host:1:a".to_owned(),
            our_prefix: "rs.host:".to_owned(),
            peer_prefix: "host:".to_owned(),
            claim_ttl,
            renew_before: 300,
            failure_limit: 2,
            crash_grace: 30,
            cooldown: COOLDOWN,
            board_cap: None,
            spawnable: ["coder".to_owned()].into(),
        };
        let mut decision = Decision::default();
        choose(&[task], &policy, now, &mut decision);
        decision
    }

    #[test]
    fn a_rest_that_began_in_the_future_is_over() {
        // The clock was set back by a day: the task must not rest for the day.
        for (at, rests) in [
            (NOW - COOLDOWN, false),
            (NOW - COOLDOWN + 1, true),
            (NOW, true),
            (NOW + 1, false),
            (NOW + 86_400, false),
        ] {
            let decision = decide_at(NOW, 900, at);
            assert_eq!(decision.claims.is_empty(), rests, "{}", at - NOW);
            let rest_ends = rests.then_some(at + COOLDOWN);
            assert_eq!(decision.next_due, rest_ends, "{}", at - NOW);
        }
    }

    #[test]
    fn times_at_the_end_of_the_range_are_as_good_as_any() {
        for at in [i64::MIN, 0, i64::MAX] {
            for now in [i64::MIN, 0, i64::MAX] {
                let decision = decide_at(now, i64::MAX, at);
                let rests = decision.claims.is_empty();
                assert_eq!(rests, at == now && now != i64::MAX, "{at} {now}");
            }
        }
    }
}
