//! Whether a key's own attempts change its stamp, and so would release it for ever.

/// After so many attempts in a row that changed the stamp, a change is no reason any more.
const ROUNDS_MAX: u8 = 2;

/// The attempts in a row after which the stamp was not what it had been before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disturbance(u8);

// ===== impl Disturbance =====

impl Disturbance {
    /// An attempt more; `changed` says whether the stamp is another one right after it.
    pub(crate) fn and(self, changed: bool) -> Self {
        Self(if changed { self.0.saturating_add(1) } else { 0 })
    }

    /// Whether to wait for the timer instead of a change.
    pub(crate) fn is_found(self) -> bool {
        self.0 >= ROUNDS_MAX
    }
}
