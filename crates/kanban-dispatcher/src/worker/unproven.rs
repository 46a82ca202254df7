//! Claims of this host whose process the ledger does not know: the peer's workers, or ours after the ledger was lost. They are told
//! of and never signalled.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::identity;
use crate::root::Slug;
use crate::view::{Process, Processes, Task, View};

/// Seconds that a process may be younger than the attempt it is recorded for; a younger one only has the same id.
const START_SLACK: i64 = 300;

/// Which claims have been told of.
#[derive(Debug, Default)]
pub(crate) struct Unproven {
    told: Mutex<HashMap<Slug, HashSet<Claim>>>,
}

/// A task's claim, by task and attempt.
type Claim = (String, Option<i64>);

// ===== impl Unproven =====

impl Unproven {
    /// Says of each claim once that a live process which may be its worker is not proven ours, so that nobody will stop it: of a claim
    /// of ours at once, of one of the peer's when it has run out.
    pub(crate) fn tell(
        &self,
        slug: &Slug,
        view: &View,
        processes: &Processes,
        ours: &str,
        now: i64,
    ) {
        let is_unproven =
            |task: &&Task| processes.get(&task.id) == Some(&Process::Unproven { alive: true });
        let mut told = self.lock();
        let before = told.remove(slug).unwrap_or_default();
        let mut claims = HashSet::new();
        for task in view.tasks.iter().filter(is_unproven) {
            let lock = task.claim_lock.as_deref().unwrap_or_default();
            let is_over = task.claim_expires.is_some_and(|at| at < now);
            let claim = (task.id.clone(), task.run);
            let was_told = before.contains(&claim);
            if !was_told && (is_over || lock.starts_with(ours)) {
                tracing::info!(
                    board = %slug, task = %task.id, pid = task.worker_pid,
                    "worker is not proven ours: it is not signalled, and its claim goes on while it lives"
                );
                claims.insert(claim);
            } else if was_told {
                claims.insert(claim);
            }
        }
        if !claims.is_empty() {
            told.insert(slug.clone(), claims);
        }
    }

    /// Forgets the boards that `is_served` refuses.
    pub(super) fn retain(&self, is_served: impl Fn(&Slug) -> bool) {
        self.lock().retain(|slug, _| is_served(slug));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Slug, HashSet<Claim>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the process table says about a claim of this host whose process is not ours; `None` when it says nothing.
pub(super) fn look(task: &Task, local: &[&str]) -> Option<Process> {
    let lock = task.claim_lock.as_deref()?;
    let pid = task
        .worker_pid
        .filter(|_| local.iter().any(|prefix| lock.starts_with(prefix)))?;
    let latest = task
        .run_started_at
        .or(task.started_at)
        .map(|at| at.saturating_add(START_SLACK));
    // One that started long after the attempt has only the same id: the worker is gone.
    let is_stranger = || latest.is_some_and(|latest| identity::started_after(pid, latest));
    Some(Process::Unproven {
        alive: identity::pid_exists(pid) && !is_stranger(),
    })
}
