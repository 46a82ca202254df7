//! Whether a turn has seen all that was committed while it was under way.

use rusqlite::{ErrorCode, Result};

/// A turn that came in the middle of a commit is had again before the next pass, but not for ever: somebody may only keep the lock.
const UNSURE_TURNS: u32 = 4;

/// What a board's last turn may not have seen, and nothing will tell of again.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// So many turns in a row could not tell, because somebody was about to commit.
    unsure: u32,
    /// The last one was one of them.
    is_unsure: bool,
    /// Somebody has committed meanwhile.
    is_overtaken: bool,
}

// ===== impl Missed =====

impl Missed {
    pub(super) fn begin_tick(&mut self) {
        (self.is_unsure, self.is_overtaken) = (false, false);
    }

    /// What a turn has found when it asked whether nobody has committed.
    pub(super) fn note(&mut self, is_lull: &Result<bool>) {
        let is_busy =
            |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
        self.is_unsure = is_lull.as_ref().is_err_and(is_busy);
        self.unsure = if self.is_unsure { self.unsure + 1 } else { 0 };
        self.is_overtaken = matches!(is_lull, Ok(false));
    }

    /// Whether another turn is wanted soon.
    pub(super) fn is_any(&self) -> bool {
        self.is_overtaken || (self.is_unsure && self.unsure <= UNSURE_TURNS)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn busy() -> Result<bool> {
        let error = ffi::Error::new(ffi::SQLITE_BUSY);
        Err(rusqlite::Error::SqliteFailure(error, None))
    }

    #[test]
    fn only_the_last_turn_says_that_another_one_is_wanted_soon() {
        let mut missed = Missed::default();
        for _ in 0..UNSURE_TURNS {
            missed.note(&busy());
            assert!(missed.is_any());
            // The tick lock is another program's, and the turn ends before anything is asked.
            missed.begin_tick();
            assert!(!missed.is_any());
        }
        missed.note(&busy());
        assert!(!missed.is_any(), "somebody only keeps the lock");
        missed.note(&Ok(false));
        assert!(missed.is_any());
        missed.note(&Ok(true));
        assert!(!missed.is_any());
        missed.note(&busy());
        assert!(missed.is_any(), "somebody else, from the start");
        missed.note(&Err(rusqlite::Error::InvalidQuery));
        assert!(!missed.is_any());
    }
}
