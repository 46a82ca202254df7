//! Where entries live: a few hash tables, each behind its own locks.

use hashbrown::Equivalent;

use crate::ClassId;
use crate::copies::{Copies, is_held};
use crate::entry::{Entry, GateIndex, Mark, Slot};
use crate::sketch::Sketch;
use crate::sync::{Arc, AtomicUsize, Ordering::*, RwLock, read, write};

/// Enough that two threads seldom meet; a power of two. One is enough for loom, which would try the order of all their locks.
const SHARDS: usize = if cfg!(all(test, throttle_loom)) {
    1
} else {
    16
};

/// All entries of a throttle, and one overflow entry per class that needed it.
///
/// The classes of one key share the key's mark, so all of them are found by one probe.
/// Invariant: `len` is at least the number of entries in the tables, and never above `capacity`.
pub(crate) struct Shards<K> {
    tables: [Copies<K>; SHARDS],
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
            tables: std::array::from_fn(|_| Copies::new()),
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
        mark: Mark,
        key: &Q,
        class: ClassId,
        f: impl FnOnce(&Slot<K>) -> T,
    ) -> Option<T>
    where
        Q: ?Sized + Equivalent<K>,
    {
        self.shard(mark)
            .read()
            .find(mark.spread(), |slot| is(slot, key, class))
            .map(f)
    }

    /// The entry of (key, class), made if there is room; else the class's overflow entry.
    pub(crate) fn get_or_insert<Q>(
        &self,
        mark: Mark,
        key: &Q,
        class: ClassId,
        gate: GateIndex,
        own: impl FnOnce(&Q) -> K,
    ) -> Slot<K>
    where
        Q: ?Sized + Equivalent<K>,
    {
        if let Some(slot) = self.with(mark, key, class, Slot::clone) {
            return slot;
        }
        if self.len() >= self.capacity {
            return self.overflow_slot(mark, key, class, gate, own);
        }
        // The key is cloned before the lock is taken and before room is reserved: both are safe if it panics.
        let made = Entry::new(own(key), mark, class, gate);
        let mut both = self.shard(mark).write();
        if let Some(slot) = both
            .table()
            .find(mark.spread(), |slot| is(slot, key, class))
        {
            return slot.clone();
        }
        let room = |len| (len < self.capacity).then_some(len + 1);
        if self.len.fetch_update(AcqRel, Acquire, room).is_err() {
            drop(both);
            return self.overflow_of(made);
        }
        let made = Slot(Arc::new(made));
        both.insert(&made);
        made
    }

    /// All classes of a key.
    pub(crate) fn of_key<Q>(&self, mark: Mark, key: &Q) -> Vec<Slot<K>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let table = self.shard(mark).read();
        table
            .iter_hash(mark.spread())
            .filter(|slot| key.equivalent(&slot.key))
            .cloned()
            .collect()
    }

    /// Takes all classes of a key out, but those that a handle still counts into.
    pub(crate) fn remove_key<Q>(&self, mark: Mark, key: &Q) -> Removed<K>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let mut removed = Removed {
            gone: Vec::new(),
            kept: Vec::new(),
        };
        let mut both = self.shard(mark).write();
        // All of the user's `Eq` comes first: a panic in it leaves the copies alike.
        let of_key = both.table().iter_hash(mark.spread());
        for slot in of_key.filter(|slot| key.equivalent(&slot.key)) {
            let part = if is_held(&both, slot) {
                &mut removed.kept
            } else {
                &mut removed.gone
            };
            part.push(slot.clone());
        }
        removed.gone.iter().for_each(|slot| both.remove(slot));
        self.len.fetch_sub(removed.gone.len(), AcqRel);
        removed
    }

    /// Takes out the entries that nobody else holds and `unwanted` agrees to.
    pub(crate) fn evict(&self, mut unwanted: impl FnMut(&Slot<K>) -> bool) -> Vec<Slot<K>> {
        let mut gone = Vec::new();
        for shard in self.filled() {
            let mut both = shard.write();
            let idle = |slot: &&Slot<K>| !is_held(&both, slot) && unwanted(slot);
            let idle: Vec<_> = both.table().iter().filter(idle).cloned().collect();
            idle.iter().for_each(|slot| both.remove(slot));
            self.len.fetch_sub(idle.len(), AcqRel);
            gone.extend(idle);
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
        for shard in self.filled() {
            shard.read().iter().for_each(&mut f);
        }
        read(&self.overflow).iter().for_each(&mut f);
    }

    /// The tables that may hold entries: of an empty throttle no lock is taken. An entry is counted before it is put in.
    fn filled(&self) -> &[Copies<K>] {
        match self.len() {
            0 => &[],
            _ => &self.tables,
        }
    }

    fn shard(&self, mark: Mark) -> &Copies<K> {
        // The table itself uses the lowest bits and the top seven.
        &self.tables[(mark.spread() >> 32) as usize % SHARDS]
    }

    fn overflow_slot<Q>(
        &self,
        mark: Mark,
        key: &Q,
        class: ClassId,
        gate: GateIndex,
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
        known.unwrap_or_else(|| self.overflow_of(Entry::new(own(key), mark, class, gate)))
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
