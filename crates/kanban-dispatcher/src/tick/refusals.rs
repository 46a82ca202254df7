//! Tasks of a board that must wait, whatever its file says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Tick;
use crate::strain::{Allowed, Strain};
use crate::transition::Transition;
use crate::view::{BadRow, View};

/// Tasks that must wait, and until when (monotonic).
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// Rows that refused a change (a trigger, a constraint): left out of the view.
    refused: BTreeMap<String, Duration>,
    /// Tasks whose attempt has just ended badly: only an interval starts them again, not an end elsewhere.
    resting: BTreeMap<String, Duration>,
    /// Tasks whose start has failed since the last interval began: it is not tried again in between, nor in a tick's second turn.
    unstarted: BTreeSet<String>,
    /// Whether the board's own disk lets workers be started.
    pub(crate) disk: Strain,
}

// ===== impl Refusals =====

impl Refusals {
    /// An interval begins.
    pub(crate) fn begin_interval(&mut self) {
        self.unstarted.clear();
    }

    pub(crate) fn add(&mut self, tasks: &[String], until: Duration) {
        self.refused
            .extend(tasks.iter().map(|task| (task.clone(), until)));
    }

    /// Without this a worker that fails at once would be tried again at the speed of its failures, not of the interval.
    pub(crate) fn rest(&mut self, tick: &Tick, transitions: &[Transition]) {
        let until = tick.monotonic + tick.config.dispatch_interval_seconds;
        self.resting.retain(|_, until| *until > tick.monotonic);
        let failed = transitions
            .iter()
            .filter(|transition| matches!(transition, Transition::Fail(_)));
        self.resting
            .extend(failed.map(|transition| (transition.task().to_owned(), until)));
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self, now: Duration) -> bool {
        let is_over =
            |tasks: &BTreeMap<String, Duration>| tasks.values().all(|until| *until <= now);
        is_over(&self.refused)
            && is_over(&self.resting)
            && self.unstarted.is_empty()
            && matches!(self.disk.allows(now), Allowed::All)
    }

    pub(crate) fn add_unstarted(&mut self, task: &str) {
        self.unstarted.insert(task.to_owned());
    }

    pub(crate) fn is_unstarted(&self, task: &str) -> bool {
        self.unstarted.contains(task)
    }

    pub(crate) fn is_resting(&self, task: &str) -> bool {
        self.resting.contains_key(task)
    }

    /// Takes the refusing rows out of the view: they count as unreadable.
    pub(crate) fn set_aside(&mut self, view: &mut View, now: Duration) {
        self.refused.retain(|_, until| *until > now);
        if self.refused.is_empty() {
            return;
        }
        for row in &mut view.bad_rows {
            if self.refused.contains_key(&row.id) {
                row.status = None;
            }
        }
        let refused = view
            .tasks
            .extract_if(.., |task| self.refused.contains_key(&task.id));
        let reason = "the row refused its last change";
        view.bad_rows.extend(refused.map(|task| BadRow {
            id: task.id,
            reason: reason.to_owned(),
            // It refuses changes: this one too.
            status: None,
        }));
    }
}
