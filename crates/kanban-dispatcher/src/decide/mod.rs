//! The decision: a pure function from what a board is to what should be done about it.
//!
//! All scheduling rules live here. The order is the peer's: ends and expiries of running tasks first, then promotion, then
//! the ready column, so that what one step frees the next can use in the same tick.

mod breaker;
mod draft;
mod explain;
mod guard;
mod ready;
mod running;
mod unproven;

pub use self::explain::{Reason, Why, explain};

use self::draft::Draft;

use std::collections::HashMap;

use crate::board::Work;
use crate::policy::Policy;
use crate::transition::{Cause, Claim, Failure, Transition, Verdict};
use crate::view::{HeldCounts, HeldReason, Processes, Status, StopReason, View};

/// What to do about one board now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// Changes to write, in order.
    pub transitions: Vec<Transition>,
    /// Tasks to claim and start, best first.
    pub claims: Vec<Claim>,
    /// Workers to ask to stop.
    pub stops: Vec<(String, StopReason)>,
    /// Ready tasks that stay, counted by reason.
    pub held: HeldCounts,
    /// The earliest instant (unix seconds) at which time alone can change this decision.
    pub next_due: Option<i64>,
    /// Which tasks are counted in `held`, for whoever asks about one of them.
    held_tasks: Vec<HeldTask>,
}

/// A task that is held.
#[derive(Debug, Clone, PartialEq)]
struct HeldTask {
    /// Its place in the view.
    index: usize,
    reason: HeldReason,
    /// When time alone ends it.
    until: Option<i64>,
}

/// Decides what to do about a board.
///
/// Pure: the same view, processes, policy and time give the same decision, and nothing is read, written or signalled.
/// Linear in the number of tasks, apart from sorting the ready ones.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{Policy, Processes, View, decide};
///
/// let policy = Policy {
///     lock: "rs.host:1:a".into(),
///     spawnable: ["coder".to_owned()].into(),
///     ..Policy::default()
/// };
/// let decision = decide(&View::default(), &Processes::new(), &policy, 1_000);
/// assert!(decision.transitions.is_empty() && decision.claims.is_empty());
/// ```
#[must_use]
pub fn decide(view: &View, processes: &Processes, policy: &Policy, now: i64) -> Decision {
    judge(view, processes, policy, now).decision
}

/// The decision, and the tasks as it leaves them.
struct Judged<'a> {
    decision: Decision,
    tasks: Vec<Draft<'a>>,
}

fn judge<'a>(view: &'a View, processes: &Processes, policy: &Policy, now: i64) -> Judged<'a> {
    let mut decision = Decision::default();
    let shared_ends = breaker::shared_ends(&view.tasks, processes);
    let mut tasks: Vec<Draft<'_>> = view.tasks.iter().map(Draft::Seen).collect();

    for task in tasks
        .iter_mut()
        .filter(|task| task.status == Status::Running)
    {
        running::judge(task, processes, policy, &shared_ends, now, &mut decision);
    }
    for task in &mut tasks {
        promote(task, policy, now, &mut decision);
    }
    ready::choose(&mut tasks, policy, now, &mut decision);

    set_aside(view, &mut decision);
    Judged { decision, tasks }
}

/// What a worker that could not be started means for its task: a failure that the breaker counts.
pub(crate) fn start_failed(view: &View, work: &Work, error: &str, policy: &Policy) -> Transition {
    let task = view.tasks.iter().find(|task| task.id == work.task);
    let verdict = task.map_or(Verdict::Uncounted, |task| {
        breaker::count(task, policy, None)
    });
    Transition::Fail(Failure {
        task: work.task.clone(),
        lock: work.lock.clone(),
        pid: None,
        cause: Cause::SpawnFailed,
        error: error.to_owned(),
        verdict,
    })
}

/// Notes in the view what was written of the decision, as far as the starts that follow depend on it: a task may fail twice in one
/// tick, by its old worker and by its next start.
pub(crate) fn note_failures(view: &mut View, written: &[Transition]) {
    let counted: HashMap<&str, i64> = written
        .iter()
        .filter_map(|transition| match transition {
            Transition::Fail(failure) => Some(failure),
            _ => None,
        })
        .filter_map(|failure| match failure.verdict {
            Verdict::Uncounted => None,
            Verdict::Counted { failures } => Some((&*failure.task, failures)),
            Verdict::Tripped { stored, .. } => Some((&*failure.task, stored)),
        })
        .collect();
    if counted.is_empty() {
        return;
    }
    for task in &mut view.tasks {
        if let Some(failures) = counted.get(&*task.id) {
            task.failures = *failures;
        }
    }
}

/// The promotions alone: what a change of one task makes possible for others.
pub(crate) fn promotions(view: &View, failure_limit: i64) -> Vec<Transition> {
    let mut decision = Decision::default();
    let policy = Policy {
        failure_limit,
        ..Policy::default()
    };
    for task in &view.tasks {
        promote(&mut Draft::Seen(task), &policy, 0, &mut decision);
    }
    decision.transitions
}

/// todo or blocked -> ready when every parent is done or archived, unless a person blocked it or the breaker did.
fn promote(task: &mut Draft<'_>, policy: &Policy, now: i64, decision: &mut Decision) {
    let is_blocked = match task.status {
        Status::Todo => false,
        Status::Blocked if task.is_sticky => return,
        Status::Blocked => true,
        Status::Ready | Status::Running | Status::Review => return,
    };
    if task.has_open_parent {
        return;
    }
    if is_blocked && breaker::has_given_up(task, policy) {
        match breaker::probe_at(task, policy) {
            Some(at) if at <= now => {
                task.status = Status::Ready;
                task.past.succeeded_at = None;
                decision.transitions.push(Transition::Probe {
                    task: task.id.clone(),
                    give_ups: task.past.give_ups,
                });
            }
            Some(at) => decision.due(at),
            None => {}
        }
        return;
    }
    let from = std::mem::replace(&mut task.status, Status::Ready);
    task.past.succeeded_at = None;
    decision.transitions.push(Transition::Promote {
        task: task.id.clone(),
        from,
    });
}

/// Rows that cannot be read are counted, and a ready one is blocked: nothing but a person's hand makes it readable. One that a person
/// or we have blocked waits for that hand, and holds nothing.
fn set_aside(view: &View, decision: &mut Decision) {
    for row in &view.bad_rows {
        match row.status {
            Some(Status::Blocked) if !row.id.is_empty() => continue,
            Some(Status::Ready) if !row.id.is_empty() => {
                decision.transitions.push(Transition::SetAside {
                    task: row.id.clone(),
                    reason: row.reason.clone(),
                });
            }
            _ => {}
        }
        decision.hold(HeldReason::BadRow);
    }
}

impl Decision {
    fn due(&mut self, at: i64) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    fn hold(&mut self, reason: HeldReason) {
        *self.held.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
