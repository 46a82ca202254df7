//! Where entries live: a few hash tables, each behind its own locks, and the entries that keys without room share.

use hashbrown::Equivalent;

use crate::ClassId;
use crate::copies::{Copies, is_held};
use crate::entry::{Entry, GateIndex, Mark, Slot};
use crate::overflow::Overflow;
use crate::sync::{Arc, AtomicUsize, Ordering::*, RwLock, read, write};

/// Enough that two threads seldom meet; a power of two. One is enough for loom, which would try the order of all their locks.
const SHARDS: usize = if cfg!(all(test, throttle_loom)) {
    1
} else {
    16
};

/// All entries of a throttle.
///
/// The classes of one key share the key's mark, so all of them are found by one probe.
/// Invariant: `own` is at least the number of entries in the tables, and never above `own_max`.
pub(crate) struct Shards<K> {
    tables: [Copies<K>; SHARDS],
    /// Locked before a table, and for as long as a key without an entry is counted or is given one. So what a key shares and what it
    /// has of its own follow each other.
    overflow: RwLock<Overflow<K>>,
    own: AtomicUsize,
    own_max: usize,
    capacity: usize,
}

/// What `remove_key` found.
pub(crate) struct Removed<K> {
    /// No longer in the table.
    pub(crate) gone: Vec<Slot<K>>,
    /// Still in the table, because a handle counts into it.
    pub(crate) kept: Vec<Slot<K>>,
}

/// A key as it was asked for, and what an entry of it would have beside.
pub(crate) struct Asked<'a, Q: ?Sized> {
    pub(crate) key: &'a Q,
    pub(crate) mark: Mark,
    pub(crate) class: ClassId,
    pub(crate) gate: GateIndex,
}

// ===== impl Asked =====

impl<Q: ?Sized> Asked<'_, Q> {
    /// Clones the key, so it wants no lock held: that may panic.
    fn entry<K>(&self, own: impl FnOnce(&Q) -> K) -> Entry<K> {
        Entry::new(own(self.key), self.mark, self.class, self.gate)
    }
}

// ===== impl Shards =====

