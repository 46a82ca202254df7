//! One key's place: its record, if it is in trouble, and how many handles keep the place.

use std::time::Duration;

use crate::answer::Asked;
use crate::held::Held;
use crate::marks::Marks;
use crate::past::Past;
use crate::probe::Probe;
use crate::quiet::Board;
use crate::record::{Ask, Record};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};

pub(crate) struct Slot<K, T> {
    /// Whether there is a record. Written under `state`'s lock; read without it, which is all that a healthy key costs.
    recorded: AtomicBool,
    /// What the record says for some time to come. Invariant: it is what `ask` would say; written with every change of `state`.
    board: Board,
    key: K,
    /// The key's hash: the table needs it to remove and to grow, and it seeds the jitter.
    hash: u64,
    state: Mutex<State<T>>,
}

pub(crate) struct State<T> {
    /// Invariant: a slot with a record or with handles is in the table.
    pub(crate) record: Option<Record<T>>,
    /// What is left of the last record. Only a slot that a handle keeps has one.
    pub(crate) past: Option<Past>,
    pub(crate) handles: usize,
    /// Names the next probe. No name is used again in this slot, so an attempt at a forgotten record cannot end a later one.
    next_probe: u64,
}

// ===== impl Slot =====

impl<K, T> Slot<K, T> {
    pub(crate) fn new(key: K, hash: u64) -> Self {
        let state = State {
            record: None,
            past: None,
            handles: 0,
            next_probe: 0,
        };
        Self {
            recorded: AtomicBool::new(false),
            board: Board::new(),
            key,
            hash,
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

    /// A few loads, and the answer if it is "held" for some time to come; otherwise [`ask`](Self::ask).
    #[inline]
    pub(crate) fn glance(&self, now: Duration) -> Option<Held> {
        self.board.read(now)
    }

    pub(crate) fn ask(slot: &Arc<Self>, now: Duration) -> Asked<K, T> {
        slot.change(|state| {
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
        })
    }

    pub(crate) fn held(&self, now: Duration) -> Option<Held> {
        lock(&self.state)
            .record
            .as_ref()
            .map(|record| record.held(now))
    }

    /// How many keys are in trouble with this one counted in, and once: it cannot come to be on record, nor leave it, meanwhile.
    pub(crate) fn in_trouble(&self, marks: &Marks) -> usize {
        let state = lock(&self.state);
        marks.count() + usize::from(state.record.is_none())
    }

    /// Changes the record without making or ending it.
    pub(crate) fn with_record<R>(&self, change: impl FnOnce(Option<&mut Record<T>>) -> R) -> R {
        self.change(|state| change(state.record.as_mut()))
    }

    /// Any change; `marks` counts the records there are. Nothing of the caller's may run in `change`.
    pub(crate) fn update<R>(&self, marks: &Marks, change: impl FnOnce(&mut State<T>) -> R) -> R {
        self.change(|state| {
            let before = state.record.is_some();
            let result = change(state);
            match (before, state.record.is_some()) {
                (false, true) => {
                    marks.add(self.hash);
                    self.recorded.store(true, Ordering::Release);
                }
                (true, false) => {
                    self.recorded.store(false, Ordering::Release);
                    marks.remove(self.hash);
                }
                _ => {}
            }
            result
        })
    }

    /// The one way to change the state, so that nothing outdated stays published.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        self.board
            .write(state.record.as_ref().and_then(Record::quiet));
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

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::Slot;
    use crate::admission::Reason;
    use crate::hold::Hold;
    use crate::marks::Marks;
    use crate::record::{Failure, Record};
    use crate::sync::Arc;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_shortest_hold_is_answered_without_the_lock_until_a_release_or_the_end_of_the_record() {
        let (slot, marks) = (Slot::new(1, 7), Marks::new());
        let record = || {
            let failure = Failure {
                why: Reason::New,
                stamp: Some(Arc::new(1)),
                changed: false,
                hold: Hold::until_changed().at_least(SECOND),
                now: SECOND,
            };
            Some(Record::new(failure, None, 7))
        };
        assert!(slot.glance(SECOND).is_none());
        slot.update(&marks, |state| state.record = record());
        assert_eq!(slot.glance(SECOND), slot.held(SECOND));
        assert!(slot.glance(SECOND * 2).is_none(), "time to look");
        slot.with_record(|record| record.map(Record::release));
        assert!(slot.glance(SECOND).is_none());
        slot.update(&marks, |state| state.record = record());
        assert!(slot.glance(SECOND).is_some());
        slot.update(&marks, |state| state.record = None);
        assert!(slot.glance(SECOND).is_none());
        assert_eq!(marks.count(), 0);
    }
}
