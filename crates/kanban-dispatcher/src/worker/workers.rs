//! The worker processes of this dispatcher: one per task, watched one by one, each known by its identity.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::family::Mark;
use super::identity::Identity;
use super::process::Worker;
use super::unproven::{self, Unproven};
use super::watchers::Watchers;
use crate::board::Work;
use crate::clock::Clock;
use crate::ledger::Clocks;
use crate::root::{Root, Slug};
use crate::view::{Processes, Status, StopReason, View};

/// A board's turn looks up its own part once, and asks it by a borrowed id.
type Table = HashMap<Slug, HashMap<String, Worker>>;

/// All workers, by board and task. Locked only for moments; no SQL under the lock.
///
/// Invariant: a live worker leaves the table only by its end. So a task that has one here is not started again.
#[derive(Debug)]
pub(crate) struct Workers {
    root: Root,
    table: Mutex<Table>,
    watchers: Watchers,
    /// The claims whose process is not proven ours.
    pub(crate) unproven: Unproven,
}

/// A worker as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adopted {
    pub(crate) slug: Slug,
    pub(crate) task: String,
    pub(crate) run: i64,
    pub(crate) identity: Identity,
    pub(crate) sight: Sight,
}

/// What the ledger says of a worker beside who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It was let through the gate.
    Passed,
    /// Nobody noted that its gate was opened: if it is found gone, nothing ever ran.
    AtGate,
    /// Recorded before the machine was started anew: it is gone.
    OtherBoot,
    /// Recorded in another pid or time namespace: it cannot be told from here whether it lives.
    Elsewhere,
}

// ===== impl Workers =====

impl Workers {
    pub(crate) fn new(root: &Root) -> Self {
        Self {
            root: root.clone(),
            table: Mutex::default(),
            watchers: Watchers::new(),
            unproven: Unproven::default(),
        }
    }

    /// Takes over what an earlier dispatcher left, alive or not; each is known again by its start time. Our own children stay ours,
    /// and of several attempts at one task the newest counts.
    ///
    /// By what the clocks showed at its last tick it is told how old their signs of life are.
    pub(crate) fn adopt(&self, mut adopted: Vec<Adopted>, clocks: Option<Clocks>) {
        adopted.sort_by_key(|adopted| std::cmp::Reverse(adopted.run));
        let mut table = self.lock();
        for Adopted {
            slug,
            task,
            run,
            identity,
            sight,
        } in adopted
        {
            let mark = self.mark(&slug, &task, run);
            if let Entry::Vacant(place) = table.entry(slug.clone()).or_default().entry(task) {
                if sight == Sight::Elsewhere {
                    tracing::warn!(
                        board = %slug, task = %place.key(), pid = identity.pid,
                        "worker cannot be seen from this namespace: it is not signalled, and its claim is left to run out"
                    );
                }
                let worker = Worker::adopted(run, identity, sight, mark, clocks);
                place.insert(worker).be_watched(&self.watchers);
            }
        }
    }

    /// A worker that has just passed the gate.
    pub(crate) fn insert(
        &self,
        slug: &Slug,
        (work, identity, child): (Work, Identity, Child),
        now: Duration,
    ) {
        let mark = self.mark(slug, &work.task, work.run);
        let mut worker = Worker::started(work.run, identity, child, mark, now);
        worker.be_watched(&self.watchers);
        let mut table = self.lock();
        table
            .entry(slug.clone())
            .or_default()
            .insert(work.task, worker);
    }

    /// Everyone in the table, as the ledger is to know them.
    pub(crate) fn all(&self) -> Vec<Adopted> {
        let adopted = |slug: &Slug, task: &String, worker: &Worker| Adopted {
            slug: slug.clone(),
            task: task.clone(),
            run: worker.run,
            identity: worker.identity(),
            sight: worker.sight(),
        };
        self.lock()
            .iter()
            .flat_map(|(slug, workers)| workers.iter().map(|(task, it)| adopted(slug, task, it)))
            .collect()
    }

    /// Whether there are any of this board.
    pub(crate) fn has_any(&self, board: &Slug) -> bool {
        self.lock().contains_key(board)
    }

    /// How many have not ended.
    pub(crate) fn alive(&self) -> usize {
        let table = self.lock();
        let workers = table.values().flat_map(HashMap::values);
        workers.filter(|worker| worker.end.is_none()).count()
    }

    /// Notes the ends of workers, and sends SIGKILL where a grace is over. The boards with news.
    ///
    /// One system call says which of those that are watched have ended; only they are looked at, and those that are not watched.
    pub(crate) fn poll(&self, now: Duration) -> HashSet<Slug> {
        let mut ended = HashSet::new();
        let mut table = self.lock();
        let news = self.watchers.ended();
        for (slug, workers) in table.iter_mut() {
            for worker in workers.values_mut().filter(|it| it.needs_look(&news, now)) {
                worker.look(now);
                if worker.end.is_some() {
                    ended.insert(slug.clone());
                }
            }
        }
        ended
    }

    /// The earliest instant at which a stop needs its next step.
    pub(crate) fn next_step(&self) -> Option<Duration> {
        let table = self.lock();
        let workers = table.values().flat_map(HashMap::values);
        workers.filter_map(Worker::next_step).min()
    }

