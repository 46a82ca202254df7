//! When so many things fail together that none of them is the cause.

/// Tells a machine-wide cause (a full disk, a lost mount) from many broken things: more than a share of what is known fails.
///
/// Only a question, the decision is the caller's: usually to say it in one line instead of many, and to drop the attempts rather
/// than settle them, so that nothing is held for what is not its fault.
///
/// ```
/// use fingerprint_quarantine::{FleetGuard, Hold, Quarantine};
///
/// let guard = FleetGuard { max_percent: 50, min_known: 4 };
/// let quarantine = Quarantine::<u32, u64>::new();
/// let known = 10;
/// for board in 0..known {
///     let Some(attempt) = quarantine.admit_stamped(&board, 1).go() else { continue };
///     // Counted with this one, before it is put on record.
///     if guard.is_fleet_wide(attempt.in_trouble(), known as usize) {
///         drop(attempt);
///     } else {
///         attempt.failed(&Hold::until_changed(), |_| 1);
///     }
/// }
/// assert_eq!(quarantine.len(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetGuard {
    /// Up to this share of the known things may be in trouble at a time.
    pub max_percent: u8,
    /// With fewer known things than this a share means nothing, and the guard never speaks up.
    pub min_known: usize,
}

// ===== impl FleetGuard =====

impl FleetGuard {
    /// Whether `in_trouble` of `known` things are too many to be a coincidence. Count the one that fails now in, as
    /// [`Attempt::in_trouble`](crate::Attempt::in_trouble) does: a guard that asks before it counts lets one more through than it says.
    ///
    /// One alone is never a fleet, whatever its share.
    ///
    /// ```
    /// # use fingerprint_quarantine::FleetGuard;
    /// let guard = FleetGuard { max_percent: 50, min_known: 2 };
    /// assert!(!guard.is_fleet_wide(5, 10), "half of them may fail");
    /// assert!(guard.is_fleet_wide(6, 10));
    /// assert!(guard.is_fleet_wide(2, 2) && !guard.is_fleet_wide(1, 1));
    /// ```
    #[must_use]
    pub const fn is_fleet_wide(&self, in_trouble: usize, known: usize) -> bool {
        // In 128 bits no count overflows.
        in_trouble > 1
            && known >= self.min_known
            && in_trouble as u128 * 100 > known as u128 * self.max_percent as u128
    }
}
