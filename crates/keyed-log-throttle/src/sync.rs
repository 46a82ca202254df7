//! The locks and atomics, from std or from loom, and the one rule about poison.

#[cfg(all(test, throttle_loom))]
pub(crate) use loom::sync::{
    Arc, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(all(test, throttle_loom)))]
pub(crate) use std::sync::{
    Arc, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

use std::sync::PoisonError;

// A panic in a user's `Eq` must not switch the throttle off: the tables are whole at every such point.

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
