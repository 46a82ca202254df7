//! The right to repair one key once.

use std::fmt;
use std::marker::PhantomData;

use crate::flight::{End, Flight};
use crate::outcome::Outcome;
use crate::slot::Slot;
use crate::sync::Arc;
use crate::token::Token;

/// The right to repair one key once; only a gate makes one.
///
/// Use it with [`run`](Self::run), or give it back with [`forfeit`](Self::forfeit). Dropped, it spends the turn as
/// [`Outcome::Abandoned`]. It may be sent to another thread and run there. Before the run it can be made stronger:
/// `lock` (with the feature `interprocess`) keeps other processes out, and [`record`](Self::record) counts the attempt beyond
/// the life of this one; in this order, as the lock's second look may find that there is nothing to attempt.
///
/// `std::mem::forget` is the one hole: a forgotten permit leaves its key in flight until the process ends.
///
/// It cannot be cloned:
/// ```compile_fail,E0599
/// use once_per_key_repair::Permit;
/// fn twice(permit: Permit<'_, u32>) -> (Permit<'_, u32>, Permit<'_, u32>) {
///     (permit.clone(), permit)
/// }
/// ```
/// or made by hand:
/// ```compile_fail,E0624
/// use once_per_key_repair::Permit;
/// fn forge() -> Permit<'static, u32> {
///     Permit::new(unreachable!(), unreachable!(), 1)
/// }
/// ```
/// or used again after its run:
/// ```compile_fail,E0382
/// use once_per_key_repair::Permit;
/// fn again(permit: Permit<'_, u32>) {
///     let _ = permit.run(|_| Ok::<(), ()>(()));
///     let _ = permit.run(|_| Ok::<(), ()>(()));
/// }
/// ```
/// or given back after its run:
/// ```compile_fail,E0382
/// use once_per_key_repair::Permit;
/// fn back(permit: Permit<'_, u32>) {
///     let _ = permit.run(|_| Ok::<(), ()>(()));
///     permit.forfeit();
/// }
/// ```
/// or kept for longer than its gate:
/// ```compile_fail,E0597
/// use once_per_key_repair::{RepairGate, Turn};
/// let turn = {
///     let gate = RepairGate::<u32>::new();
///     gate.enter(&1)
/// };
/// drop(turn);
/// ```
#[must_use = "dropping a permit spends the key's one turn as abandoned"]
pub struct Permit<'g, K> {
    slot: Arc<Slot<K>>,
    flight: Arc<Flight>,
    attempt: u32,
    /// Held until the turn ends.
    #[cfg(feature = "interprocess")]
    locks: Vec<crate::lock::Held>,
    /// What the turn ends as if the permit is dropped now; `None` once it has ended.
    pending: Option<Outcome>,
    gate: PhantomData<&'g ()>,
}

// ===== impl Permit =====

impl<K> Permit<'_, K> {
    pub(crate) fn new(slot: Arc<Slot<K>>, flight: Arc<Flight>, attempt: u32) -> Self {
        Self {
            slot,
            flight,
            attempt,
            #[cfg(feature = "interprocess")]
            locks: Vec::new(),
            pending: Some(Outcome::Abandoned),
            gate: PhantomData,
        }
    }

    /// Runs the repair and settles the key: `Ok` as repaired, `Err` as failed, a panic as panicked.
    ///
    /// No lock is held meanwhile. Other keys are repaired beside it, and a repair that enters the gate for its own key is
    /// told [`Turn::InFlight`](crate::Turn::InFlight). The key is settled before this returns.
    ///
    /// # Errors
    /// Whatever `repair` returns, unchanged.
    ///
    /// # Panics
    /// Only if `repair` does; the panic goes on to the caller.
    ///
    /// # Examples
    /// ```
    /// use once_per_key_repair::{Outcome, RepairGate, Token, Turn};
    ///
    /// // Nobody can call this without a permit, nor for another key than the permit's.
    /// fn repair(token: Token<'_, String>) -> Result<usize, String> {
    ///     Err(format!("{} is beyond repair", token.key()))
    /// }
    ///
    /// let gate = RepairGate::<String>::new();
    /// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    /// assert_eq!(permit.run(repair).unwrap_err(), "a is beyond repair");
    /// assert_eq!(gate.outcome("a"), Some(Outcome::Failed));
    /// ```
    pub fn run<T, E>(mut self, repair: impl FnOnce(Token<'_, K>) -> Result<T, E>) -> Result<T, E> {
        // From here on a drop means that the stack unwinds through this frame.
        self.pending = Some(Outcome::Panicked);
        self.flight.run_here();
        let result = repair(Token::new(self.slot.key(), self.attempt));
        let outcome = if result.is_ok() {
            Outcome::Repaired
        } else {
            Outcome::Failed
        };
        self.settle(outcome);
        result
    }

    /// Gives the turn back unspent; the next one to enter may have it.
    ///
    /// For a caller that finds, before the repair began, that it cannot begin: a lock of another process is busy, or the
    /// process shuts down.
    ///
    /// ```
    /// use once_per_key_repair::{RepairGate, Turn};
    ///
    /// let gate = RepairGate::<String>::new();
    /// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    /// permit.forfeit();
    /// assert_eq!(gate.outcome("a"), None);
    /// assert!(matches!(gate.enter("a"), Turn::Yours(_)));
    /// ```
    pub fn forfeit(mut self) {
        self.end(End::Forfeited);
    }

    /// The key that may be repaired.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<u32>::new();
    /// let Turn::Yours(permit) = gate.enter(&7) else { unreachable!() };
    /// assert_eq!(permit.key(), &7);
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        self.slot.key()
    }

    /// Which attempt this is since the key was armed, from 1. After [`record`](Self::record) it is the ledger's count.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<u32>::new();
    /// let Turn::Yours(permit) = gate.enter(&7) else { unreachable!() };
    /// assert_eq!(permit.attempt(), 1);
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn count_as(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    /// Ends the turn without giving it back.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.end(End::Settled(outcome));
    }

    #[cfg(feature = "interprocess")]
    pub(crate) fn keep_lock(&mut self, lock: crate::lock::Held) {
        self.locks.push(lock);
    }

    fn end(&mut self, end: End) {
        self.pending = None;
        // First, so that whoever has the next turn in this process does not find the lock busy.
        #[cfg(feature = "interprocess")]
        self.locks.clear();
        self.slot.end(&self.flight, end);
    }
}

impl<K> Drop for Permit<'_, K> {
    fn drop(&mut self) {
        if let Some(outcome) = self.pending {
            self.end(End::Settled(outcome));
        }
    }
}

// The key is behind a pointer.
impl<K> Unpin for Permit<'_, K> {}

impl<K: fmt::Debug> fmt::Debug for Permit<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("key", self.key())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
