//! What the gate answers.

use crate::outcome::Outcome;
use crate::permit::Permit;
use crate::slot::{Claim, Slot};
use crate::sync::Arc;
use crate::waiter::Waiter;

/// Whose turn it is, from [`RepairGate::enter`](crate::RepairGate::enter).
///
/// ```
/// use once_per_key_repair::{Outcome, RepairGate, Turn};
///
/// let gate = RepairGate::<String>::new();
/// let mut repairs = 0;
/// for _ in 0..3 {
///     match gate.enter("board-a") {
///         Turn::Yours(permit) => permit.run(|_token| {
///             repairs += 1;
///             Ok::<(), ()>(())
///         }).unwrap_or_default(),
///         Turn::InFlight(_waiter) => unreachable!("one thread, and `run` has returned"),
///         Turn::Spent(outcome) => assert_eq!(outcome, Outcome::Repaired),
///     }
/// }
/// assert_eq!(repairs, 1);
/// ```
#[must_use = "`Yours` carries the only permit; dropping it spends the turn"]
#[derive(Debug)]
pub enum Turn<'g, K> {
    /// The caller's, and nobody else's: run the repair with it.
    Yours(Permit<'g, K>),
    /// Someone has the permit. Come back later, or wait for them.
    InFlight(Waiter<'g, K>),
    /// The one repair has been made, or tried; of several that are allowed, the last. How it ended.
    Spent(Outcome),
}

impl<K> Turn<'_, K> {
    /// By a slot that the caller has found or kept. One load when the key is spent.
    #[inline]
    pub(crate) fn enter(slot: &Arc<Slot<K>>) -> Self {
        match slot.outcome() {
            Some(outcome) => Self::Spent(outcome),
            None => Self::claim(Arc::clone(slot)),
        }
    }

    /// The caller has looked at the outcome first: this is the slower way, under the slot's lock.
    #[cold] // Or the one load would be made among the registers that this needs.
    pub(crate) fn claim(slot: Arc<Slot<K>>) -> Self {
        match slot.claim() {
            Claim::Granted(flight, attempt) => Self::Yours(Permit::new(slot, flight, attempt)),
            Claim::Busy(flight) => Self::InFlight(Waiter::new(slot, flight)),
            Claim::Spent(outcome) => Self::Spent(outcome),
        }
    }
}
