//! One hash table in two copies, each behind its own lock.
//!
//! A look-up under a read lock still writes to the lock, twice. Two threads that ask for one key spent four fifths of their
//! time passing that cache line to and fro. So threads are spread over the copies, and who changes the table locks both, in
//! order. It costs about 15 bytes per entry, and a change is done twice; the way to a known key is as it was.

use hashbrown::HashTable;

use crate::entry::Slot;
use crate::sync::{
    Arc, Ordering::*, RwLock, RwLockReadGuard, RwLockWriteGuard, fence, read, write,
};

/// More would serve more threads on one key, at more memory for each entry.
const COPIES: usize = 2;

pub(crate) type Table<K> = HashTable<Slot<K>>;

/// Keeps two locks off one cache line (and off the pair that is fetched with it).
#[repr(align(128))]
struct Apart<T>(T);

/// A table to read from. Invariant: all copies hold the same slots whenever no [`Both`] is alive.
pub(crate) struct Copies<K>([Apart<RwLock<Table<K>>>; COPIES]);

/// All copies, locked for a change. Nothing of the user runs between a change to one and the same change to the other.
pub(crate) struct Both<'a, K>([RwLockWriteGuard<'a, Table<K>>; COPIES]);

// ===== impl Copies =====

impl<K> Copies<K> {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| {
            Apart(RwLock::new(HashTable::new()))
        }))
    }

    /// This thread's copy.
    #[inline]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Table<K>> {
        read(&self.0[turn()].0)
    }

    pub(crate) fn write(&self) -> Both<'_, K> {
        Both(self.0.each_ref().map(|copy| write(&copy.0)))
    }
}

impl<K> Both<'_, K> {
    pub(crate) fn table(&self) -> &Table<K> {
        &self.0[0]
    }

    pub(crate) fn insert(&mut self, slot: &Slot<K>) {
        for table in &mut self.0 {
            table.insert_unique(slot.mark.spread(), slot.clone(), |slot| slot.mark.spread());
        }
    }

    /// Takes `slot` out; it is found by identity, without the user's `Eq`.
    pub(crate) fn remove(&mut self, slot: &Slot<K>) {
        for table in &mut self.0 {
            if let Ok(found) = table.find_entry(slot.mark.spread(), |other| other == slot) {
                found.remove();
            }
        }
    }
}

/// Whether anybody but the tables refers to `slot`, which is in them. With [`Both`] alive, `false` stays `false`: nobody
/// else could make a reference. It has then also seen all that the last holder counted.
pub(crate) fn is_held<K>(_: &Both<'_, K>, slot: &Slot<K>) -> bool {
    let held = Arc::strong_count(&slot.0) > COPIES;
    fence(Acquire); // Pairs with the drop of the last handle.
    held
}

/// Which copy this thread reads: they take turns.
#[cfg(not(all(test, throttle_loom)))]
#[inline]
fn turn() -> usize {
    crate::thread::id() as usize % COPIES
}

/// Loom wants the same in each interleaving: as the thread has chosen, or the first.
#[cfg(all(test, throttle_loom))]
fn turn() -> usize {
    TURN.with(std::cell::Cell::get)
}

#[cfg(all(test, throttle_loom))]
loom::thread_local!(pub(crate) static TURN: std::cell::Cell<usize> = std::cell::Cell::new(0));

#[cfg(all(test, not(throttle_loom)))]
mod tests {
    use std::thread;

    use super::{COPIES, turn};

    #[test]
    fn threads_are_spread_over_all_copies_and_each_stays_with_its_own() {
        let of_a_thread = || thread::spawn(|| (turn(), turn())).join();
        let mut seen = [false; COPIES];
        // Other tests' threads take turns too.
        for (first, again) in (0..1000).flat_map(|_| of_a_thread()) {
            assert_eq!(first, again);
            seen[first] = true;
        }
        assert_eq!(seen, [true; COPIES]);
    }
}