    /// Makes the times of our own running tasks ages of the monotonic clock; see [`Worker::rebase`].
    pub(crate) fn rebase(
        &self,
        slug: &Slug,
        view: &mut View,
        wall: i64,
        clock: &Clock,
        now: Duration,
    ) {
        let mut table = self.lock();
        let Some(workers) = table.get_mut(slug) else {
            return;
        };
        for task in view
            .tasks
            .iter_mut()
            .filter(|task| task.status == Status::Running)
        {
            let ours = workers.get_mut(&task.id);
            if let Some(worker) = ours.filter(|worker| task.run == Some(worker.run)) {
                worker.rebase(task, wall, clock, now);
            }
        }
    }

    /// What is known of the processes behind a board's running tasks.
    pub(crate) fn processes(&self, slug: &Slug, view: &View, local: &[&str]) -> Processes {
        let table = self.lock();
        let workers = table.get(slug);
        let mut processes = Processes::new();
        for task in view
            .tasks
            .iter()
            .filter(|task| task.status == Status::Running)
        {
            let ours = workers.and_then(|workers| workers.get(&task.id));
            let process = match ours.filter(|worker| task.run == Some(worker.run)) {
                Some(worker) => worker.process(),
                None => unproven::look(task, local),
            };
            if let Some(process) = process {
                processes.insert(task.id.clone(), process);
            }
        }
        processes
    }

    /// A board's workers that work on no running task any more: (task, attempt, whether the process has ended).
    ///
    /// A row that cannot be read says nothing about its worker.
    pub(crate) fn strays(&self, slug: &Slug, view: &View) -> Vec<(String, i64, bool)> {
        let table = self.lock();
        let Some(workers) = table.get(slug) else {
            return Vec::new();
        };
        let unreadable: HashSet<&str> = view.bad_rows.iter().map(|row| row.id.as_str()).collect();
        let runs: HashMap<&str, Option<i64>> = view
            .tasks
            .iter()
            .filter(|task| task.status == Status::Running)
            .map(|task| (task.id.as_str(), task.run))
            .collect();
        let is_stray =
            |task: &str, run| !unreadable.contains(task) && runs.get(task) != Some(&Some(run));
        workers
            .iter()
            .filter(|(task, worker)| is_stray(task, worker.run))
            .map(|(task, worker)| (task.clone(), worker.run, worker.is_settled()))
            .collect()
    }

    /// How long a worker has gone on since its task was reported.
    pub(crate) fn lingers(&self, slug: &Slug, task: &str, now: Duration) -> Duration {
        let mut table = self.lock();
        let worker = table.get_mut(slug).and_then(|it| it.get_mut(task));
        worker.map_or(Duration::ZERO, |worker| worker.lingers(now))
    }

    /// Asks a worker to end: SIGTERM to its process group now, SIGKILL after `grace`. Asking again changes nothing.
    pub(crate) fn stop(
        &self,
        slug: &Slug,
        task: &str,
        reason: StopReason,
        now: Duration,
        grace: Duration,
    ) -> bool {
        let mut table = self.lock();
        let worker = table.get_mut(slug).and_then(|it| it.get_mut(task));
        worker.is_some_and(|worker| worker.stop(reason, now, grace))
    }

    /// Asks every worker of the boards that `is_concerned` names to end, and says how many; for boards that are gone.
    pub(crate) fn stop_all(
        &self,
        is_concerned: impl Fn(&Slug) -> bool,
        now: Duration,
        grace: Duration,
    ) -> usize {
        self.lock()
            .iter_mut()
            .filter(|(slug, _)| is_concerned(slug))
            .flat_map(|(_, workers)| workers.values_mut())
            .filter_map(|worker| worker.stop(StopReason::ClaimLost, now, grace).then_some(()))
            .count()
    }

    /// Forgets a worker whose end is recorded, or that cannot be seen from here. A live one stays: it would be nobody's.
    pub(crate) fn forget(&self, slug: &Slug, task: &str, run: i64) -> bool {
        let mut table = self.lock();
        let Some(workers) = table.get_mut(slug) else {
            return false;
        };
        let is_it = |worker: &Worker| worker.run == run && worker.is_settled();
        let is_forgotten = workers.get(task).is_some_and(is_it) && workers.remove(task).is_some();
        if workers.is_empty() {
            table.remove(slug);
        }
        is_forgotten
    }

    /// The workers of boards that `is_served` refuses and that ended some time ago: nobody will record their ends.
    pub(crate) fn forget_unserved(
        &self,
        is_served: impl Fn(&Slug) -> bool,
        now: Duration,
    ) -> Vec<(Slug, String, i64)> {
        let mut gone = Vec::new();
        self.unproven.retain(&is_served);
        self.lock().retain(|slug, workers| {
            if !is_served(slug) {
                let ended = workers.extract_if(|_, worker| worker.is_past(now));
                gone.extend(ended.map(|(task, worker)| (slug.clone(), task, worker.run)));
            }
            !workers.is_empty()
        });
        gone
    }

    /// By what a process is known to belong to this attempt.
    fn mark(&self, slug: &Slug, task: &str, run: i64) -> Mark {
        Mark::new(self.root.board(slug).db(), task, run)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
