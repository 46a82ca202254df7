//! The worker processes of this dispatcher: watched one by one, told apart by identity, stopped in steps across ticks.

use std::collections::HashMap;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::identity::{self, Identity};
use crate::board::Work;
use crate::root::Slug;
use crate::view::{End, Process, Processes, Status, StopReason, View};

/// All workers, by board and task. Locked only for moments; no SQL and no signal to a stranger under the lock.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    table: Mutex<HashMap<(Slug, String), Worker>>,
}

#[derive(Debug)]
struct Worker {
    run: i64,
    identity: Identity,
    /// Ours to wait for; `None` for one that an earlier dispatcher started.
    child: Option<Child>,
    end: Option<End>,
    stop: Option<Stop>,
}

/// A stop under way: SIGTERM was sent, SIGKILL follows when the grace is over.
#[derive(Debug, Clone, Copy)]
struct Stop {
    reason: StopReason,
    kill_at: Duration,
    killed: bool,
}

/// A worker that an earlier dispatcher started, as its ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adopted {
    pub(crate) slug: Slug,
    pub(crate) task: String,
    pub(crate) run: i64,
    pub(crate) identity: Identity,
}

// ===== impl Workers =====

impl Workers {
    /// Takes over what an earlier dispatcher left, alive or not; each is known again by its start time. Our own children stay ours.
    pub(crate) fn adopt(&self, adopted: Vec<Adopted>) {
        let mut table = self.lock();
        for Adopted {
            slug,
            task,
            run,
            identity,
        } in adopted
        {
            let worker = Worker {
                run,
                identity,
                child: None,
                end: None,
                stop: None,
            };
            table.entry((slug, task)).or_insert(worker);
        }
    }

    /// A worker that has just passed the gate.
    pub(crate) fn insert(&self, slug: &Slug, (work, identity, child): (Work, Identity, Child)) {
        let worker = Worker {
            run: work.run,
            identity,
            child: Some(child),
            end: None,
            stop: None,
        };
        self.lock().insert((slug.clone(), work.task), worker);
    }

    /// How many have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.lock()
            .values()
            .filter(|worker| worker.end.is_none())
            .count()
    }

    /// Looks at every worker once: notes ends, and sends SIGKILL where a grace is over. The boards with news.
    pub(crate) fn poll(&self, now: Duration) -> Vec<Slug> {
        let mut news = Vec::new();
        for ((slug, _), worker) in self.lock().iter_mut() {
            if worker.end.is_none() {
                worker.look(now);
                if worker.end.is_some() {
                    news.push(slug.clone());
                }
            }
        }
        news.dedup();
        news
    }

    /// The earliest instant at which a stop needs its next step.
    pub(crate) fn next_step(&self) -> Option<Duration> {
        let table = self.lock();
        table
            .values()
            .filter_map(|worker| worker.stop)
            .filter(|s| !s.killed)
            .map(|s| s.kill_at)
            .min()
    }

    /// What is known of the processes behind a board's running tasks.
    pub(crate) fn processes(&self, slug: &Slug, view: &View, local: &[&str]) -> Processes {
        let table = self.lock();
        let mut processes = Processes::new();
        for task in view
            .tasks
            .iter()
            .filter(|task| task.status == Status::Running)
        {
            let ours = table.get(&(slug.clone(), task.id.clone()));
            let process = match ours.filter(|worker| task.run == Some(worker.run)) {
                Some(worker) => worker.process(),
                None => {
                    let here = task
                        .claim_lock
                        .as_deref()
                        .is_some_and(|lock| local.iter().any(|prefix| lock.starts_with(prefix)));
                    match task.worker_pid.filter(|_| here) {
                        Some(pid) => Process::Unproven {
                            alive: identity::pid_exists(pid),
                        },
                        None => continue,
                    }
                }
            };
            processes.insert(task.id.clone(), process);
        }
        processes
    }

    /// A board's workers that work on no running task any more: (task, attempt, whether the process has ended).
    pub(crate) fn strays(&self, slug: &Slug, view: &View) -> Vec<(String, i64, bool)> {
        let runs: HashMap<&str, Option<i64>> = view
            .tasks
            .iter()
            .filter(|task| task.status == Status::Running)
            .map(|task| (task.id.as_str(), task.run))
            .collect();
        self.lock()
            .iter()
            .filter(|((board, task), worker)| {
                board == slug && runs.get(task.as_str()) != Some(&Some(worker.run))
            })
            .map(|((_, task), worker)| (task.clone(), worker.run, worker.end.is_some()))
            .collect()
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
        let Some(worker) = table.get_mut(&(slug.clone(), task.to_owned())) else {
            return false;
        };
        if worker.stop.is_some() || worker.end.is_some() {
            return false;
        }
        worker.signal(Signal::TERM);
        worker.stop = Some(Stop {
            reason,
            kill_at: now + grace,
            killed: false,
        });
        true
    }

    /// Asks every worker of a board to end; for a board that was removed.
    pub(crate) fn stop_board(&self, slug: &Slug, now: Duration, grace: Duration) {
        let tasks: Vec<String> = self
            .lock()
            .keys()
            .filter(|(board, _)| board == slug)
            .map(|(_, task)| task.clone())
            .collect();
        for task in tasks {
            self.stop(slug, &task, StopReason::ClaimLost, now, grace);
        }
    }

    /// Forgets a worker whose end is recorded. A live one stays: it would be nobody's.
    pub(crate) fn forget(&self, slug: &Slug, task: &str, run: i64) -> bool {
        let mut table = self.lock();
        let key = (slug.clone(), task.to_owned());
        let ended = table
            .get(&key)
            .is_some_and(|worker| worker.run == run && worker.end.is_some());
        ended && table.remove(&key).is_some()
    }

    /// The ended workers of boards that `is_served` refuses: nobody will record their ends.
    pub(crate) fn forget_unserved(
        &self,
        is_served: impl Fn(&Slug) -> bool,
    ) -> Vec<(Slug, String, i64)> {
        let mut gone = Vec::new();
        self.lock().retain(|(slug, task), worker| {
            let keep = is_served(slug) || worker.end.is_none();
            if !keep {
                gone.push((slug.clone(), task.clone(), worker.run));
            }
            keep
        });
        gone
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Slug, String), Worker>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ===== impl Worker =====

