//! Where slots live: one hash table behind one lock. No user code but a key's `Hash` and `Eq` runs under it.

use std::hash::{BuildHasher, Hash};

use hashbrown::{Equivalent, HashTable};

use crate::slot::Slot;
use crate::sync::{Arc, RwLock, read, write};

/// Invariant: a slot leaves the table only while nobody else holds it. So whoever holds a slot, be it by a permit or a
/// handle, holds the one that everybody else finds, and there is never a second one for the same key.
pub(crate) struct Table<K> {
    slots: RwLock<HashTable<Arc<Slot<K>>>>,
}

// ===== impl Table =====

impl<K> Table<K> {
    #[cfg(not(all(test, once_per_key_loom)))]
    pub(crate) const fn new() -> Self {
        Self {
            slots: RwLock::new(HashTable::new()),
        }
    }

    /// Loom's locks cannot be made in a constant.
    #[cfg(all(test, once_per_key_loom))]
    pub(crate) fn new() -> Self {
        Self {
            slots: RwLock::new(HashTable::new()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        read(&self.slots).len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Slot<K>>> {
        read(&self.slots).iter().cloned().collect()
    }
}

impl<K: Hash + Eq> Table<K> {
    #[inline]
    pub(crate) fn find<Q, T>(
        &self,
        key: &Q,
        hasher: &impl BuildHasher,
        take: impl FnOnce(&Arc<Slot<K>>) -> T,
    ) -> Option<T>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hasher.hash_one(key);
        read(&self.slots)
            .find(hash, |slot| key.equivalent(slot.key()))
            .map(take)
    }

    /// The key's slot, which another thread may have put there meanwhile.
    pub(crate) fn insert(&self, key: K, hasher: &impl BuildHasher) -> Arc<Slot<K>> {
        let hash = hasher.hash_one(&key);
        // Made before and dropped after the lock is held: a lost race drops its key outside.
        let fresh = Arc::new(Slot::new(key));
        let mut slots = write(&self.slots);
        if let Some(slot) = slots.find(hash, |slot| slot.key() == fresh.key()) {
            return Arc::clone(slot);
        }
        slots.insert_unique(hash, Arc::clone(&fresh), |slot| hasher.hash_one(slot.key()));
        fresh
    }

    /// Makes these slots untried, unless their turn is out, and removes those that only the table still holds.
    pub(crate) fn forget(&self, refused: &[Arc<Slot<K>>], hasher: &impl BuildHasher) {
        let mut slots = write(&self.slots);
        for slot in refused {
            // It takes the slot's lock, so a repair after this happens after the one before.
            slot.forget();
            // Two holders: the table and `refused`, so no permit and no handle. With the table locked nobody can become a third.
            if Arc::strong_count(slot) == 2 {
                let hash = hasher.hash_one(slot.key());
                if let Ok(entry) = slots.find_entry(hash, |other| Arc::ptr_eq(other, slot)) {
                    entry.remove();
                }
            }
        }
        if slots.len() < slots.capacity() / 4 {
            slots.shrink_to(0, |slot| hasher.hash_one(slot.key()));
        }
    }
}
