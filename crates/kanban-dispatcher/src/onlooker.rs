//! The dispatcher's place without its part: what a tick would know, for those who only ask.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::breakers::{BreakerRow, read_breakers_of};
use crate::ledger::levers::{Pauses, read_pauses_of};
use crate::ledger::{self, Ledger};
use crate::policy::Policy;
use crate::root::{Root, Slug};
use crate::site::Site;
use crate::tick::{Tick, policy};
use crate::view::{Process, Processes, Task, View};
use crate::wake::Wake;
use crate::worker::Gate;

/// Everything that a tick stands on. What a running dispatcher keeps in memory (quarantine, its workers' exit codes) is not known here.
#[derive(Debug)]
pub(crate) struct Onlooker {
    tick: Tick,
    /// Boards that rest because their workers died at their start.
    rests: HashMap<Slug, BreakerRow>,
    /// What the claims of the dispatcher begin with that runs now; none if none does.
    serving: Option<String>,
}

impl Onlooker {
    pub(crate) fn new(root: &Root, config: &Config, clock: &Clock) -> Self {
        let site = Site::new(root.clone(), config, clock.clone(), None, Gate::shell());
        let (mut pauses, mut rests) = (Pauses::new(), HashMap::new());
        let mut serving = None;
        if let Ok(Some(db)) = Ledger::read(root) {
            pauses = read_pauses_of(&db, root).unwrap_or_default();
            rests = read_breakers_of(&db, root).unwrap_or_default();
            let row = ledger::read_dispatcher(&db).unwrap_or_default();
            let alive = row.filter(|row| row.identity.is_alive());
            serving = alive.map(|row| format!("{}{}:", site.our_prefix, row.identity.pid));
            site.workers
                .adopt(ledger::read_workers(&db).unwrap_or_default(), None);
        }
        let mut tick = Tick::new(Arc::new(site), Arc::new(config.clone()), Wake::new(), false);
        tick.pauses = Arc::new(pauses);
        tick.site.workers.poll(tick.monotonic);
        Self {
            tick,
            rests,
            serving,
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.tick.now
    }

    /// What is decided by, beside the view.
    pub(crate) fn facts(&self, slug: &Slug, view: &View) -> (Processes, Policy) {
        let site = &self.tick.site;
        let local = [site.our_prefix.as_str(), site.peer_prefix.as_str()];
        let mut processes = site.workers.processes(slug, view, &local);
        for task in view.tasks.iter().filter(|task| self.is_being_started(task)) {
            let alive = Process::Alive { stopping: None };
            processes.entry(task.id.clone()).or_insert(alive);
        }
        (processes, policy(&self.tick, view))
    }

    /// The dispatcher that runs has claimed it and makes its worker.
    fn is_being_started(&self, task: &Task) -> bool {
        let lock = task.claim_lock.as_deref().unwrap_or_default();
        let is_its_own = |prefix: &String| lock.starts_with(prefix.as_str());
        task.worker_pid.is_none() && self.serving.as_ref().is_some_and(is_its_own)
    }

    /// How many more workers may live under the limit over all boards.
    pub(crate) fn room(&self) -> usize {
        let most = self.tick.config.workers_max.get();
        most.saturating_sub(self.tick.site.workers.alive())
    }

    /// An operator wants nothing to start on the board.
    pub(crate) fn is_paused(&self, slug: &Slug) -> bool {
        self.tick.pauses.contains_key(slug)
    }

    /// How many workers may start on the board, and when that is more.
    pub(crate) fn starts_max(&self, slug: &Slug) -> (usize, Option<i64>) {
        match self.rests.get(slug) {
            Some(rest) if self.tick.now < rest.next_retry => (0, Some(rest.next_retry)),
            Some(_) => (1, None),
            None => (usize::MAX, None),
        }
    }

    /// No worker can be started at all.
    pub(crate) fn has_no_worker(&self) -> bool {
        self.tick.no_worker.is_some()
    }

    /// The program that makes worktrees is missing. To be asked only when a task wants one.
    pub(crate) fn lacks_git(&self) -> bool {
        self.tick.lacks_git().is_some()
    }

    /// The tasks of whose earlier attempts the worker has not ended yet.
    pub(crate) fn live_on(&self, slug: &Slug, view: &View) -> HashSet<String> {
        let strays = self.tick.site.workers.strays(slug, view).into_iter();
        let live = strays.filter(|(.., has_ended)| !has_ended);
        live.map(|(task, ..)| task).collect()
    }

    /// The limit over all boards is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.room() == 0
    }
}
