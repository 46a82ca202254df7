//! The locks and atomics, from std or from loom, and the one rule about poison.

#[cfg(all(test, fingerprint_loom))]
pub(crate) use crate::loom_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(all(test, fingerprint_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(all(test, fingerprint_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

// Not loom's: nothing relies on the order in which references are counted, and it would be most of each model.
pub(crate) use std::sync::Arc;

use std::sync::PoisonError;

// A key whose `Eq` panics must not switch the quarantine off for the rest of the process. Every change under these locks is
// one step that happens or does not, so what a poisoned lock guards is sound.

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
