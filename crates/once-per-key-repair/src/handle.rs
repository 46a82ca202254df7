//! The second door: a caller that keeps its key's slot needs no look-up.

use std::fmt;

use crate::outcome::{Outcome, Rearmed};
use crate::slot::Slot;
use crate::sync::Arc;
use crate::turn::Turn;

/// One key of a gate, held by the caller; from [`RepairGate::handle`](crate::RepairGate::handle).
///
/// Clones, and everyone who asks the gate by key, share the one turn. [`RepairGate::retain`](crate::RepairGate::retain) can make
/// the key untried again, for handles as for everyone, but the gate and its handles never part ways. A handle outlives its gate,
/// and then only its clones share its turn.
pub struct Handle<K> {
    slot: Arc<Slot<K>>,
}

// ===== impl Handle =====

impl<K> Handle<K> {
    pub(crate) fn new(slot: Arc<Slot<K>>) -> Self {
        Self { slot }
    }

    /// [`RepairGate::enter`](crate::RepairGate::enter) without hash, lock and look-up: one atomic load when the key is spent.
    ///
    /// ```
    /// use once_per_key_repair::{Outcome, RepairGate, Turn};
    ///
    /// let gate = RepairGate::<String>::new();
    /// let handle = gate.handle("a");
    /// let Turn::Yours(permit) = handle.enter() else { unreachable!() };
    /// permit.run(|_token| Ok::<(), ()>(())).unwrap();
    /// assert!(matches!(handle.enter(), Turn::Spent(Outcome::Repaired)));
    /// assert!(matches!(gate.enter("a"), Turn::Spent(Outcome::Repaired)));
    /// ```
    #[inline]
    pub fn enter(&self) -> Turn<'_, K> {
        Turn::enter(&self.slot)
    }

    /// [`RepairGate::outcome`](crate::RepairGate::outcome), in one atomic load.
    ///
    /// ```
    /// # use once_per_key_repair::{Outcome, RepairGate};
    /// let gate = RepairGate::<u32>::new();
    /// let handle = gate.handle(&7);
    /// assert_eq!(handle.outcome(), None);
    /// drop(handle.enter());
    /// assert_eq!(handle.outcome(), Some(Outcome::Abandoned));
    /// ```
    #[must_use]
    #[inline]
    pub fn outcome(&self) -> Option<Outcome> {
        self.slot.outcome()
    }

    /// [`RepairGate::rearm`](crate::RepairGate::rearm) without the look-up.
    ///
    /// ```
    /// # use once_per_key_repair::{Outcome, Rearmed, RepairGate};
    /// let gate = RepairGate::<u32>::new();
    /// let handle = gate.handle(&7);
    /// drop(handle.enter());
    /// assert_eq!(handle.rearm(), Rearmed::Ready(Outcome::Abandoned));
    /// assert_eq!(gate.outcome(&7), None);
    /// ```
    pub fn rearm(&self) -> Rearmed {
        self.slot.rearm()
    }

    /// The key.
    ///
    /// ```
    /// # use once_per_key_repair::RepairGate;
    /// assert_eq!(RepairGate::<u32>::new().handle(&7).key(), &7);
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        self.slot.key()
    }
}

impl<K> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
        }
    }
}

// The key is behind a pointer.
impl<K> Unpin for Handle<K> {}

impl<K: fmt::Debug> fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("key", self.key())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