impl<K> Shards<K> {
    /// Room for `capacity` entries, and for one at least.
    pub(crate) fn new(capacity: usize, longest: GateIndex) -> Self {
        let capacity = capacity.max(1);
        let overflow = Overflow::new(capacity, longest);
        Self {
            tables: std::array::from_fn(|_| Copies::new()),
            own: AtomicUsize::new(0),
            own_max: capacity - overflow.places(),
            capacity,
            overflow: RwLock::new(overflow),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.own.load(Acquire) + read(&self.overflow).len()
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

    /// Runs `f` on the entry of (key, class), which is made if there is room, or else on the one that its class shares.
    ///
    /// On a shared one under a lock, so that a key cannot have a line of its own beside one by the entry that it just left: a new entry
    /// is told by `follow` which one that was.
    pub(crate) fn at<Q, T>(
        &self,
        asked: &Asked<'_, Q>,
        own: impl FnOnce(&Q) -> K,
        follow: impl FnOnce(&Entry<K>, &Slot<K>),
        f: impl FnOnce(&Slot<K>) -> T,
    ) -> T
    where
        Q: ?Sized + Equivalent<K>,
    {
        if let Some(slot) = self.find(asked) {
            return f(&slot);
        }
        if self.is_full() {
            let overflow = read(&self.overflow);
            if let Some(slot) = self.find(asked) {
                drop(overflow);
                return f(&slot);
            }
            if let Some(shared) = overflow.find(asked.class) {
                return f(shared);
            }
        }
        // Declared before the lock is taken, and so dropped after it if it is not needed: a key's `Clone` and `Drop` are the user's.
        let mut made = Some(asked.entry(own));
        let mut overflow = write(&self.overflow);
        if let Some(slot) = self.insert(asked, &mut made, &overflow, follow) {
            drop(overflow);
            return f(&slot);
        }
        let shared = overflow.find(asked.class).cloned();
        let shared = shared.or_else(|| made.take().map(|made| overflow.place(made)));
        f(&shared.expect("found, or made of what was not inserted"))
    }

    /// The entry of (key, class) alone, made if there is room; else the key.
    pub(crate) fn own<Q>(
        &self,
        asked: &Asked<'_, Q>,
        own: impl FnOnce(&Q) -> K,
        follow: impl FnOnce(&Entry<K>, &Slot<K>),
    ) -> Result<Slot<K>, K>
    where
        Q: ?Sized + Equivalent<K>,
    {
        if let Some(slot) = self.find(asked) {
            return Ok(slot);
        }
        let mut made = Some(asked.entry(own));
        let inserted = if self.is_full() {
            None
        } else {
            self.insert(asked, &mut made, &write(&self.overflow), follow)
        };
        inserted.ok_or_else(|| made.expect("not inserted").key)
    }

    /// The entry that counts for (key, class): its own, or else the one that its class shares.
    pub(crate) fn counting<Q>(&self, asked: &Asked<'_, Q>) -> Option<Slot<K>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let overflow = read(&self.overflow);
        self.find(asked)
            .or_else(|| overflow.find(asked.class).cloned())
    }

    fn find<Q>(&self, asked: &Asked<'_, Q>) -> Option<Slot<K>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        self.with(asked.mark, asked.key, asked.class, Slot::clone)
    }

    /// The entry in its table: `made`, unless there is one already; `None` if there is no room. `overflow` is locked for writing.
    fn insert<Q>(
        &self,
        asked: &Asked<'_, Q>,
        made: &mut Option<Entry<K>>,
        overflow: &Overflow<K>,
        follow: impl FnOnce(&Entry<K>, &Slot<K>),
    ) -> Option<Slot<K>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let Asked {
            mark, key, class, ..
        } = *asked;
        let mut both = self.shard(mark).write();
        let known = both
            .table()
            .find(mark.spread(), |slot| is(slot, key, class));
        if let Some(slot) = known {
            return Some(slot.clone());
        }
        if self.is_full() {
            return None;
        }
        let made = made.take()?;
        // The last line of the entry that it shared may have been this key's.
        if let Some(shared) = overflow.find(class) {
            follow(&made, shared);
        }
        // Nobody else adds to it meanwhile: that needs the lock of `overflow`.
        self.own.fetch_add(1, AcqRel);
        let made = Slot(Arc::new(made));
        both.insert(&made);
        Some(made)
    }

    fn is_full(&self) -> bool {
        self.own.load(Acquire) >= self.own_max
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
        self.own.fetch_sub(removed.gone.len(), AcqRel);
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
            self.own.fetch_sub(idle.len(), AcqRel);
            gone.extend(idle);
        }
        gone
    }

    /// Every entry that `wanted` picks, shared ones included.
    pub(crate) fn collect(&self, mut wanted: impl FnMut(&Slot<K>) -> bool) -> Vec<Slot<K>> {
        let mut picked = Vec::new();
        self.each(|slot| {
            if wanted(slot) {
                picked.push(slot.clone());
            }
        });
        picked
    }

    /// Runs `f` on every entry, shared ones included, under the locks: `f` is ours, never the user's.
    pub(crate) fn each(&self, mut f: impl FnMut(&Slot<K>)) {
        for shard in self.filled() {
            shard.read().iter().for_each(&mut f);
        }
        read(&self.overflow).entries().for_each(&mut f);
    }

    /// The tables that may hold entries: of an empty throttle no lock is taken. An entry is counted before it is put in.
    fn filled(&self) -> &[Copies<K>] {
        match self.own.load(Acquire) {
            0 => &[],
            _ => &self.tables,
        }
    }

    fn shard(&self, mark: Mark) -> &Copies<K> {
        // The table itself uses the lowest bits and the top seven.
        &self.tables[(mark.spread() >> 32) as usize % SHARDS]
    }
}

fn is<K, Q: ?Sized + Equivalent<K>>(slot: &Slot<K>, key: &Q, class: ClassId) -> bool {
    slot.class == class && key.equivalent(&slot.key)
}
