//! Where slots live: hash tables, each behind its own lock, and each with its first slot beside the lock. No user code but a
//! key's `Eq` runs under one.

use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU8;
use std::panic::{RefUnwindSafe, UnwindSafe};

use hashbrown::{Equivalent, HashTable};

use crate::outcome::Outcome;
use crate::slot::Slot;
use crate::sync::{Arc, OnceLock, RwLock, read, write};

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
/// handle, holds the one that everybody else finds, and nobody holds a second one for the same key.
///
/// Two cache lines: the processor fetches them in pairs.
#[repr(align(128))]
struct Shard<K> {
    slots: RwLock<HashTable<Arc<Slot<K>>>>,
    /// The slot that was put into the table first, to be asked without the lock whether it is spent, and nothing else. Once it has
    /// left the table it is untried for good, as nobody holds it: the key that comes again has another.
    first: OnceLock<First<K>>,
}

/// With its mark, so that who seeks another key need not follow the pointer.
struct First<K> {
    mark: Mark,
    slot: Arc<Slot<K>>,
}

/// What a slot keeps of its key's hash: both halves in one, as a hasher may leave one of them empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark(u32);

// ===== impl Table =====

impl<K> Table<K> {
    #[cfg(not(all(test, once_per_key_loom)))]
    pub(crate) const fn new() -> Self {
        Self {
            shards: [const {
                Shard {
                    slots: RwLock::new(HashTable::new()),
                    first: OnceLock::new(),
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
                first: OnceLock::new(),
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

    /// How the key's last turn ended, if it is spent and the first of its table. Takes no lock.
    #[inline]
    pub(crate) fn first_outcome<Q>(&self, key: &Q, mark: Mark) -> Option<Outcome>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let first = self.shard(mark.wide()).first.get()?;
        if first.mark == mark && key.equivalent(first.slot.key()) {
            first.slot.outcome()
        } else {
            None
        }
    }

    /// What `take` makes of the key's slot, under the lock; `None` if it has none.
    #[inline]
    pub(crate) fn find<Q, T>(
        &self,
        key: &Q,
        mark: Mark,
        take: impl FnOnce(&Arc<Slot<K>>) -> T,
    ) -> Option<T>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let hash = mark.wide();
        read(&self.shard(hash).slots)
            .find(hash, |slot| key.equivalent(slot.key()))
            .map(take)
    }

    /// By bits that the table in it does not look at: it takes the lowest for the place and the highest seven for the tag.
    #[inline]
    fn shard(&self, hash: u64) -> &Shard<K> {
        &self.shards[(hash >> 52) as usize % SHARDS]
    }
}

impl<K: Eq> Table<K> {
    /// The key's slot, which another thread may have put there meanwhile.
    pub(crate) fn insert(&self, key: K, mark: Mark, budget: NonZeroU8) -> Arc<Slot<K>> {
        let hash = mark.wide();
        let shard = self.shard(hash);
        // Made before and dropped after the lock is held: a lost race drops its key outside.
        let fresh = Arc::new(Slot::new(key, mark, budget));
        let mut slots = write(&shard.slots);
        if let Some(slot) = slots.find(hash, |slot| slot.key() == fresh.key()) {
            return Arc::clone(slot);
        }
        slots.insert_unique(hash, Arc::clone(&fresh), |slot| slot.mark().wide());
        shard.first.get_or_init(|| First {
            mark,
            slot: Arc::clone(&fresh),
        });
        fresh
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

// ===== impl Shard =====

// As a lock is by itself: what a panicking key leaves in here is whole.
impl<K> UnwindSafe for Shard<K> {}
impl<K> RefUnwindSafe for Shard<K> {}

impl<K> Shard<K> {
    fn all(&self) -> Vec<Arc<Slot<K>>> {
        read(&self.slots).iter().cloned().collect()
    }

    /// Makes these slots of this shard untried, unless their turn is out, and removes those that only the table still holds.
    fn forget(&self, refused: &[Arc<Slot<K>>]) {
        let mut slots = write(&self.slots);
        for slot in refused {
            // Beside the table, its cell and `refused` nobody holds it: no permit and no handle, and with the table locked nobody can
            // begin to. Counted first: a turn that ends after this leaves its slot here, to be found spent.
            let is_first = self
                .first
                .get()
                .is_some_and(|first| Arc::ptr_eq(&first.slot, slot));
            let is_ours = Arc::strong_count(slot) == 2 + usize::from(is_first);
            // It takes the slot's lock, so a repair after this happens after the one before.
            slot.forget();
            if is_ours {
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

    use super::{Arc, Mark, Outcome, Slot, Table, read, write};
    use crate::Rearmed;
    use crate::flight::End;
    use crate::slot::Claim;

    type Hasher = BuildHasherDefault<DefaultHasher>;

    fn mark(key: usize) -> Mark {
        Mark::of(&key, &Hasher::default())
    }

    fn full() -> Table<usize> {
        let table = Table::new();
        for key in 0..10_000 {
            table.insert(key, mark(key), NonZeroU8::MIN);
        }
        table
    }

    fn spend(slot: &Slot<usize>) {
        let Claim::Granted(flight, _attempt) = slot.claim() else {
            panic!("an untried key")
        };
        slot.end(&flight, End::Settled(Outcome::Failed));
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
    fn the_first_of_a_table_is_told_to_be_spent_while_the_table_is_locked_and_no_other_key_is() {
        let table = Table::new();
        // All in one table, as if each had the same hash.
        let mark = mark(0);
        let slots = [0, 1].map(|key| table.insert(key, mark, NonZeroU8::MIN));
        let told = || [0, 1, 2].map(|key| table.first_outcome(&key, mark));
        let _locked = write(&table.shard(mark.wide()).slots);
        assert_eq!(told(), [None; 3]);
        slots.iter().for_each(|slot| spend(slot));
        assert_eq!(told(), [Some(Outcome::Failed), None, None]);
        for slot in &slots {
            assert_eq!(slot.rearm(), Rearmed::Ready(Outcome::Failed));
        }
        assert_eq!(told(), [None; 3]);
    }

    #[test]
    fn a_first_of_a_table_that_is_forgotten_is_told_under_the_lock_when_it_comes_again() {
        let table = Table::new();
        for comes in 0..3 {
            spend(&table.insert(0, mark(0), NonZeroU8::MIN));
            let (first, told) = (
                table.first_outcome(&0, mark(0)),
                table.find(&0, mark(0), |slot| slot.outcome()),
            );
            assert_eq!(first, (comes == 0).then_some(Outcome::Failed));
            assert_eq!(told, Some(Some(Outcome::Failed)));
            table.retain(|_| false);
            assert_eq!((table.len(), table.first_outcome(&0, mark(0))), (0, None));
        }
    }

    #[test]
    fn a_slot_that_somebody_holds_stays_in_its_table_whether_it_is_the_first_or_not() {
        let table = Table::new();
        let held = [0, 1].map(|key| table.insert(key, mark(0), NonZeroU8::MIN));
        table.retain(|_| false);
        for (key, held) in held.iter().enumerate() {
            let found = table.find(&key, mark(0), Arc::clone);
            assert!(found.is_some_and(|found| Arc::ptr_eq(&found, held)));
        }
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
