//! What a quarantine and its handles share: the table of slots, the clock, and the steps that need more than one slot's lock.
//!
//! Locks are taken in one order: the table, a slot, the releases. Of the caller's code only a key's `Hash` and `Eq` and the clock
//! run under them; `observe`, the comparison of stamps and every predicate run under none.

use hashbrown::{Equivalent, HashTable};

use crate::admission::Reason;
use crate::answer::Asked;
use crate::clock::Clock;
use crate::held::{Held, Recovery};
use crate::marks::Marks;
use crate::probe::Probe;
use crate::record::{Failure, Record};
use crate::releases::Releases;
use crate::slot::Slot;
use crate::sync::{Arc, RwLock, read, write};

pub(crate) struct Core<K, T, C> {
    pub(crate) clock: C,
    pub(crate) releases: Releases,
    /// Which slots have a record, roughly: where it says none, asking by key costs no lock.
    pub(crate) marks: Marks,
    /// Invariant: holds every slot that has a record or a handle, and no other for longer than it takes to remove it.
    slots: RwLock<HashTable<Arc<Slot<K, T>>>>,
}

// ===== impl Core =====

impl<K, T, C> Core<K, T, C> {
    pub(crate) fn new(clock: C) -> Self {
        Self {
            clock,
            releases: Releases::new(),
            marks: Marks::new(),
            slots: RwLock::new(HashTable::new()),
        }
    }

    pub(crate) fn slots(&self) -> usize {
        read(&self.slots).len()
    }

    pub(crate) fn recorded(&self) -> Vec<Arc<Slot<K, T>>> {
        let slots = read(&self.slots);
        slots
            .iter()
            .filter(|slot| slot.is_recorded())
            .cloned()
            .collect()
    }

    /// Whether it was on record.
    pub(crate) fn release(&self, slot: &Slot<K, T>) -> bool {
        slot.update(&self.marks, |state| {
            // Also beside a record: it may be gone before an attempt fails that began when there was none.
            self.releases.note(slot.hash());
            match &mut state.record {
                Some(record) => {
                    record.release();
                    true
                }
                None => {
                    state.past = None;
                    false
                }
            }
        })
    }

    /// Drops the slot's record. An attempt that is out then ends without effect.
    pub(crate) fn forget(&self, slot: &Slot<K, T>) -> bool {
        // Dropped outside the lock.
        let record = self.take_record(slot);
        self.sweep(slot);
        record.is_some()
    }

    fn take_record(&self, slot: &Slot<K, T>) -> Option<Record<T>> {
        slot.update(&self.marks, |state| {
            // Attempts that are out have nothing to say about what has the name from now on.
            self.releases.note(slot.hash());
            state.past = None;
            state.record.take()
        })
    }

    /// Removes a slot that nothing needs any more.
    pub(crate) fn sweep(&self, slot: &Slot<K, T>) {
        let mut slots = write(&self.slots);
        let same = |other: &Arc<Slot<K, T>>| std::ptr::eq(&raw const **other, slot);
        let Ok(entry) = slots.find_entry(slot.hash(), same) else {
            return;
        };
        // Asked with the table locked: nobody can find it now and fail in it.
        if !slot.is_idle() {
            return;
        }
        let (swept, _) = entry.remove();
        if slots.len() < slots.capacity() / 4 {
            slots.shrink_to(0, |slot| slot.hash());
        }
        drop(slots);
        drop(swept);
    }
}

impl<K, T, C: Clock> Core<K, T, C> {
    pub(crate) fn ask_by_key<Q>(&self, key: &Q, hash: u64) -> Asked<K, T>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let slots = read(&self.slots);
        let slot = slots.find(hash, |slot| key.equivalent(slot.key()));
        let Some(slot) = slot.filter(|slot| slot.is_recorded()) else {
            return Asked::Healthy;
        };
        let now = self.clock.now();
        match slot.glance(now) {
            Some(held) => Asked::Held(held),
            None => Slot::ask(slot, now),
        }
    }

    #[cold]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a reference would keep the attempt in memory, also where there is no probe"
    )]
    pub(crate) fn succeed(&self, probe: Probe<K, T>, why: Reason) -> Option<Recovery> {
        let now = self.clock.now();
        let ended = probe.slot().update(&self.marks, |state| {
            let probed = |record: &mut Record<T>| record.is_probed_by(probe.id());
            let ended = state.record.take_if(probed)?;
            state.past = ended.past(why, now);
            Some(ended)
        });
        let recovery = ended.as_ref()?.recovery(why, now);
        self.sweep(probe.slot());
        Some(recovery)
    }
}

