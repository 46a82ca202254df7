//! Mending: the one repair of a drifted schema, and what every repair has to ask first.

use fingerprint_quarantine::FileState;
use once_per_key_repair::{Permit, Turn};

use super::Tick;
use super::guard::file_id;
use super::state::BoardState;
use crate::board::{self, Drift, RepairKey, drift, init_lock, repair};
use crate::config::Scope;
use crate::error::{Error, ErrorKind};
use crate::lock::FileLock;
use crate::resilience::{self, Reaction};

/// A repair's place in the gate.
type Once = once_per_key_repair::Handle<RepairKey>;

/// What came of a drift that was found.
#[derive(Debug)]
pub(super) enum Mended {
    /// What was wrong is made good; what was made.
    Repaired(Vec<String>),
    /// The schema lacks nothing (any more).
    Complete,
    /// A look at the file does not confirm what the error says.
    NotNeeded,
    /// The one turn for it is over.
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
        return Ok(Mended::Complete);
    }
    let missing = Drift::list(&lacks);
    let once = once(tick, state, &missing);
    let Some(turn) = enter(tick, state, &once, &missing, || Error::drift(&lacks))? else {
        return Ok(Mended::Spent);
    };
    let limit = tick.config.repair.deadline_seconds;
    state.repair_attempts += 1;
    let db = state.open_unchecked(tick)?;
    let cut = board::limit(db, &site.clock, limit)?;
    let result = turn.permit.run(|token| {
        tracing::debug!(board = %token.key().slug, %missing, "repair begins");
        repair(token, db, tick.now)
    });
    board::lift(db)?;
    drop(turn.lock);
    match result {
        Ok(made) => {
            site.ledger.forget_repair(&once.key().slug, &missing);
            let made: Vec<String> = made.iter().map(ToString::to_string).collect();
            if made.is_empty() {
                // Another program was at it, and had only just begun the board: that was no repair.
                state.repair_attempts -= 1;
            } else {
                tracing::info!(board = %once.key().slug, repaired = %made.join(", "), "board repaired");
            }
            Ok(Mended::Repaired(made))
        }
        Err(_) if cut.happened() => {
            let what = format!("its repair was cut after {limit:?}");
            Err(Error::drift(&lacks).note(what))
        }
        Err(error) => {
            let verdict = resilience::classify(&state.board, &error);
            if resilience::is_in_the_way(verdict.class()) {
                give_back(tick, state, &once, &missing);
                return Err(error);
            }
            match resilience::reaction(&verdict) {
                Reaction::Hold | Reaction::Repair => Err(error),
                // The content or the schema refuses it, and would again: still drift, with the reason behind it.
                Reaction::Leave | Reaction::Reopen => Err(Error::drift(&lacks).because(error)),
            }
        }
    }
}

/// One turn to repair, and the lock under which it is done.
pub(super) struct RepairTurn<'h> {
    pub(super) permit: Permit<'h, RepairKey>,
    pub(super) lock: FileLock,
}

/// The place of the one turn to repair what is `missing`.
pub(super) fn once(tick: &Tick, state: &mut BoardState, missing: &str) -> Once {
    let slug = state.board.slug().clone();
    let key = match tick.config.repair.scope {
        Scope::Drift => RepairKey {
            slug,
            file: file_id(FileState::of(state.board.db())),
            missing: missing.to_owned(),
        },
        Scope::Board => RepairKey {
            slug,
            file: (0, 0),
            missing: String::new(),
        },
    };
    let resilience = &tick.site.resilience;
    state.handles(resilience).once(&resilience.gate, &key)
}

/// Asks for that turn; `None` when it is over.
///
/// # Errors
/// `failure` once so many repairs have failed over all restarts; or that somebody is at it now.
pub(super) fn enter<'h>(
    tick: &Tick,
    state: &BoardState,
    once: &'h Once,
    missing: &str,
    failure: impl FnOnce() -> Error,
) -> Result<Option<RepairTurn<'h>>, Error> {
    let site = &*tick.site;
    let slug = state.board.slug();
    let permit = match once.enter() {
        Turn::Yours(permit) => permit,
        Turn::Spent(_) => return Ok(None),
        Turn::InFlight(_) => return Err(busy("another thread repairs it")),
    };
    let lock = match init_lock(&state.board, tick.config.busy_timeout_ms) {
        Ok(lock) => lock,
        Err(error) => {
            permit.forfeit();
            return Err(error);
        }
    };
    let attempts = site.ledger.count_repair(slug, missing, &state.stamp_text());
    if attempts > i64::from(tick.config.repair.attempts_max.get()) {
        site.ledger.refund_repair(slug, missing);
        permit.forfeit();
        return Err(failure().note(format!("{} repairs of it have failed", attempts - 1)));
    }
    Ok(Some(RepairTurn { permit, lock }))
}

/// A lock, a full disk: that was no attempt.
pub(super) fn give_back(tick: &Tick, state: &mut BoardState, once: &Once, missing: &str) {
    state.repair_attempts -= 1;
    tick.site.ledger.refund_repair(&once.key().slug, missing);
    let _ = once.rearm();
}

fn busy(why: &str) -> Error {
    Error::new(ErrorKind::Busy, format!("repair the schema: {why}"))
}
