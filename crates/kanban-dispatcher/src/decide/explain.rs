//! One task's part of the decision: why it is where the decision leaves it, and when that can change.

use serde::{Serialize, Serializer};

use super::draft::Draft;
use super::{Decision, Judged, breaker, judge, running};
use crate::policy::Policy;
use crate::view::{HeldReason, Process, Processes, Status, View};

/// Why a task is not running, or that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The next tick starts it.
    Starts,
    /// It would start, but no dispatcher runs.
    NoDispatcher,
    /// An attempt is open.
    Running,
    /// Its worker was asked to stop, or will be by the next tick.
    Stopping,
    /// Somebody's claim lies on it, although it is not running.
    Claimed,
    /// A parent is neither done nor archived.
    WaitsForParents,
    /// A person or its worker blocked it.
    Blocked,
    /// It failed too often.
    GivenUp,
    /// It may start, but not yet.
    Held(HeldReason),
    /// It waits for a person to specify it.
    Triage,
    /// Somebody put it off.
    Scheduled,
    /// It is done.
    Done,
    /// It is archived.
    Archived,
    /// Its status is none that this format knows.
    OtherStatus,
    /// The dispatcher leaves its whole board alone.
    BoardHeld,
}

/// Why a task is where it is, and the next instant (unix seconds) at which time alone can change that; `None`: something else
/// must happen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// The one reason.
    pub reason: Reason,
    /// When time alone can change it.
    pub next_change: Option<i64>,
}

/// Why one task of the view is where [`decide`](super::decide) leaves it; `None` for a task that the view has not.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{HeldReason, Policy, Processes, Reason, Task, TaskStatus, View, explain};
///
/// let task = Task { id: "t_1".into(), status: TaskStatus::Ready, ..Task::default() };
/// let view = View { tasks: vec![task], ..View::default() };
/// let why = explain(&view, &Processes::new(), &Policy::default(), 1_000, "t_1").ok_or("no task")?;
/// assert_eq!(why.reason, Reason::Held(HeldReason::Unassigned));
/// assert_eq!((why.reason.as_str(), why.next_change), ("unassigned", None));
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn explain(
    view: &View,
    processes: &Processes,
    policy: &Policy,
    now: i64,
    task: &str,
) -> Option<Why> {
    if view.bad_rows.iter().any(|row| row.id == task) {
        return Some(Why::new(Reason::Held(HeldReason::BadRow), None));
    }
    let index = view.tasks.iter().position(|other| other.id == task)?;
    let judged = judge(view, processes, policy, now);
    if judged
        .decision
        .claims
        .iter()
        .any(|claim| claim.task == task)
    {
        return Some(Why::new(Reason::Starts, Some(now)));
    }
    let after = &judged.tasks[index];
    Some(match after.status {
        Status::Running => run(view, processes, policy, now, index),
        Status::Todo => Why::new(Reason::WaitsForParents, None),
        Status::Blocked if after.is_sticky => Why::new(Reason::Blocked, None),
        Status::Blocked if after.has_open_parent => Why::new(Reason::WaitsForParents, None),
        Status::Blocked => Why::new(Reason::GivenUp, breaker::probe_at(after, policy)),
        Status::Ready | Status::Review => held(&judged, index),
    })
}

fn held(judged: &Judged<'_>, index: usize) -> Why {
    let mut held = judged.decision.held_tasks.iter();
    match held.find(|held| held.index == index) {
        Some(held) => Why::new(Reason::Held(held.reason), held.until),
        None => Why::new(Reason::Claimed, None),
    }
}

/// An attempt goes on: when it is looked at again, by its own times alone.
fn run(view: &View, processes: &Processes, policy: &Policy, now: i64, index: usize) -> Why {
    let mut task = Draft::Seen(&view.tasks[index]);
    let mut alone = Decision::default();
    let shared = breaker::shared_ends(&view.tasks, processes);
    running::judge(&mut task, processes, policy, &shared, now, &mut alone);
    let is_asked = matches!(
        processes.get(&task.id),
        Some(Process::Alive { stopping: Some(_) })
    );
    let reason = match is_asked || !alone.stops.is_empty() {
        true => Reason::Stopping,
        false => Reason::Running,
    };
    Why::new(reason, alone.next_due)
}

impl Why {
    pub(crate) const fn new(reason: Reason, next_change: Option<i64>) -> Self {
        Self {
            reason,
            next_change,
        }
    }
}

impl Reason {
    /// The word in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::NoDispatcher => "no_dispatcher",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Claimed => "claimed",
            Self::WaitsForParents => "waits_for_parents",
            Self::Blocked => "blocked",
            Self::GivenUp => "given_up",
            Self::Held(reason) => reason.as_str(),
            Self::Triage => "triage",
            Self::Scheduled => "scheduled",
            Self::Done => "done",
            Self::Archived => "archived",
            Self::OtherStatus => "other_status",
            Self::BoardHeld => "board_held",
        }
    }

    /// The reason that a status is by itself, for those that no tick acts on.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "triage" => Self::Triage,
            "scheduled" => Self::Scheduled,
            "done" => Self::Done,
            "archived" => Self::Archived,
            _ => Self::OtherStatus,
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
