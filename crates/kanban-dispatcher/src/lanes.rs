//! Lanes: boards are worked on by a few threads, and one that does not come back costs the others nothing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One piece of work: it makes its own result.
type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// A fixed number of threads that do not hang: for each job that does, another thread is started.
pub(crate) struct Lanes<T> {
    shared: Arc<Shared<T>>,
    done: Receiver<T>,
    outstanding: usize,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    more: Condvar,
    results: Mutex<Sender<T>>,
}

struct Queue<T> {
    jobs: VecDeque<Job<T>>,
    /// Threads inside a job.
    busy: usize,
    /// Threads whose job has not come back within the deadline; they end when it does.
    lost: usize,
    closed: bool,
}

// ===== impl Lanes =====

impl<T: Send + 'static> Lanes<T> {
    pub(crate) fn new(count: usize) -> Self {
        let (results, done) = channel();
        let queue = Queue {
            jobs: VecDeque::new(),
            busy: 0,
            lost: 0,
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
            outstanding: 0,
        };
        for _ in 0..count {
            lanes.add_lane();
        }
        lanes
    }

    /// Queues a job.
    pub(crate) fn submit(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        self.outstanding += 1;
        self.shared.lock().jobs.push_back(Box::new(job));
        self.shared.more.notify_one();
    }

    /// Results of jobs that an earlier call gave up on.
    pub(crate) fn late(&mut self) -> Vec<T> {
        let late: Vec<T> = self.done.try_iter().collect();
        self.outstanding -= late.len();
        late
    }

    /// Waits for the queued jobs. A job from which nothing is heard within `deadline` is left behind, on a thread of its own.
    pub(crate) fn finish(&mut self, deadline: Duration) -> Vec<T> {
        let mut results = Vec::new();
        loop {
            if self.outstanding == self.shared.lock().lost {
                return results;
            }
            match self.done.recv_timeout(deadline) {
                Ok(result) => {
                    self.outstanding -= 1;
                    results.push(result);
                }
                Err(RecvTimeoutError::Timeout) => self.replace_hung(),
                Err(RecvTimeoutError::Disconnected) => return results,
            }
        }
    }

    /// Starts one thread more for each that hangs, so that the queue goes on.
    fn replace_hung(&self) {
        let hung = {
            let mut queue = self.shared.lock();
            let hung = queue.busy - queue.lost;
            queue.lost = queue.busy;
            hung
        };
        for _ in 0..hung {
            self.add_lane();
        }
    }

    fn add_lane(&self) {
        let shared = Arc::clone(&self.shared);
        let lane = std::thread::Builder::new().name("lane".to_owned());
        if let Err(error) = lane.spawn(move || shared.work()) {
            tracing::error!(%error, "a lane could not be started");
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
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

// ===== impl Shared =====

impl<T> Shared<T> {
    fn work(&self) {
        while let Some(job) = self.next() {
            let result = job();
            // Before the result is sent: whoever receives it must find the counts right.
            let surplus = {
                let mut queue = self.lock();
                queue.busy -= 1;
                let surplus = queue.lost > 0 && queue.busy < queue.lost;
                queue.lost -= usize::from(surplus);
                surplus
            };
            let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = results.send(result);
            if surplus {
                return;
            }
        }
    }

    fn next(&self) -> Option<Job<T>> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                queue.busy += 1;
                return Some(job);
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
        let late = [lanes.done.recv().unwrap(), lanes.done.recv().unwrap()];
        lanes.outstanding -= late.len();
        lanes.submit(|| 99);
        assert_eq!(lanes.finish(Duration::from_secs(60)), [99]);
        assert_eq!(lanes.shared.lock().lost, 0);
    }
}
