//! Attempts that count beyond the life of the process: a crash loop must not be a repair loop.

use crate::outcome::Outcome;
use crate::permit::Permit;

/// Where attempts are counted over restarts: a row of a database, a file, a counter in a shared store.
///
/// The gate calls it for the permit's holder only, outside all locks, and before the repair runs: a process that dies in its
/// repair has counted it. To begin anew, remove the count where you keep it, and then
/// [`rearm`](crate::RepairGate::rearm) the key.
pub trait Ledger<K> {
    /// Why the store could not be read or written.
    type Error;

    /// Counts one more attempt at `key`, and returns how many there are with this one. The count must be durable when this
    /// returns. Where other processes count the same keys, add and read in one step.
    ///
    /// A ledger that would rather repair uncounted than not at all, when its store cannot be used, returns `Ok(0)` then.
    ///
    /// # Errors
    /// Why it could not be counted. The repair does not run then, and the turn is given back.
    fn record(&self, key: &K) -> Result<u32, Self::Error>;
}

// ===== impl Permit =====

impl<K> Permit<'_, K> {
    /// Counts this attempt in `ledger`, where at most `max` are allowed, and returns the permit to run.
    ///
    /// `None` when more than `max` are counted: the turn has ended as [`Outcome::Exhausted`], and the key is spent, also if the
    /// gate's own budget had attempts left. So the ledger is asked once, not at every visit.
    ///
    /// An attempt counts when it begins and is never taken back, however it ends.
    ///
    /// # Errors
    /// What the ledger returned. The turn has been forfeited: nothing is spent, and the next visit tries again.
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use once_per_key_repair::{Ledger, Outcome, RepairGate, Turn};
    ///
    /// /// For all keys together; a real one outlives the process.
    /// struct Attempts(AtomicU32);
    ///
    /// impl Ledger<String> for Attempts {
    ///     type Error = std::io::Error;
    ///     fn record(&self, _key: &String) -> Result<u32, Self::Error> {
    ///         Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    ///     }
    /// }
    ///
    /// let attempts = Attempts(AtomicU32::new(0));
    /// for restart in 0..5 {
    ///     let gate = RepairGate::<String>::new();
    ///     let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    ///     let Some(permit) = permit.record(&attempts, 3)? else {
    ///         assert!(restart >= 3);
    ///         assert_eq!(gate.outcome("a"), Some(Outcome::Exhausted));
    ///         continue;
    ///     };
    ///     assert_eq!(permit.attempt(), restart + 1);
    ///     permit.run(|_token| Err::<(), _>("no answer")).unwrap_err();
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn record<L>(mut self, ledger: &L, max: u32) -> Result<Option<Self>, L::Error>
    where
        L: Ledger<K> + ?Sized,
    {
        match ledger.record(self.key()) {
            Ok(count) if count > max => {
                self.settle(Outcome::Exhausted);
                Ok(None)
            }
            Ok(count) => {
                if count > 0 {
                    self.count_as(count);
                }
                Ok(Some(self))
            }
            Err(error) => {
                self.forfeit();
                Err(error)
            }
        }
    }
}
