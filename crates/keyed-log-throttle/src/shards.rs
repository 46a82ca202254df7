//! Where entries live: a few hash tables, each behind its own lock.

use std::sync::atomic::{AtomicUsize, Ordering::*, fence};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{Equivalent, HashTable};

use crate::ClassId;
use crate::entry::{Entry, Slot};
use crate::sketch::Sketch;

/// Enough that two threads seldom meet; a power of two.
const SHARDS: usize = 16;

type Table<K> = HashTable<Slot<K>>;

/// Keeps two locks off one cache line (and off the pair that is fetched with it).
#[repr(align(128))]
struct Shard<K>(RwLock<Table<K>>);

/// All entries of a throttle, and one overflow entry per class that needed it.
///
/// The classes of one key share the key's hash, so all of them are found by one probe.
/// Invariant: `len` is at least the number of entries in the tables, and never above `capacity`.
pub(crate) struct Shards<K> {
    tables: [Shard<K>; SHARDS],
    /// Sorted by class.
    overflow: RwLock<Vec<Slot<K>>>,
    len: AtomicUsize,
    capacity: usize,
}

/// What `remove_key` found.
pub(crate) struct Removed<K> {
    /// No longer in the table.
    pub(crate) gone: Vec<Slot<K>>,
    /// Still in the table, because a handle counts into it.
    pub(crate) kept: Vec<Slot<K>>,
}

// ===== impl Shards =====

impl<K> Shards<K> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tables: [const { Shard(RwLock::new(HashTable::new())) }; SHARDS],
            overflow: RwLock::new(Vec::new()),
            len: AtomicUsize::new(0),
            capacity,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Runs `f` on the entry while it cannot be evicted.
    #[inline]
    pub(crate) fn with<Q, T>(
        &self,
        hash: u64,
        key: &Q,
        class: ClassId,
        f: impl FnOnce(&Slot<K>) -> T,
    ) -> Option<T>
    where
        Q: ?Sized + Equivalent<K>,
    {
        read(self.table(hash))
            .find(hash, |slot| is(slot, key, class))
            .map(f)
    }

    /// The entry of (key, class), made if there is room; else the class's overflow entry.
    pub(crate) fn get_or_insert<Q>(
        &self,
        hash: u64,
        key: &Q,
        class: ClassId,
        gate: u32,
        own: impl FnOnce(&Q) -> K,
    ) -> Slot<K>
    where
        Q: ?Sized + Equivalent<K>,
    {
        if let Some(slot) = self.with(hash, key, class, Slot::clone) {
            return slot;
        }
        if self.len() >= self.capacity {
            return self.overflow_slot(hash, key, class, gate, own);
        }
        // The key is cloned before the lock is taken and before room is reserved: both are safe if it panics.
        let made = Entry::new(own(key), hash, class, gate);
        let mut table = write(self.table(hash));
        if let Some(slot) = table.find(hash, |slot| is(slot, key, class)) {
            return slot.clone();
        }
        let room = |len| (len < self.capacity).then_some(len + 1);
        if self.len.fetch_update(AcqRel, Acquire, room).is_err() {
            drop(table);
            return self.overflow_of(made);
        }
        let made = Slot(Arc::new(made));
        table.insert_unique(hash, made.clone(), |slot| slot.hash);
        made
    }

    /// All classes of a key.
    pub(crate) fn of_key<Q>(&self, hash: u64, key: &Q) -> Vec<Slot<K>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let table = read(self.table(hash));
        table
            .iter_hash(hash)
            .filter(|slot| key.equivalent(&slot.key))
            .cloned()
            .collect()
    }

    /// Takes all classes of a key out, but those that a handle still counts into.
    pub(crate) fn remove_key<Q>(&self, hash: u64, key: &Q) -> Removed<K>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let mut removed = Removed {
            gone: Vec::new(),
            kept: Vec::new(),
        };
        let mut table = write(self.table(hash));
        while let Ok(found) = table.find_entry(hash, |slot| {
            // Under the write lock nobody can make a second reference, so 1 stays 1.
            Arc::strong_count(&slot.0) == 1 && key.equivalent(&slot.key)
        }) {
            removed.gone.push(found.remove().0);
        }
        // Pairs with the last handle's drop: what it counted is visible here.
        fence(Acquire);
        let kept = table
            .iter_hash(hash)
            .filter(|slot| key.equivalent(&slot.key));
        removed.kept.extend(kept.cloned());
        self.len.fetch_sub(removed.gone.len(), AcqRel);
        removed
    }

    /// Takes out the entries that nobody else holds and `unwanted` agrees to.
    pub(crate) fn evict(&self, mut unwanted: impl FnMut(&Slot<K>) -> bool) -> Vec<Slot<K>> {
        let mut gone = Vec::new();
        for Shard(table) in &self.tables {
            let mut table = write(table);
            let before = gone.len();
            // `get_mut` also sees everything that the last handle did before it was dropped.
            gone.extend(
                table.extract_if(|slot| Arc::get_mut(&mut slot.0).is_some() && unwanted(slot)),
            );
            self.len.fetch_sub(gone.len() - before, AcqRel);
        }
        gone
    }

    /// Every entry that `wanted` picks, overflow entries included.
    pub(crate) fn collect(&self, mut wanted: impl FnMut(&Slot<K>) -> bool) -> Vec<Slot<K>> {
        let mut picked = Vec::new();
        self.each(|slot| {
            if wanted(slot) {
                picked.push(slot.clone());
            }
        });
        picked
    }

    /// Runs `f` on every entry, overflow entries included, under the locks: `f` is ours, never the user's.
    pub(crate) fn each(&self, mut f: impl FnMut(&Slot<K>)) {
        for Shard(table) in &self.tables {
            read(table).iter().for_each(&mut f);
        }
        read(&self.overflow).iter().for_each(&mut f);
    }

    fn table(&self, hash: u64) -> &RwLock<Table<K>> {
        // The table itself uses the lowest bits and the top seven.
        &self.tables[(hash >> 32) as usize % SHARDS].0
    }

    fn overflow_slot<Q>(
        &self,
        hash: u64,
        key: &Q,
        class: ClassId,
        gate: u32,
        own: impl FnOnce(&Q) -> K,
    ) -> Slot<K>
    where
        Q: ?Sized,
    {
        let found = |slots: &[Slot<K>]| {
            let at = slots.binary_search_by_key(&class, |slot| slot.class).ok()?;
            slots.get(at).cloned()
        };
        let known = found(&read(&self.overflow));
        known.unwrap_or_else(|| self.overflow_of(Entry::new(own(key), hash, class, gate)))
    }

    /// The overflow entry of `made`'s class; `made` becomes it when there is none.
    fn overflow_of(&self, mut made: Entry<K>) -> Slot<K> {
        let mut slots = write(&self.overflow);
        match slots.binary_search_by_key(&made.class, |slot| slot.class) {
            Ok(at) => slots[at].clone(),
            Err(at) => {
                made.sketch = Some(Box::new(Sketch::new()));
                let made = Slot(Arc::new(made));
                slots.insert(at, made.clone());
                made
            }
        }
    }
}

fn is<K, Q: ?Sized + Equivalent<K>>(slot: &Slot<K>, key: &Q, class: ClassId) -> bool {
    slot.class == class && key.equivalent(&slot.key)
}

// A panic in a user's `Eq` must not switch the throttle off: the tables are whole at every such point.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
