//! A reader-writer lock for the models. Loom's own (0.7.3) has each reader synchronise with the one before: that multiplies the
//! interleavings by the orders of readers, and hides what one reader need not see of another.
//!
//! Here a reader loads what only writers change, and as it goes it stores to a cell of its own thread, which a writer loads.

use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, TryLockError};

use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread::{self, Thread};

pub(crate) struct RwLock<T> {
    /// Changed by a writer as it comes and as it goes.
    writers: AtomicUsize,
    /// For each thread: changed as it goes as a reader.
    readers: [AtomicUsize; loom::MAX_THREADS],
    /// Those that wait for somebody to go.
    waiting: std::sync::Mutex<Vec<Thread>>,
    /// Who is in. Loom does not watch it: it is tried right after a cell above has changed, or was loaded.
    inner: std::sync::RwLock<T>,
}

pub(crate) struct RwLockReadGuard<'a, T> {
    lock: &'a RwLock<T>,
    /// `None` once it has gone.
    inner: Option<std::sync::RwLockReadGuard<'a, T>>,
}

pub(crate) struct RwLockWriteGuard<'a, T> {
    lock: &'a RwLock<T>,
    inner: Option<std::sync::RwLockWriteGuard<'a, T>>,
}

// ===== impl RwLock =====

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            writers: cell(),
            readers: std::array::from_fn(|_| cell()),
            waiting: std::sync::Mutex::default(),
            inner: std::sync::RwLock::new(value),
        }
    }

    pub(crate) fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        loop {
            self.writers.load(SeqCst);
            match self.inner.try_read() {
                Err(TryLockError::WouldBlock) => self.wait(),
                inner => {
                    return Ok(RwLockReadGuard {
                        lock: self,
                        inner: inner.ok(),
                    });
                }
            }
        }
    }

    pub(crate) fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        loop {
            self.writers.fetch_add(1, SeqCst);
            match self.inner.try_write() {
                Err(TryLockError::WouldBlock) => self.wait(),
                inner => {
                    let guard = RwLockWriteGuard {
                        lock: self,
                        inner: inner.ok(),
                    };
                    // Nobody comes now; what the readers did is seen.
                    for reader in &self.readers {
                        reader.load(SeqCst);
                    }
                    return Ok(guard);
                }
            }
        }
    }

    /// Until somebody goes. No other thread runs between the look at `inner` and this.
    fn wait(&self) {
        self.waiting.lock().unwrap().push(thread::current());
        thread::park();
    }

    fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        waiting.iter().for_each(Thread::unpark);
    }
}

/// All its accesses are sequentially consistent, so that a load has one answer, the last. That goes for the first value too.
fn cell() -> AtomicUsize {
    let cell = AtomicUsize::new(0);
    cell.store(0, SeqCst);
    cell
}

/// The number of this thread, as loom counts them.
fn seat() -> usize {
    let id = format!("{:?}", thread::current().id());
    let digits = id.trim_matches(|c: char| !c.is_ascii_digit());
    digits.parse().expect("loom shows its number")
}

// ===== impl guards =====

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("it is in")
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.lock.readers[seat()].store(1, SeqCst);
            self.inner = None;
            self.lock.wake_all();
        }
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("it is in")
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("it is in")
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.lock.writers.fetch_add(1, SeqCst);
            self.inner = None;
            self.lock.wake_all();
        }
    }
}

#[cfg(test)]
mod loom_tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, AtomicUsize as Plain, Ordering::Relaxed};
    use std::sync::{Arc, Mutex};

    use loom::cell::UnsafeCell;

    use super::*;

    #[test]
    fn loom_two_writers_and_a_reader_are_one_after_the_other_and_see_it() {
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let all = Arc::clone(&seen);
        loom::model(move || {
            // Loom watches the cell: two at once, or one that did not see the other, fail the model.
            let lock = Arc::new(RwLock::new((0, UnsafeCell::new(()))));
            let write = |lock: &RwLock<(u32, UnsafeCell<()>)>| {
                let mut inner = lock.write().unwrap();
                inner.1.with_mut(|_| ());
                inner.0 += 1;
            };
            let writer = thread::spawn({
                let lock = Arc::clone(&lock);
                move || write(&lock)
            });
            let reader = thread::spawn({
                let lock = Arc::clone(&lock);
                move || {
                    let inner = lock.read().unwrap();
                    inner.1.with(|_| ());
                    inner.0
                }
            });
            write(&lock);
            writer.join().unwrap();
            seen.lock().unwrap().insert(reader.join().unwrap());
            assert_eq!(lock.read().unwrap().0, 2);
        });
        assert_eq!(*all.lock().unwrap(), HashSet::from([0, 1, 2]));
    }

    #[test]
    fn loom_readers_are_in_together_and_owe_each_other_nothing() {
        let [together, unseen] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let found = [Arc::clone(&together), Arc::clone(&unseen)];
        loom::model(move || {
            let lock = Arc::new(RwLock::new(AtomicUsize::new(0)));
            let gone = Arc::new(AtomicUsize::new(0));
            // In the order of this run, which loom knows nothing of.
            let inside = Arc::new(Plain::new(0));
            let other = thread::spawn({
                let (lock, gone) = (Arc::clone(&lock), Arc::clone(&gone));
                let (inside, together) = (Arc::clone(&inside), Arc::clone(&together));
                move || {
                    let inner = lock.read().unwrap();
                    together.fetch_or(inside.load(Relaxed) > 0, Relaxed);
                    inner.store(1, Relaxed);
                    drop(inner);
                    gone.store(1, Relaxed);
                }
            });
            let had_gone = gone.load(Relaxed) == 1;
            let inner = lock.read().unwrap();
            inside.store(1, Relaxed);
            let value = inner.load(Relaxed);
            unseen.fetch_or(had_gone && value == 0, Relaxed);
            inside.store(0, Relaxed);
            drop(inner);
            other.join().unwrap();
        });
        assert!(found.iter().all(|found| found.load(Relaxed)), "{found:?}");
    }
}
