//! Whether a key's own attempts change its stamp, and so would release it for ever.
//!
//! One that was looked at right after the attempt is judged by that. For any other, the first look since the failure has to do: if it
//! finds a change, that may as well have been a writer, so it takes more of those.

/// After so many attempts in a row that were seen to change the stamp themselves, a change is no reason any more.
const DISTURBED_ROUNDS_MAX: u8 = 2;
/// The same where nobody looked right after the attempt, so that it may as well have been a writer.
const SUSPECT_ROUNDS_MAX: u8 = 4;

/// Whether attempts at this key change its stamp.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disturbance {
    /// Attempts in a row after which the stamp had changed.
    rounds: u8,
    /// Whether the last failure has been counted in `rounds`, by looking right after it or at the first look since.
    judged: bool,
    /// Whether a change is no reason any more.
    found: bool,
}

// ===== impl Disturbance =====

impl Disturbance {
    /// An attempt has failed; `disturbed` says whether the stamp had changed right after it, if somebody looked.
    pub(crate) fn failed(&mut self, disturbed: Option<bool>) {
        self.judged = false;
        match disturbed {
            Some(changed) => self.judge(changed, DISTURBED_ROUNDS_MAX),
            // One look is due, so that a key which has become quiet is believed again.
            None if self.found => {
                self.found = false;
                self.rounds = SUSPECT_ROUNDS_MAX - 1;
            }
            None => {}
        }
    }

    /// A look before the next attempt.
    pub(crate) fn looked(&mut self, changed: bool) {
        if !self.judged {
            self.judge(changed, SUSPECT_ROUNDS_MAX);
        }
    }

    /// Whether to wait for the timer instead of a change.
    pub(crate) fn is_found(self) -> bool {
        self.found
    }

    fn judge(&mut self, changed: bool, rounds_max: u8) {
        self.judged = true;
        self.rounds = if changed {
            self.rounds.saturating_add(1)
        } else {
            0
        };
        self.found = self.rounds >= rounds_max;
    }
}
