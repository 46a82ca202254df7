//! One key's place: its record, if it is in trouble, and how many handles keep the place.

use std::time::Duration;

use crate::admission::Reason;
use crate::held::Held;
use crate::probe::Probe;
use crate::record::{Ask, Record};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock};

pub(crate) struct Slot<K, T> {
    key: K,
    /// The key's hash: the table needs it to remove and to grow, and it seeds the jitter.
    hash: u64,
    /// Whether there is a record. Written under `state`'s lock; read without it, which is all that a healthy key costs.
    recorded: AtomicBool,
    state: Mutex<State<T>>,
}

pub(crate) struct State<T> {
    /// Invariant: a slot with a record or with handles is in the table.
    pub(crate) record: Option<Record<T>>,
    pub(crate) handles: usize,
    /// Names the next probe. No name is used again in this slot, so an attempt at a forgotten record cannot end a later one.
    next_probe: u64,
}

/// What there is to do about a key that was asked for.
pub(crate) enum Asked<K, T> {
    Healthy,
    Held(Held),
    Probing,
    /// Go, after taking a stamp.
    Go(Probe<K, T>, Reason),
    /// Take a stamp and compare it with this; the time is that of the question.
    Look(Probe<K, T>, Arc<T>, Duration),
}

// ===== impl Slot =====

impl<K, T> Slot<K, T> {
    pub(crate) fn new(key: K, hash: u64) -> Self {
        let state = State {
            record: None,
            handles: 0,
            next_probe: 0,
        };
        Self {
            key,
            hash,
            recorded: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// One load.
    #[inline]
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire)
    }

    pub(crate) fn ask(slot: &Arc<Self>, now: Duration) -> Asked<K, T> {
        let mut state = lock(&slot.state);
        let id = state.next_probe;
        let Some(record) = &mut state.record else {
            return Asked::Healthy;
        };
        let ask = record.ask(now);
        let mut probe = || {
            record.begin_probe(id);
            Probe::new(Arc::clone(slot), id, record.releases())
        };
        let asked = match ask {
            Ask::Probing => return Asked::Probing,
            Ask::Held(held) => return Asked::Held(held),
            Ask::Go(why) => Asked::Go(probe(), why),
            Ask::Look(stamp) => Asked::Look(probe(), stamp, now),
        };
        state.next_probe += 1;
        asked
    }

    pub(crate) fn held(&self, now: Duration) -> Option<Held> {
        lock(&self.state)
            .record
            .as_ref()
            .map(|record| record.held(now))
    }

    /// Changes the record without making or ending it.
    pub(crate) fn with_record<R>(&self, change: impl FnOnce(Option<&mut Record<T>>) -> R) -> R {
        change(lock(&self.state).record.as_mut())
    }

    /// Any change; `on_record` counts the records there are. Nothing of the caller's may run in `change`.
    pub(crate) fn update<R>(
        &self,
        on_record: &AtomicUsize,
        change: impl FnOnce(&mut State<T>) -> R,
    ) -> R {
        let mut state = lock(&self.state);
        let before = state.record.is_some();
        let result = change(&mut state);
        match (before, state.record.is_some()) {
            (false, true) => {
                on_record.fetch_add(1, Ordering::Release);
                self.recorded.store(true, Ordering::Release);
            }
            (true, false) => {
                self.recorded.store(false, Ordering::Release);
                on_record.fetch_sub(1, Ordering::Release);
            }
            _ => {}
        }
        result
    }

    pub(crate) fn add_handle(&self) {
        lock(&self.state).handles += 1;
    }

    pub(crate) fn remove_handle(&self) {
        lock(&self.state).handles -= 1;
    }

    /// Whether nothing needs the slot to be in the table.
    pub(crate) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.record.is_none() && state.handles == 0
    }
}
