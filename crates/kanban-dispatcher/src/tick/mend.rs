//! Mending: the one repair of a drifted schema, and the second opinion on damage.

use error_classify::quick_check;
use once_per_key_repair::Turn;

use super::Tick;
use super::state::BoardState;
use crate::board::{Drift, RepairKey, drift, init_lock, open_read_only, repair};
use crate::config::Scope;
use crate::error::{Error, ErrorKind};
use crate::resilience::{self, Reaction};
use crate::root::Board;

/// What came of a drift that was found.
#[derive(Debug)]
pub(super) enum Mended {
    /// The schema is complete; what was made.
    Repaired(Vec<String>),
    /// The schema lacks nothing of the format: what the error misses is somebody else's.
    NotDrift,
    /// The one turn for this drift is over.
    Spent,
}

/// Repairs the board's schema, if it is this process's turn.
///
/// # Errors
/// Why the repair failed, or could not be tried now.
pub(super) fn repair_schema(tick: &Tick, state: &mut BoardState) -> Result<Mended, Error> {
    let site = &*tick.site;
    // Confirmed on the schema itself: an error's text is only a hint.
    let lacks = drift(state.open_unchecked(tick)?)?;
    if lacks.is_empty() {
        return Ok(Mended::NotDrift);
    }
    let missing = Drift::list(&lacks);
    let slug = state.board.slug().clone();
    let key = match tick.config.repair.scope {
        Scope::Drift => RepairKey {
            slug,
            file: state.file_id(),
            missing: missing.clone(),
        },
        Scope::Board => RepairKey {
            slug,
            file: (0, 0),
            missing: String::new(),
        },
    };
    // What was repaired in a file that has been replaced is over; its inode number may be given to the next one.
    site.resilience
        .gate
        .retain(|other| other.slug != key.slug || other.file == key.file);
    let permit = match site.resilience.gate.enter(&key) {
        Turn::Yours(permit) => permit,
        Turn::Spent(_) => return Ok(Mended::Spent),
        Turn::InFlight(_) => return Err(busy("another thread repairs it")),
    };
    let lock = match init_lock(&state.board, tick.config.busy_timeout_ms) {
        Ok(lock) => lock,
        Err(error) => {
            permit.forfeit();
            return Err(error);
        }
    };
    let attempts = site
        .ledger
        .count_repair(&key.slug, &missing, &state.stamp_text());
    if attempts > i64::from(tick.config.repair.attempts_max.get()) {
        site.ledger.refund_repair(&key.slug, &missing);
        permit.forfeit();
        return Err(
            Error::drift(&lacks).note(format!("{} repairs of it have failed", attempts - 1))
        );
    }
    let db = state.open_unchecked(tick)?;
    let result = permit.run(|token| repair(token, db, tick.now));
    drop(lock);
    match result {
        Ok(made) => {
            site.ledger.forget_repair(&key.slug, &missing);
            let made: Vec<String> = made.iter().map(ToString::to_string).collect();
            // Nothing is made where another program was at it, and had only just begun the board: that was no repair.
            if !made.is_empty() {
                state.repair_attempts += 1;
                tracing::info!(board = %key.slug, repaired = %made.join(", "), "board repaired");
            }
            Ok(Mended::Repaired(made))
        }
        Err(error) => {
            let verdict = resilience::classify(&state.board, &error);
            if resilience::is_in_the_way(verdict.class()) {
                // A lock, a full disk: that was no attempt.
                site.ledger.refund_repair(&key.slug, &missing);
                let _ = site.resilience.gate.rearm(&key);
                return Err(error);
            }
            state.repair_attempts += 1;
            match resilience::reaction(&verdict) {
                Reaction::Hold | Reaction::Repair => Err(error),
                // The content or the schema refuses it, and would again: still drift, with the reason behind it.
                Reaction::Leave | Reaction::Reopen => Err(Error::drift(&lacks).because(error)),
            }
        }
    }
}

/// Whether an independent, read-only look at the file confirms that it is damaged.
pub(super) fn is_damaged(board: &Board) -> bool {
    let look = || -> rusqlite::Result<Option<String>> { quick_check(&open_read_only(board.db())?) };
    match look() {
        Ok(damage) => damage.is_some(),
        Err(error) => {
            let error = Error::from(error);
            resilience::reaction(&resilience::classify(board, &error)) == Reaction::Hold
        }
    }
}

fn busy(why: &str) -> Error {
    Error::new(ErrorKind::Busy, format!("repair the schema: {why}"))
}
