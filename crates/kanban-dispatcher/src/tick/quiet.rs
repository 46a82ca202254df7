//! Whether a board's next turn would do nothing, so that it need not be had.

use std::collections::HashSet;
use std::time::Duration;

use fingerprint_quarantine::{Held, SqliteStamp, SqliteStates};

use super::Tick;
use super::guard::{FileId, file_id};
use super::state::BoardState;
use crate::decide::Decision;
use crate::report::BoardReport;
use crate::root::is_name;
use crate::view::{HeldReason, Process, Processes, Status, Task, View};

/// How long a commit takes to be synced, as a rule.
pub(super) const COMMIT: Duration = Duration::from_millis(100);

/// What a turn has shown: until the files change, or one of these instants, another one would find the same and do nothing.
///
/// Everything else that a turn depends on (settings, pauses, ends of workers, the clocks' steps) wakes the board by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// The files before and after that turn.
    stamp: SqliteStamp,
    /// The log that its connection writes to, while one is kept.
    log: Option<FileId>,
    /// When time gives it something to do (unix seconds).
    due: Option<i64>,
    /// When it is to be looked at whatever happens (monotonic).
    look: Option<Duration>,
    /// Its tasks wait for nothing but places, which other boards' workers have.
    pub(crate) waits: bool,
    pub(crate) why: Why,
}

/// Why a board is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// There is nothing to do on it.
    Idle,
    /// It is on hold.
    Held,
    /// It has no database and never had one.
    Absent,
}

/// What a turn that ran through has left to be done, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Something was done, or the next turn may do something.
    Restless,
    /// Nothing, until this instant (unix seconds).
    Until(Option<i64>),
    /// Nothing by what it has seen, and somebody has committed since.
    Overtaken,
}

// ===== impl Rest =====

impl Rest {
    /// Believed only if the turn has seen all there is. One that has done something is had again soon if it has not.
    pub(super) fn confirmed(self, tick: &Tick, state: &mut BoardState) -> Self {
        let is_until = matches!(self, Self::Until(_));
        if self == Self::Overtaken || !(is_until || tick.config.watch) {
            return self;
        }
        let busy_timeout = tick.config.busy_timeout_ms;
        // Whoever has just changed the files may be about to commit; who only keeps the lock is not waited for.
        let wait = match is_until && state.has_changed() {
            true => busy_timeout.min(COMMIT),
            false => Duration::ZERO,
        };
        match state.is_lull(wait, busy_timeout) {
            Some(true) => self,
            Some(false) if is_until => Self::Overtaken,
            Some(false) | None => Self::Restless,
        }
    }
}

// ===== impl Quiet =====

impl Quiet {
    /// After a turn that ran through on files that looked like `before`.
    pub(super) fn after(
        rest: Rest,
        before: SqliteStamp,
        state: &BoardState,
        report: &BoardReport,
    ) -> Option<Self> {
        let Rest::Until(due) = rest else {
            return None;
        };
        Some(Self {
            stamp: before,
            log: None,
            due,
            look: state.next_check,
            waits: report.held.contains_key(&HeldReason::HostCap),
            why: Why::Idle,
        })
    }

    /// Of a board that is held by the files as they look.
    pub(super) fn held(stamp: SqliteStamp, held: &Held, now: Duration) -> Self {
        Self {
            stamp,
            log: None,
            due: None,
            look: held.retry_in.map(|wait| now.saturating_add(wait)),
            waits: false,
            why: Why::Held,
        }
    }

    /// Of a board that was never there, and has no workers.
    pub(super) fn absent(stamp: SqliteStamp) -> Self {
        Self {
            stamp,
            log: None,
            due: None,
            look: None,
            waits: false,
            why: Why::Absent,
        }
    }

    /// Once that turn is over, if it is so: the files still look like that, and no write to them could go unseen.
    pub(crate) fn confirmed(self, log: Option<FileId>, after: SqliteStates) -> Option<Self> {
        let quiet = Self { log, ..self };
        (quiet.is_unchanged(after) && !after.stamp().is_young()).then_some(quiet)
    }

    pub(crate) fn forget_log(&mut self) {
        self.log = None;
    }

    /// Whether time has changed nothing.
    pub(crate) fn lasts(&self, unix: i64, monotonic: Duration) -> bool {
        self.due.is_none_or(|due| unix < due) && self.look.is_none_or(|look| monotonic < look)
    }

    /// Whether the files look as they did. That the log is another one does not show in the stamp while there is nothing in it.
    pub(crate) fn is_unchanged(&self, now: SqliteStates) -> bool {
        now.stamp() == self.stamp && self.log.is_none_or(|log| log == file_id(now.wal))
    }

    /// How long it is left alone, if nothing changes before.
    pub(crate) fn look_in(&self, now: Duration) -> Option<Duration> {
        self.look.map(|look| look.saturating_sub(now))
    }
}

/// What a turn leaves: restless unless everything that it depends on is in the board's files, or in the clock, or wakes the board.
pub(super) fn rest(
    tick: &Tick,
    state: &BoardState,
    view: &View,
    processes: &Processes,
    decision: &Decision,
    report: &BoardReport,
    strays: &HashSet<String>,
) -> Rest {
    let is_idle = decision.transitions.is_empty()
        && decision.claims.is_empty()
        && decision.stops.is_empty()
        && strays.is_empty();
    // Reasons that end by something else than a change of the board, an instant that the decision knows, or a freed place.
    let is_driven = report.held.keys().any(|reason| {
        matches!(
            reason,
            HeldReason::Breaker
                | HeldReason::RampUp
                | HeldReason::NoWorker
                | HeldReason::WorkerEnding
        )
    });
    // The end of a process that is not ours is news to nobody; and one that is to stop is watched.
    let is_watched = |id: &str| match processes.get(id) {
        None | Some(Process::Alive { stopping: None }) => true,
        Some(_) => false,
    };
    let mut running = view
        .tasks
        .iter()
        .filter(|task| task.status == Status::Running);
    let is_quiet = is_idle
        && !is_driven
        && !waits_for_link(tick, view)
        && report.stopped == 0
        && state.is_calm(tick)
        && running.all(|task| is_watched(&task.id));
    match is_quiet {
        true => Rest::Until(decision.next_due),
        false => Rest::Restless,
    }
}

/// Whether a task that may start has an assignee whose home is behind a link: it comes and goes without the directory of the profiles.
fn waits_for_link(tick: &Tick, view: &View) -> bool {
    let waits = |task: &&Task| matches!(task.status, Status::Ready | Status::Review);
    let default = tick.config.default_assignee.as_deref();
    let tasks = view.tasks.iter().filter(waits);
    let names: HashSet<&str> = tasks
        .filter_map(|task| task.assignee.as_deref().or(default))
        .map(str::trim)
        .collect();
    let is_link = |name: &str| {
        let name = name.to_lowercase();
        is_name(&name) && tick.site.root.profile_dir(&name).is_symlink()
    };
    tick.config.worker.require_profile && names.into_iter().any(is_link)
}
