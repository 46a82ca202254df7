//! The locks and atomics, from std or from loom, and the one rule about poison.

#[cfg(all(test, once_per_key_loom))]
pub(crate) use loom::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread::{ThreadId, current},
};
#[cfg(not(all(test, once_per_key_loom)))]
pub(crate) use std::{
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread::{ThreadId, current},
};
#[cfg(not(all(test, once_per_key_loom)))]
pub(crate) use triomphe::Arc;

use std::sync::PoisonError;
use std::time::Duration;

// A key whose `Eq` panics must not switch repairs off for the rest of the process. Every change under these locks is one
// step that happens or does not, so what a poisoned lock guards is sound.

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&mut guard) {
        guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
    guard
}

/// As [`wait_while`], but comes back after `timeout` even when the condition still holds.
#[cfg(not(all(test, once_per_key_loom)))]
pub(crate) fn wait_timeout_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar
        .wait_timeout_while(guard, timeout, condition)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

/// Loom has no time: its wait never times out.
#[cfg(all(test, once_per_key_loom))]
pub(crate) fn wait_timeout_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    _timeout: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    wait_while(condvar, guard, condition)
}

/// Loom has none of its own: std's, and an atomic for loom to see when it is set. Set under the table's write lock only, so that no two
/// threads ever meet in std's, where loom could not take turns with them. That std orders what is in it is taken on trust.
#[cfg(all(test, once_per_key_loom))]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicBool,
}

#[cfg(all(test, once_per_key_loom))]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            is_set: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let is_set = self.is_set.load(Ordering::Acquire);
        is_set.then(|| self.value.get()).flatten()
    }

    pub(crate) fn get_or_init(&self, value: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.value.get() {
            return value;
        }
        let value = self.value.get_or_init(value);
        self.is_set.store(true, Ordering::Release);
        value
    }
}
