//! The ready and the review column: which tasks start now, in which order, and why the others do not.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::draft::Draft;
use super::guard::{begins, guard, told_as};
use super::{Decision, HeldTask};
use crate::policy::Policy;
use crate::transition::{Claim, Transition};
use crate::view::{HeldReason, Status, Task};

/// What a history says of a task whose assignee has no profile here.
const UNKNOWN_ASSIGNEE: &str = "unknown_assignee";

pub(super) fn choose(tasks: &mut [Draft<'_>], policy: &Policy, now: i64, decision: &mut Decision) {
    let mut places = Places::of(tasks, policy);
    for column in [Status::Ready, Status::Review] {
        for index in in_order(tasks, column) {
            let task = &mut tasks[index];
            match judge(task, policy, &places, now, decision) {
                Verdict::Starts => {
                    places.take(task);
                    decision.claims.push(Claim {
                        task: task.id.clone(),
                        from: column,
                        lock: policy.lock.clone(),
                        expires: now.saturating_add(policy.claim_ttl),
                    });
                }
                Verdict::Waits => {
                    task.status = Status::Todo;
                    decision.transitions.push(Transition::Demote {
                        task: task.id.clone(),
                    });
                }
                Verdict::Held(reason, until) => {
                    decision.hold(reason);
                    decision.held_tasks.push(HeldTask {
                        index,
                        reason,
                        until,
                    });
                    if let Some(until) = until {
                        decision.due(until);
                    }
                }
            }
        }
    }
}

enum Verdict {
    Starts,
    /// For a parent, after all.
    Waits,
    /// Why, and until when as far as time alone ends it.
    Held(HeldReason, Option<i64>),
}

/// The peer's order of questions: who, may they, has it a past, and only then its parents.
fn judge(
    task: &mut Draft<'_>,
    policy: &Policy,
    places: &Places,
    now: i64,
    decision: &mut Decision,
) -> Verdict {
    let is_ready = task.status == Status::Ready;
    let default = policy.default_assignee.as_deref();
    let default = default.filter(|name| is_ready && policy.spawnable.contains(*name));
    let is_nobodys = task.assignee.as_deref().is_none_or(str::is_empty);
    let takes_default = is_nobodys && default.is_some();
    let named = task.assignee.as_deref().map_or("", str::trim);
    let assignee = default.filter(|_| is_nobodys).unwrap_or(named);
    if assignee.is_empty() {
        return Verdict::Held(HeldReason::Unassigned, None);
    }
    if !policy.spawnable.contains(assignee) {
        if is_ready {
            tell(task, UNKNOWN_ASSIGNEE, decision);
        }
        return Verdict::Held(HeldReason::UnknownAssignee, None);
    }
    if places.is_full() {
        return Verdict::Held(HeldReason::BoardCap, None);
    }
    let is_full = places.is_full_for(assignee);
    if takes_default {
        let assignee = assignee.to_owned();
        decision.transitions.push(Transition::Assign {
            task: task.id.clone(),
            assignee: assignee.clone(),
        });
        task.assignee = Some(assignee);
    }
    if is_full {
        return Verdict::Held(HeldReason::ProfileCap, None);
    }
    if is_ready {
        if let Some(at) = begins(task, now) {
            decision.due(at);
        }
        if let Some((reason, until)) = guard(task, policy, now) {
            tell(task, told_as(reason), decision);
            return Verdict::Held(reason, Some(until));
        }
        if task.has_open_parent {
            return Verdict::Waits;
        }
    }
    Verdict::Starts
}

/// Writes the reason into the task's history, unless it is there already.
fn tell(task: &Task, reason: &'static str, decision: &mut Decision) {
    if task.past.told.as_deref() != Some(reason) {
        decision.transitions.push(Transition::Guard {
            task: task.id.clone(),
            reason,
        });
    }
}

/// Unclaimed tasks of a column: higher priority first, then older, then by id so that ticks are reproducible.
fn in_order(tasks: &[Draft<'_>], column: Status) -> Vec<usize> {
    let is_in = |task: &Task| task.status == column && task.claim_lock.is_none();
    let mut keys: Vec<(Reverse<i64>, i64, &str, usize)> = (0..)
        .zip(tasks)
        .filter(|(_, task)| is_in(task))
        .map(|(at, task)| (Reverse(task.priority), task.created_at, &*task.id, at))
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(.., at)| at).collect()
}

/// The places that running tasks leave, on the board and by assignee.
struct Places {
    board: Option<usize>,
    profile_cap: Option<usize>,
    by_profile: HashMap<String, usize>,
}

impl Places {
    fn of(tasks: &[Draft<'_>], policy: &Policy) -> Self {
        let running = || tasks.iter().filter(|task| task.status == Status::Running);
        let cap = policy.board_cap.map(|cap| cap as usize);
        let mut places = Self {
            board: cap.map(|cap| cap.saturating_sub(running().count())),
            profile_cap: policy.profile_cap.map(|cap| cap as usize),
            by_profile: HashMap::new(),
        };
        if places.profile_cap.is_some() {
            running().for_each(|task| places.count(task));
        }
        places
    }

    fn is_full(&self) -> bool {
        self.board == Some(0)
    }

    fn is_full_for(&self, assignee: &str) -> bool {
        self.profile_cap.is_some_and(|cap| {
            let taken = self.by_profile.get(&profile(assignee));
            taken.copied().unwrap_or(0) >= cap
        })
    }

    fn take(&mut self, task: &Task) {
        self.board = self.board.map(|places| places - 1);
        if self.profile_cap.is_some() {
            self.count(task);
        }
    }

    fn count(&mut self, task: &Task) {
        if let Some(assignee) = &task.assignee {
            *self.by_profile.entry(profile(assignee)).or_default() += 1;
        }
    }
}

/// One profile, however its name is written.
fn profile(assignee: &str) -> String {
    assignee.trim().to_lowercase()
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
            workspace_kind: "scratch".to_owned(),
            rate_limited_at: Some(rate_limited_at),
            ..Task::default()
        };
        let policy = Policy {
            claim_ttl,
            cooldown: COOLDOWN,
            spawnable: ["coder".to_owned()].into(),
            ..Policy::default()
        };
        let mut decision = Decision::default();
        choose(&mut [Draft::Seen(&task)], &policy, now, &mut decision);
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
            // Or begins, if it waits for a place until then.
            let due = match rests {
                true => Some(at + COOLDOWN),
                false => Some(at).filter(|at| *at > NOW),
            };
            assert_eq!(decision.next_due, due, "{}", at - NOW);
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
