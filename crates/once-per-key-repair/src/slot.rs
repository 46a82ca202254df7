//! What the gate keeps of one key, and the only place where it changes.
//!
//! | from | by | to |
//! |---|---|---|
//! | untried | `claim` | in flight |
//! | in flight | `end(Settled)` | spent, or untried with one attempt less; untried with all of them if it was re-armed meanwhile |
//! | in flight | `end(Settled(Exhausted))` | spent, whatever was left; untried if it was re-armed meanwhile |
//! | in flight | `end(Forfeited)` | untried as before; with all attempts if it was re-armed meanwhile |
//! | spent, or untried with fewer attempts | `rearm`, `forget` | untried with all attempts |
//!
//! Every other pair changes nothing, except that `rearm` in flight leaves its mark on the flight.

use std::num::NonZeroU8;

use crate::flight::{End, Flight};
use crate::outcome::{Outcome, Rearmed};
use crate::sync::{Arc, AtomicU16, Mutex, Ordering, lock};
use crate::table::Mark;

/// In this order: what a look-up reads lies together, with a `String` in one cache line at three of four places in memory.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot<K> {
    key: K,
    /// A [`Tally`]. Written only under `flight`'s lock; read without it.
    tally: AtomicU16,
    /// The attempts that an arming allows.
    budget: NonZeroU8,
    /// 32 bits of the key's hash, so that a table which grows runs nobody's `Hash`: one that panics there would cost other keys
    /// their place.
    mark: Mark,
    /// The turn that is out. Invariant: never `Some` while the key is spent, and replaced by another only through `None`.
    flight: Mutex<Option<Arc<Flight>>>,
}

/// What a claim came to.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The turn, and which attempt it is since the key was armed.
    Granted(Arc<Flight>, u32),
    Busy(Arc<Flight>),
    Spent(Outcome),
}

/// The attempts since the key was armed, and how the last of them ended; in one word, so that one load tells whether the
/// key is spent. The high byte counts, the low byte is the outcome's code, with [`LEFT`](Self::LEFT) while more may follow.
#[derive(Clone, Copy)]
struct Tally(u16);

// ===== impl Slot =====

impl<K> Slot<K> {
    pub(crate) fn new(key: K, mark: Mark, budget: NonZeroU8) -> Self {
        Self {
            key,
            mark,
            tally: AtomicU16::new(Tally::NONE.0),
            budget,
            flight: Mutex::new(None),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    pub(crate) fn claim(&self) -> Claim {
        let mut flight = lock(&self.flight);
        // Asked under the lock: the turn may have ended since the caller last looked.
        let tally = self.tally();
        if let Some(outcome) = tally.spent() {
            return Claim::Spent(outcome);
        }
        if let Some(flight) = &*flight {
            return Claim::Busy(Arc::clone(flight));
        }
        let granted = Arc::new(Flight::new());
        *flight = Some(Arc::clone(&granted));
        Claim::Granted(granted, u32::from(tally.made()) + 1)
    }

    /// Ends the turn that is out. `flight` is that turn: only its permit calls this, and only once.
    pub(crate) fn end(&self, flight: &Flight, end: End) {
        let mut current = lock(&self.flight);
        *current = None;
        let tally = match end {
            _ if flight.is_rearmed() => Tally::NONE,
            End::Settled(outcome) => self.tally().and(outcome, self.budget),
            End::Forfeited => self.tally(),
        };
        // Release: whoever sees the outcome also sees what the repair did.
        self.tally.store(tally.0, Ordering::Release);
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
        match self.tally().last() {
            Some(outcome) => {
                self.tally.store(Tally::NONE.0, Ordering::Release);
                Rearmed::Ready(outcome)
            }
            None => Rearmed::Unspent,
        }
    }

    /// Gives back all attempts, unless a turn is out: that one is still to be counted.
    pub(crate) fn forget(&self) {
        if lock(&self.flight).is_none() {
            self.tally.store(Tally::NONE.0, Ordering::Release);
        }
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// How the last attempt ended, if no more may follow. One load; says nothing about a turn that is out.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.tally().spent()
    }

    #[inline]
    fn tally(&self) -> Tally {
        Tally(self.tally.load(Ordering::Acquire))
    }
}

// ===== impl Tally =====

impl Tally {
    const NONE: Self = Self(0);
    /// No outcome's code has this bit.
    const LEFT: u8 = 0x80;

    /// With one more attempt that ended so.
    fn and(self, outcome: Outcome, budget: NonZeroU8) -> Self {
        let made = match outcome {
            Outcome::Exhausted => budget.get(),
            _ => self.made().saturating_add(1),
        };
        let left = if made < budget.get() { Self::LEFT } else { 0 };
        Self(u16::from_be_bytes([made, outcome.code() | left]))
    }

    fn made(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    #[inline]
    fn spent(self) -> Option<Outcome> {
        Outcome::from_code(self.0.to_be_bytes()[1])
    }

    fn last(self) -> Option<Outcome> {
        Outcome::from_code(self.0.to_be_bytes()[1] & !Self::LEFT)
    }
}

#[cfg(all(test, not(once_per_key_loom)))]
mod tests {
    use std::num::NonZeroU8;

    use super::{Slot, Tally};
    use crate::Outcome;

    /// Beyond the key, as rounded up to a multiple of eight.
    fn bytes<K>() -> usize {
        let slot = size_of::<Slot<K>>() - size_of::<K>().next_multiple_of(8);
        let counts = size_of::<usize>();
        // A pointer and a control byte per bucket, 16/7 buckets per entry just after the table has doubled.
        let table = (size_of::<usize>() + 1) * 16 / 7;
        slot + counts + table
    }

    #[test]
    fn a_key_costs_at_most_56_bytes_beyond_itself_at_the_table_s_worst_load() {
        for bytes in [
            bytes::<u8>(),
            bytes::<u16>(),
            bytes::<[u8; 9]>(),
            bytes::<u64>(),
            bytes::<String>(),
            bytes::<(String, u32)>(),
        ] {
            assert!(bytes <= 56, "{bytes}");
        }
    }

    #[test]
    fn every_budget_lasts_for_exactly_its_attempts() {
        for budget in 1..=u8::MAX {
            let budget = NonZeroU8::new(budget).unwrap();
            let mut tally = Tally::NONE;
            for made in 0..budget.get() {
                assert_eq!((tally.made(), tally.spent()), (made, None));
                tally = tally.and(Outcome::Failed, budget);
                assert_eq!(tally.last(), Some(Outcome::Failed));
            }
            assert_eq!(tally.spent(), Some(Outcome::Failed));
            let exhausted = Tally::NONE.and(Outcome::Exhausted, budget);
            assert_eq!(exhausted.spent(), Some(Outcome::Exhausted));
        }
    }
}
