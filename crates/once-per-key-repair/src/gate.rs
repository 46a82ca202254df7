//! The gate: the verbs, by a borrowed key.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU8;

use hashbrown::Equivalent;

use crate::handle::Handle;
use crate::outcome::{Outcome, Rearmed};
use crate::slot::Slot;
use crate::sync::Arc;
use crate::table::{Mark, Table};
use crate::turn::Turn;

/// Lets one caller repair a key, once, and tells everyone else how it went.
///
/// More than once, but never two at a time, with [`with_budget`](Self::with_budget).
///
/// Make one per process (a `static`, or a field of whatever owns the things that break) and share it by reference. For a
/// `static` take a hasher that needs no seed at run time:
///
/// ```
/// use std::hash::{BuildHasherDefault, DefaultHasher};
/// use once_per_key_repair::{RepairGate, Turn};
///
/// static GATE: RepairGate<String, BuildHasherDefault<DefaultHasher>> =
///     RepairGate::with_hasher(BuildHasherDefault::new());
///
/// assert!(matches!(GATE.enter("a"), Turn::Yours(_)));
/// ```
///
/// Each verb costs one look-up under a short read lock; only the first sight of a key and [`retain`](Self::retain) lock for
/// writing. Of the caller's code only the key's `Eq` (or [`Equivalent`]) runs under that lock; it must not call the gate. The keys are spread over 16
/// tables; that the first key of one is spent is told without its lock.
pub struct RepairGate<K, S = RandomState> {
    table: Table<K>,
    hasher: S,
    budget: NonZeroU8,
}

// ===== impl RepairGate =====

impl<K> RepairGate<K> {
    /// A gate that has seen no key.
    ///
    /// ```
    /// # use once_per_key_repair::RepairGate;
    /// assert!(RepairGate::<String>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K, S> RepairGate<K, S> {
    /// A gate that hashes keys with `hasher`.
    ///
    /// ```
    /// # use std::hash::RandomState;
    /// # use once_per_key_repair::RepairGate;
    /// assert!(RepairGate::<String, _>::with_hasher(RandomState::new()).is_empty());
    /// ```
    #[must_use]
    #[cfg(not(all(test, once_per_key_loom)))]
    pub const fn with_hasher(hasher: S) -> Self {
        Self {
            table: Table::new(),
            hasher,
            budget: NonZeroU8::MIN,
        }
    }

    /// Loom's locks cannot be made in a constant.
    #[cfg(all(test, once_per_key_loom))]
    pub(crate) fn with_hasher(hasher: S) -> Self {
        Self {
            table: Table::new(),
            hasher,
            budget: NonZeroU8::MIN,
        }
    }

    /// This gate with up to `attempts` turns for each key, one after the other; without it there is one. It counts for keys that
    /// are first seen from now on.
    ///
    /// Every turn counts, also one whose repair returned `Ok`: whoever enters again after that has found the thing broken
    /// again, and a repair that does not help must end as surely as one that fails. Nothing but [`rearm`](Self::rearm) and
    /// [`retain`](Self::retain) gives attempts back.
    ///
    /// With several attempts look again before the run, and [`forfeit`](crate::Permit::forfeit) if the thing is whole: a
    /// caller may have found it broken before another one's repair, and enter after it.
    ///
    /// ```
    /// use std::num::NonZeroU8;
    /// use once_per_key_repair::{Outcome, RepairGate, Turn};
    ///
    /// let gate = RepairGate::<u32>::new().with_budget(NonZeroU8::new(3).unwrap());
    /// for n in 1..=3 {
    ///     let Turn::Yours(permit) = gate.enter(&7) else { unreachable!() };
    ///     assert_eq!(permit.attempt(), n);
    ///     permit.run(|_token| Err::<(), _>("no answer")).unwrap_err();
    /// }
    /// assert!(matches!(gate.enter(&7), Turn::Spent(Outcome::Failed)));
    /// ```
    #[must_use]
    pub const fn with_budget(mut self, attempts: NonZeroU8) -> Self {
        self.budget = attempts;
        self
    }