impl<K, T, C> Core<K, T, C> {
    pub(crate) fn fail_probe(&self, probe: &Probe<K, T>, failure: Failure<T>) -> Held {
        let now = failure.now;
        probe.slot().with_record(|record| {
            // Without its record it was forgotten meanwhile, and says nothing about what has the name now.
            let Some(record) = record.filter(|record| record.is_probed_by(probe.id())) else {
                return Held::overtaken();
            };
            record.fail(failure, probe.releases(), probe.slot().hash());
            record.end_probe(probe.id());
            record.held(now)
        })
    }

    /// An attempt has failed that began when nothing was on record, and `before` was the count of releases.
    pub(crate) fn fail_new(&self, slot: &Slot<K, T>, before: u64, failure: Failure<T>) -> Held {
        let now = failure.now;
        slot.update(&self.marks, |state| match &mut state.record {
            // Others began beside it and were first: it tells nothing new.
            Some(record) => record.held(now),
            None if self.releases.overtook(before, slot.hash()) => Held::overtaken(),
            record => {
                let past = state.past.take();
                record
                    .insert(Record::new(failure, past, slot.hash()))
                    .held(now)
            }
        })
    }

    pub(crate) fn find<Q>(&self, key: &Q, hash: u64) -> Option<Arc<Slot<K, T>>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let slots = read(&self.slots);
        slots.find(hash, |slot| key.equivalent(slot.key())).cloned()
    }

    /// [`Slot::in_trouble`] by key. One step with the table locked, so that nobody makes the slot meanwhile and fails in it.
    pub(crate) fn in_trouble<Q>(&self, key: &Q, hash: u64) -> usize
    where
        Q: ?Sized + Equivalent<K>,
    {
        let slots = read(&self.slots);
        match slots.find(hash, |slot| key.equivalent(slot.key())) {
            Some(slot) => slot.in_trouble(&self.marks),
            None => self.marks.count() + 1,
        }
    }

    /// The key's slot, `fresh` if it had none. What `take` does with it happens before anybody can sweep it.
    pub(crate) fn with_slot<Q, R>(
        &self,
        key: &Q,
        fresh: Slot<K, T>,
        take: impl FnOnce(&Arc<Slot<K, T>>) -> R,
    ) -> R
    where
        Q: ?Sized + Equivalent<K>,
    {
        let hash = fresh.hash();
        // Made before and dropped after the lock is held.
        let fresh = Arc::new(fresh);
        let mut slots = write(&self.slots);
        let slot = match slots.find(hash, |slot| key.equivalent(slot.key())) {
            Some(slot) => slot,
            None => slots
                .insert_unique(hash, Arc::clone(&fresh), |slot| slot.hash())
                .into_mut(),
        };
        take(slot)
    }

    /// [`fail_new`](Self::fail_new) by key; `fresh` is the slot it gets if it has none.
    pub(crate) fn fail_by_key<Q>(
        &self,
        key: &Q,
        fresh: Slot<K, T>,
        before: u64,
        failure: Failure<T>,
    ) -> Held
    where
        Q: ?Sized + Equivalent<K>,
    {
        let (slot, held) = self.with_slot(key, fresh, |slot| {
            (Arc::clone(slot), self.fail_new(slot, before, failure))
        });
        if !slot.is_recorded() {
            self.sweep(&slot);
        }
        held
    }

    /// Forgets by key. One step with the table locked, as in [`release_by_key`](Self::release_by_key).
    pub(crate) fn forget_by_key<Q>(&self, key: &Q, hash: u64) -> bool
    where
        Q: ?Sized + Equivalent<K>,
    {
        let slots = read(&self.slots);
        let Some(slot) = slots.find(hash, |slot| key.equivalent(slot.key())).cloned() else {
            self.releases.note(hash);
            return false;
        };
        let record = self.take_record(&slot);
        drop(slots);
        self.sweep(&slot);
        record.is_some()
    }

    /// Releases by key. One step with the table locked, so that it comes either before or after a first failure.
    pub(crate) fn release_by_key<Q>(&self, key: &Q, hash: u64) -> bool
    where
        Q: ?Sized + Equivalent<K>,
    {
        let slots = read(&self.slots);
        if let Some(slot) = slots.find(hash, |slot| key.equivalent(slot.key())) {
            return self.release(slot);
        }
        self.releases.note(hash);
        false
    }
}
