//! Lanes: boards are worked on by a few threads, and one that does not come back costs the others nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One piece of work: it makes its own result.
type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Some threads, and one more for each job that hangs.
pub(crate) struct Lanes<T> {
    shared: Arc<Shared<T>>,
    done: Receiver<(u64, T)>,
    next_id: u64,
    /// Jobs whose results have not been received.
    outstanding: HashSet<u64>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    more: Condvar,
    results: Mutex<Sender<(u64, T)>>,
}

struct Queue<T> {
    jobs: VecDeque<(u64, Job<T>)>,
    running: HashSet<u64>,
    /// Running jobs that have been given up on, and whether another thread took the place of theirs.
    lost: HashMap<u64, bool>,
    closed: bool,
}

// ===== impl Lanes =====

impl<T: Send + 'static> Lanes<T> {
    pub(crate) fn new(count: usize) -> Self {
        let (results, done) = channel();
        let queue = Queue {
            jobs: VecDeque::new(),
            running: HashSet::new(),
            lost: HashMap::new(),
            closed: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            more: Condvar::new(),
            results: Mutex::new(results),
        });
        let lanes = Self {
            shared,
            done,
            next_id: 0,
            outstanding: HashSet::new(),
        };
        for _ in 0..count {
            lanes.add_lane();
        }
        lanes
    }

    /// Queues a job.
    pub(crate) fn submit(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        let id = self.next_id;
        self.next_id += 1;
        self.outstanding.insert(id);
        self.shared.lock().jobs.push_back((id, Box::new(job)));
        self.shared.more.notify_one();
    }

    /// Whether each job's result has been received.
    pub(crate) fn are_all_in(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Results of jobs that an earlier call gave up on.
    pub(crate) fn late(&mut self) -> Vec<T> {
        let late: Vec<(u64, T)> = self.done.try_iter().collect();
        late.into_iter()
            .map(|(id, result)| self.received(id, result))
            .collect()
    }

    /// Waits for the queued jobs. When nothing is heard for `deadline`, the jobs that run are given up on, each on its own thread.
    pub(crate) fn finish(&mut self, deadline: Duration) -> Vec<T> {
        let mut results = Vec::new();
        loop {
            if self.only_lost_are_left() {
                return results;
            }
            match self.done.recv_timeout(deadline) {
                Ok((id, result)) => results.push(self.received(id, result)),
                // No thread to go on with: what is queued comes late.
                Err(RecvTimeoutError::Timeout) if self.replace_hung() == 0 => return results,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return results,
            }
        }
    }

    fn received(&mut self, id: u64, result: T) -> T {
        self.outstanding.remove(&id);
        result
    }

    fn only_lost_are_left(&self) -> bool {
        let queue = self.shared.lock();
        self.outstanding
            .iter()
            .all(|id| queue.lost.contains_key(id))
    }

    /// Gives up on the jobs that run and starts a thread in place of each, so that the queue goes on. How many were started.
    fn replace_hung(&self) -> usize {
        let hung: Vec<u64> = {
            let mut queue = self.shared.lock();
            let hung: Vec<u64> = queue
                .running
                .iter()
                .filter(|id| !queue.lost.contains_key(id))
                .copied()
                .collect();
            queue.lost.extend(hung.iter().map(|id| (*id, false)));
            hung
        };
        let mut started = 0;
        for id in hung {
            if self.add_lane() {
                started += 1;
                if let Some(replaced) = self.shared.lock().lost.get_mut(&id) {
                    *replaced = true;
                }
            }
        }
        started
    }

    fn add_lane(&self) -> bool {
        let shared = Arc::clone(&self.shared);
        let lane = std::thread::Builder::new().name("lane".to_owned());
        match lane.spawn(move || shared.work()) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "a lane could not be started");
                false
            }
        }
    }
}

impl<T> Drop for Lanes<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.more.notify_all();
    }
}

impl<T> fmt::Debug for Lanes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("outstanding", &self.outstanding.len())
            .finish_non_exhaustive()
    }
}

// ===== impl Shared =====

impl<T> Shared<T> {
    fn work(&self) {
        while let Some((id, job)) = self.next() {
            let result = job();
            // Before the result is sent: whoever receives it must find the books right.
            let is_replaced = {
                let mut queue = self.lock();
                queue.running.remove(&id);
                queue.lost.remove(&id).unwrap_or(false)
            };
            let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = results.send((id, result));
            if is_replaced {
                return;
            }
        }
    }

    fn next(&self) -> Option<(u64, Job<T>)> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some((id, job)) = queue.jobs.pop_front() {
                queue.running.insert(id);
                return Some((id, job));
            }
            queue = self
                .more
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_comes_back_once() {
        let mut lanes = Lanes::new(2);
        for n in 0..50 {
            lanes.submit(move || n);
        }
        let mut results = lanes.finish(Duration::from_secs(60));
        results.sort_unstable();
        assert_eq!(results, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn hung_jobs_are_left_behind_and_come_back_late() {
        let mut lanes = Lanes::new(2);
        let (release, hang) = channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        for n in 0..2 {
            let hang = Arc::clone(&hang);
            lanes.submit(move || {
                let _ = hang.lock().unwrap_or_else(PoisonError::into_inner).recv();
                n
            });
        }
        for n in 2..20 {
            lanes.submit(move || n);
        }
        assert_eq!(lanes.finish(Duration::from_millis(50)).len(), 18);
        assert_eq!(lanes.late().len(), 0);

        drop(release);
        for _ in 0..2 {
            let (id, _) = lanes.done.recv().unwrap();
            assert!(lanes.outstanding.remove(&id));
        }
        lanes.submit(|| 99);
        assert_eq!(lanes.finish(Duration::from_secs(60)), [99]);
        assert!(lanes.shared.lock().lost.is_empty());
    }
}