    /// The number of keys that were entered or have got a handle, whatever their state, until [`retain`](Self::retain) takes them out.
    ///
    /// ```
    /// # use once_per_key_repair::RepairGate;
    /// let gate = RepairGate::<u32>::new();
    /// drop(gate.enter(&1));
    /// drop(gate.enter(&1));
    /// assert_eq!(gate.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key in the gate.
    ///
    /// ```
    /// # use once_per_key_repair::RepairGate;
    /// let gate = RepairGate::<u32>::new();
    /// assert!(gate.is_empty());
    /// drop(gate.enter(&7));
    /// assert!(!gate.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq, S: BuildHasher> RepairGate<K, S> {
    /// Asks for the turn to repair `key`. Never blocks on a repair, and grants at most one turn, or as many as the
    /// [budget](Self::with_budget) has, until the key is re-armed or forgotten.
    ///
    /// The key is cloned when it is first seen, and only then. (When two threads bring a new key at the same moment both may
    /// clone it, and one clone is thrown away.)
    ///
    /// # Examples
    /// ```
    /// use once_per_key_repair::{Outcome, RepairGate, Turn};
    ///
    /// let gate = RepairGate::<String>::new();
    /// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    /// assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
    /// permit.run(|_token| Err::<(), _>("no space left")).unwrap_err();
    /// assert!(matches!(gate.enter("a"), Turn::Spent(Outcome::Failed)));
    /// assert!(matches!(gate.enter("b"), Turn::Yours(_)));
    /// ```
    #[inline]
    pub fn enter<Q>(&self, key: &Q) -> Turn<'_, K>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        self.enter_with(key, Q::to_owned)
    }

    /// [`enter`](Self::enter) for keys whose borrowed form cannot be cloned into the owned one; `make` does that.
    ///
    /// The turn is that of the key which `make` returns, should it not equal the one it was made from.
    ///
    /// ```
    /// use std::hash::{Hash, Hasher};
    /// use once_per_key_repair::{Equivalent, RepairGate, Turn};
    ///
    /// #[derive(PartialEq, Eq, Hash)]
    /// struct Key { board: String, missing: String }
    ///
    /// #[derive(Hash)]
    /// struct Borrowed<'a> { board: &'a str, missing: &'a str }
    ///
    /// impl Equivalent<Key> for Borrowed<'_> {
    ///     fn equivalent(&self, key: &Key) -> bool {
    ///         self.board == key.board && self.missing == key.missing
    ///     }
    /// }
    ///
    /// let gate = RepairGate::<Key>::new();
    /// let key = Borrowed { board: "a", missing: "tasks.title" };
    /// let make = |key: &Borrowed<'_>| Key { board: key.board.into(), missing: key.missing.into() };
    /// assert!(matches!(gate.enter_with(&key, make), Turn::Yours(_)));
    /// assert!(matches!(gate.enter_with(&key, make), Turn::Spent(_)));
    /// ```
    #[inline(never)] // As a part of some callers it took a sixth longer: what they put aside goes to memory before a lock does.
    pub fn enter_with<Q>(&self, key: &Q, make: impl FnOnce(&Q) -> K) -> Turn<'_, K>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let mark = Mark::of(key, &self.hasher);
        if let Some(outcome) = self.table.first_outcome(key, mark) {
            return Turn::Spent(outcome);
        }
        // The many who may not repair count no reference.
        let found = self.table.find(key, mark, |slot| {
            slot.outcome().ok_or_else(|| Arc::clone(slot))
        });
        match found {
            Some(Ok(outcome)) => Turn::Spent(outcome),
            Some(Err(slot)) => Turn::claim(slot),
            None => Turn::claim(self.insert(key, mark, make)),
        }
    }

    /// How the key's one repair ended, or the last that the budget allows; `None` while [`enter`](Self::enter) would not
    /// answer [`Turn::Spent`].
    ///
    /// ```
    /// # use once_per_key_repair::{Outcome, RepairGate};
    /// let gate = RepairGate::<String>::new();
    /// assert_eq!(gate.outcome("a"), None);
    /// drop(gate.enter("a"));
    /// assert_eq!(gate.outcome("a"), Some(Outcome::Abandoned));
    /// ```
    #[must_use]
    #[inline]
    pub fn outcome<Q>(&self, key: &Q) -> Option<Outcome>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let mark = Mark::of(key, &self.hasher);
        self.table
            .first_outcome(key, mark)
            .or_else(|| self.table.find(key, mark, |slot| slot.outcome()).flatten())
    }

    /// Allows one more turn, or the whole budget again. For an operator, or for whoever knows that the world has changed: a loop
    /// that re-arms on failure is a repair loop.
    ///
    /// A permit that is out keeps its turn, and its waiters hear its outcome; the new turn is free only after it. So two repairs of one
    /// key never run at once.
    ///
    /// ```
    /// use once_per_key_repair::{Outcome, Rearmed, RepairGate, Turn};
    ///
    /// let gate = RepairGate::<String>::new();
    /// assert_eq!(gate.rearm("a"), Rearmed::Unspent);
    /// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    /// assert_eq!(gate.rearm("a"), Rearmed::AfterFlight);
    /// assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
    /// drop(permit);
    /// assert!(matches!(gate.enter("a"), Turn::Yours(_)));
    /// assert_eq!(gate.rearm("a"), Rearmed::Ready(Outcome::Abandoned));
    /// ```
    pub fn rearm<Q>(&self, key: &Q) -> Rearmed
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let mark = Mark::of(key, &self.hasher);
        match self.table.find(key, mark, Arc::clone) {
            Some(slot) => slot.rearm(),
            None => Rearmed::Unspent,
        }
    }

    /// The key's slot, to keep. It takes memory from now on, also if nobody ever enters.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<String>::new();
    /// let handle = gate.handle("a");
    /// let Turn::Yours(_permit) = handle.enter() else { unreachable!() };
    /// assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
    /// ```
    #[must_use]
    pub fn handle<Q>(&self, key: &Q) -> Handle<K>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        let mark = Mark::of(key, &self.hasher);
        let found = self.table.find(key, mark, Arc::clone);
        Handle::new(found.unwrap_or_else(|| self.insert(key, mark, Q::to_owned)))
    }

    /// Forgets the keys that `keep` refuses, for instance of things that are gone. A forgotten key is untried again.
    ///
    /// A key whose permit is out stays. A key with a live [`Handle`], or one that another thread asks about or forgets right now, becomes untried as
    /// well, for everyone; its memory goes with a later call. The first key of each of the 16 tables is dropped with the gate only, and once it has left its
    /// table, that has none that is told without the lock. `keep` runs outside all locks and may use the gate.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<String>::new();
    /// drop(gate.enter("gone"));
    /// drop(gate.enter("here"));
    /// gate.retain(|key| key == "here");
    /// assert_eq!(gate.len(), 1);
    /// assert!(matches!(gate.enter("here"), Turn::Spent(_)));
    /// assert!(matches!(gate.enter("gone"), Turn::Yours(_)));
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K) -> bool) {
        self.table.retain(keep);
    }

    /// For a key that has no slot. `mark` is the key's.
    #[cold]
    fn insert<Q>(&self, key: &Q, mark: Mark, make: impl FnOnce(&Q) -> K) -> Arc<Slot<K>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let made = make(key);
        // It may have been made into another key, and that one's mark is still to be computed.
        let mark = if key.equivalent(&made) {
            mark
        } else {
            Mark::of(&made, &self.hasher)
        };
        self.table.insert(made, mark, self.budget)
    }
}

impl<K, S: Default> Default for RepairGate<K, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, S> fmt::Debug for RepairGate<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepairGate")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