impl Worker {
    fn process(&self) -> Process {
        let stopping = self.stop.map(|stop| stop.reason);
        match self.end {
            Some(end) => Process::Ended { end, stopping },
            None => Process::Alive { stopping },
        }
    }

    fn look(&mut self, now: Duration) {
        if let Some(end) = self.ended() {
            // While our child is a zombie its id is not used again, so what it left in its group can be ended safely.
            if self.stop.is_some() && self.child.is_some() {
                let _ = self.signal_group(Signal::KILL);
            }
            if let Some(child) = &mut self.child {
                let _ = child.wait();
            }
            self.end = Some(end);
            return;
        }
        let due = self
            .stop
            .is_some_and(|stop| !stop.killed && stop.kill_at <= now);
        if due {
            self.signal(Signal::KILL);
            if let Some(stop) = &mut self.stop {
                stop.killed = true;
            }
        }
    }

    /// How it ended, without reaping it.
    fn ended(&self) -> Option<End> {
        let Some(child) = &self.child else {
            return (!self.identity.is_alive()).then_some(End::Unknown);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => End::Exited(code),
                (None, Some(signal)) => End::Signaled(signal),
                (None, None) => End::Unknown,
            }),
            Ok(None) => None,
            // Somebody else in this process waited for it; its end is not known.
            Err(Errno::CHILD) => Some(End::Unknown),
            Err(_) => None,
        }
    }

    /// Signals the worker's process group, if the process is still proven to be ours.
    fn signal(&self, signal: Signal) {
        let proven = self.child.is_some() || self.identity.is_alive();
        if proven && self.signal_group(signal) == Err(Errno::SRCH) {
            // Between spawn and setsid there is no group of its own yet.
            if let Some(pid) = self.pid() {
                let _ = kill_process(pid, signal);
            }
        }
    }

    fn signal_group(&self, signal: Signal) -> Result<(), Errno> {
        self.pid()
            .map_or(Ok(()), |pid| kill_process_group(pid, signal))
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.identity.pid)
            .ok()
            .and_then(Pid::from_raw)
    }
}
