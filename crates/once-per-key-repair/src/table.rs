//! Where slots live: hash tables, each behind its own lock. No user code but a key's `Hash` and `Eq` runs under one.

use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU8;

use hashbrown::{Equivalent, HashTable};

use crate::slot::Slot;
use crate::sync::{Arc, RwLock, read, write};

/// How many tables share the keys, so that threads with different keys seldom meet at one lock's cache line.
#[cfg(not(all(test, once_per_key_loom)))]
const SHARDS: usize = 16;
/// Shards have nothing in common: the model needs one only.
#[cfg(all(test, once_per_key_loom))]
const SHARDS: usize = 1;

pub(crate) struct Table<K> {
    shards: [Shard<K>; SHARDS],
}

/// Invariant: a slot leaves its table only while nobody else holds it. So whoever holds a slot, be it by a permit or a
/// handle, holds the one that everybody else finds, and there is never a second one for the same key.
///
/// Two cache lines: the processor fetches them in pairs.
#[repr(align(128))]
struct Shard<K> {
    slots: RwLock<HashTable<Arc<Slot<K>>>>,
}

/// What a slot keeps of its key's hash: both halves in one, as a hasher may leave one of them empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u32);

// ===== impl Table =====

impl<K> Table<K> {
    #[cfg(not(all(test, once_per_key_loom)))]
    pub(crate) const fn new() -> Self {
        Self {
            shards: [const {
                Shard {
                    slots: RwLock::new(HashTable::new()),
                }
            }; SHARDS],
        }
    }

    /// Loom's locks cannot be made in a constant.
    #[cfg(all(test, once_per_key_loom))]
    pub(crate) fn new() -> Self {
        Self {
            shards: [Shard {
                slots: RwLock::new(HashTable::new()),
            }],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| read(&shard.slots).len())
            .sum()
    }

    /// Makes all that `keep` refuses untried, or gone. It is called outside all locks.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K) -> bool) {
        // All of them first: `keep` is not asked about a key that it brings itself.
        let shards: Vec<_> = self.shards.iter().map(|s| (s, s.all())).collect();
        for (shard, mut refused) in shards {
            refused.retain(|slot| !keep(slot.key()));
            if !refused.is_empty() {
                shard.forget(&refused);
            }
            // The last of a key is dropped here, outside the lock.
        }
    }

    /// By bits that the table in it does not look at: it takes the lowest for the place and the highest seven for the tag.
    #[inline]
    fn shard(&self, hash: u64) -> &Shard<K> {
        &self.shards[(hash >> 52) as usize % SHARDS]
    }
}

// ===== impl Mark =====

impl Mark {
    #[inline]
    pub(crate) fn of<Q: ?Sized + Hash>(key: &Q, hasher: &impl BuildHasher) -> Self {
        let hash = hasher.hash_one(key);
        Self((hash ^ hash >> 32) as u32)
    }

    /// As the tables want it: with something in the lowest and in the highest bits.
    #[inline]
    fn wide(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

impl<K: Hash + Eq> Table<K> {
    /// What `take` makes of the key's slot, under the lock; or the mark of a key that has none.
    #[inline]
    pub(crate) fn find<Q, T>(
        &self,
        key: &Q,
        hasher: &impl BuildHasher,
        take: impl FnOnce(&Arc<Slot<K>>) -> T,
    ) -> Result<T, Mark>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let mark = Mark::of(key, hasher);
        let hash = mark.wide();
        read(&self.shard(hash).slots)
            .find(hash, |slot| key.equivalent(slot.key()))
            .map(take)
            .ok_or(mark)
    }

    /// The key's slot, which another thread may have put there meanwhile.
    pub(crate) fn insert(&self, key: K, mark: Mark, budget: NonZeroU8) -> Arc<Slot<K>> {
        let hash = mark.wide();
        // Made before and dropped after the lock is held: a lost race drops its key outside.
        let fresh = Arc::new(Slot::new(key, mark, budget));
        let mut slots = write(&self.shard(hash).slots);
        if let Some(slot) = slots.find(hash, |slot| slot.key() == fresh.key()) {
            return Arc::clone(slot);
        }
        slots.insert_unique(hash, Arc::clone(&fresh), |slot| slot.mark().wide());
        fresh
    }
}

// ===== impl Shard =====

impl<K> Shard<K> {
    fn all(&self) -> Vec<Arc<Slot<K>>> {
        read(&self.slots).iter().cloned().collect()
    }
}

impl<K> Shard<K> {
    /// Makes these slots of this shard untried, unless their turn is out, and removes those that only the table still holds.
    fn forget(&self, refused: &[Arc<Slot<K>>]) {
        let mut slots = write(&self.slots);
        for slot in refused {
            // It takes the slot's lock, so a repair after this happens after the one before.
            slot.forget();
            // Two holders: the table and `refused`, so no permit and no handle. With the table locked nobody can become a third.
            if Arc::strong_count(slot) == 2 {
                if let Ok(entry) =
                    slots.find_entry(slot.mark().wide(), |other| Arc::ptr_eq(other, slot))
                {
                    entry.remove();
                }
            }
        }
        if slots.len() < slots.capacity() / 4 {
            slots.shrink_to(0, |slot| slot.mark().wide());
        }
    }
}

#[cfg(all(test, not(once_per_key_loom)))]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::num::NonZeroU8;

    use super::{Mark, Table, read};

    type Hasher = BuildHasherDefault<DefaultHasher>;

    fn full() -> Table<usize> {
        let table = Table::new();
        for key in 0..10_000 {
            table.insert(key, Mark::of(&key, &Hasher::default()), NonZeroU8::MIN);
        }
        table
    }

    fn sizes(table: &Table<usize>) -> Vec<(usize, usize)> {
        let tables = table.shards.iter().map(|shard| read(&shard.slots));
        tables
            .map(|slots| (slots.len(), slots.capacity()))
            .collect()
    }

    #[test]
    fn an_empty_table_costs_at_most_2_kib() {
        assert!(size_of::<Table<String>>() <= 2_048);
    }

    #[test]
    fn keys_are_spread_over_all_tables() {
        let sizes = sizes(&full());
        assert!(
            sizes.iter().all(|(len, _)| (400..900).contains(len)),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_table_gives_memory_back_when_most_of_its_keys_are_gone_and_not_before() {
        let table = full();
        let before = sizes(&table);
        table.retain(|key| key % 5 <= 2);
        for (before, after) in before.into_iter().zip(sizes(&table)) {
            // The places of those that went may not be free again, but the table has not become smaller.
            assert!(after.1 > before.1 / 2, "{before:?} {after:?}");
        }
        table.retain(|key| key % 100 == 0);
        let after = sizes(&table);
        assert_eq!(after.iter().map(|(len, _)| len).sum::<usize>(), 100);
        for (len, capacity) in after {
            assert!(capacity <= 4 * len.max(4), "{len} of {capacity}");
        }
    }
}
