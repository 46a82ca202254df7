//! What the gate keeps of one key, and the only place where it changes.
//!
//! | from | by | to |
//! |---|---|---|
//! | untried | `claim` | in flight |
//! | in flight | `end(Settled)` | spent; untried if it was re-armed meanwhile |
//! | in flight | `end(Forfeited)` | untried |
//! | spent | `rearm`, `forget` | untried |
//!
//! Every other pair changes nothing, except that `rearm` in flight leaves its mark on the flight.

use crate::flight::{End, Flight};
use crate::outcome::{Outcome, Rearmed};
use crate::sync::{Arc, AtomicU8, Mutex, Ordering, lock};

#[derive(Debug)]
pub(crate) struct Slot<K> {
    key: K,
    /// The outcome's code, 0 when not spent. Written only under `flight`'s lock; read without it.
    spent: AtomicU8,
    /// The turn that is out. Invariant: never `Some` while `spent` is not 0, and replaced by another only through `None`.
    flight: Mutex<Option<Arc<Flight>>>,
}

/// What a claim came to.
#[derive(Debug)]
pub(crate) enum Claim {
    Granted(Arc<Flight>),
    Busy(Arc<Flight>),
    Spent(Outcome),
}

// ===== impl Slot =====

impl<K> Slot<K> {
    pub(crate) fn new(key: K) -> Self {
        Self {
            key,
            spent: AtomicU8::new(0),
            flight: Mutex::new(None),
        }
    }

    pub(crate) fn claim(&self) -> Claim {
        let mut flight = lock(&self.flight);
        // Asked under the lock: the turn may have ended since the caller last looked.
        if let Some(outcome) = self.outcome() {
            return Claim::Spent(outcome);
        }
        if let Some(flight) = &*flight {
            return Claim::Busy(Arc::clone(flight));
        }
        let granted = Arc::new(Flight::new());
        *flight = Some(Arc::clone(&granted));
        Claim::Granted(granted)
    }

    /// Ends the turn that is out. `flight` is that turn: only its permit calls this, and only once.
    pub(crate) fn end(&self, flight: &Flight, end: End) {
        let mut current = lock(&self.flight);
        *current = None;
        if let End::Settled(outcome) = end
            && !flight.is_rearmed()
        {
            // Release: whoever sees the outcome also sees what the repair did.
            self.spent.store(outcome.code(), Ordering::Release);
        }
        drop(current);
        // Last, so that a waiter that wakes and enters again meets the new state.
        flight.land(end);
    }

    pub(crate) fn rearm(&self) -> Rearmed {
        let flight = lock(&self.flight);
        if let Some(flight) = &*flight {
            flight.rearm();
            return Rearmed::AfterFlight;
        }
        match self.outcome() {
            Some(outcome) => {
                self.spent.store(0, Ordering::Release);
                Rearmed::Ready(outcome)
            }
            None => Rearmed::Unspent,
        }
    }

    /// Makes a spent key untried. A turn that is out is not touched: its key has no outcome to lose.
    pub(crate) fn forget(&self) {
        let _ordered = lock(&self.flight);
        self.spent.store(0, Ordering::Release);
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// One load; says nothing about a turn that is out.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        Outcome::from_code(self.spent.load(Ordering::Acquire))
    }
}

#[cfg(all(test, not(once_per_key_loom)))]
mod tests {
    use super::Slot;

    #[test]
    fn a_key_costs_at_most_64_bytes_beyond_itself_at_the_table_s_worst_load() {
        let slot = size_of::<Slot<[u64; 3]>>() - size_of::<[u64; 3]>();
        let counts = 2 * size_of::<usize>();
        // A pointer and a control byte per bucket, 16/7 buckets per entry just after the table has doubled.
        let table = (size_of::<usize>() + 1) * 16 / 7;
        assert!(slot + counts + table <= 64, "{slot} + {counts} + {table}");
    }
}
