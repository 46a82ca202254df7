//! Whether a key's own attempts change its stamp, and so would release it for ever.

/// After so many attempts that changed the stamp, a change is no reason any more.
const ROUNDS_MAX: u8 = 2;

/// The attempts after which the stamp was not what it had been before, up to the most that matter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disturbance(u8);

// ===== impl Disturbance =====

impl Disturbance {
    /// An attempt more; `changed` says whether the stamp is another one right after it.
    pub(crate) fn and(self, changed: bool) -> Self {
        // One that leaves it alone makes the key heed changes again, and the next that does not ends that: else attempts which write now
        // and then would have one more each time.
        Self(match changed {
            true => (self.0 + 1).min(ROUNDS_MAX),
            false => self.0.min(ROUNDS_MAX - 1),
        })
    }

    /// Whether to wait for the timer instead of a change.
    pub(crate) fn is_found(self) -> bool {
        self.0 >= ROUNDS_MAX
    }
}
