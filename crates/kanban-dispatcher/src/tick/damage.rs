//! Damage: the second opinion on it, the one repair of damaged indexes, and the look at healthy boards now and then.

use std::error::Error as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use error_classify::classify;
use rusqlite::ffi;

use super::Tick;
use super::mend::{self, Mended};
use super::state::BoardState;
use crate::board::{
    self, FileHealth, Left, file_health, first_damage, open_existing, open_read_only,
    rebuild_indexes,
};
use crate::error::{Error, ErrorKind};
use crate::evidence::{self, Copy};
use crate::resilience::{self, Reaction};

/// An error says that the file is damaged: an independent look confirms it, and rebuilds what can be rebuilt.
///
/// # Errors
/// [`ErrorKind::Damaged`] for confirmed damage that stays; or why it cannot be repaired now.
pub(super) fn repair(tick: &Tick, state: &mut BoardState, error: &Error) -> Result<Mended, Error> {
    let limit = tick.config.repair.deadline_seconds;
    let look = || -> rusqlite::Result<FileHealth> {
        let mut db = open_read_only(state.board.db())?;
        board::limit(&mut db, &tick.site.clock, limit)?;
        file_health(&db)
    };
    let (what, names) = match look() {
        Ok(FileHealth::Sound) => return Ok(Mended::NotNeeded),
        Ok(FileHealth::Damaged(what)) => (what, None),
        Ok(FileHealth::Indexes { what, names }) => (what, Some(names)),
        Err(other) => {
            let other = Error::from(other);
            match resilience::reaction(&resilience::classify(&state.board, &other)) {
                Reaction::Hold => (other.chain(), None),
                _ => return Ok(Mended::NotNeeded),
            }
        }
    };
    // Also because a copy is made below: no connection of ours is open meanwhile.
    state.close(&tick.site);
    let db = state.board.db().to_owned();
    let damaged = |told: &str| damaged(&db, error, &what, told);
    let Some(names) = names else {
        let told = keep(tick, state).map_or_else(|why| why, |copy| told(&copy));
        return Err(damaged(&told));
    };
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    let missing = format!("sound index {}", list.join(", "));
    // Before the turn is taken: without a copy nothing is touched.
    let copy = match keep(tick, state) {
        Ok(copy) => copy,
        Err(why) => return Err(damaged(&format!("{why}, so its indexes are not rebuilt"))),
    };
    let once = mend::once(tick, state, &missing);
    let failure = || damaged(&told(&copy));
    let Some(turn) = mend::enter(tick, state, &once, &missing, failure)? else {
        let told = format!(
            "the one try to rebuild its indexes is over; {}",
            told(&copy)
        );
        return Err(damaged(&told));
    };
    let mut db = match open_existing(state.board.db(), tick.config.busy_timeout_ms) {
        Ok(db) => db,
        Err(error) => {
            turn.permit.forfeit();
            tick.site.ledger.refund_repair(&once.key().slug, &missing);
            return Err(error.into());
        }
    };
    let cut = board::limit(&mut db, &tick.site.clock, limit)?;
    state.repair_attempts += 1;
    let result = turn.permit.run(|token| {
        tracing::debug!(board = %token.key().slug, %missing, "repair begins");
        rebuild_indexes(token, &mut db, &names)
    });
    drop((db, turn.lock));
    match result {
        Ok(left) => {
            tick.site.ledger.forget_repair(&once.key().slug, &missing);
            let made: Vec<String> = list.iter().map(|name| format!("index {name}")).collect();
            let lost_pages = left == Left::LostPages;
            tracing::info!(
                board = %once.key().slug, repaired = %made.join(", "), copy = %copy.path.display(), lost_pages,
                "board repaired: {what}"
            );
            Ok(Mended::Repaired(made))
        }
        Err(error) => {
            let class = resilience::classify(&state.board, &error).class();
            if resilience::is_in_the_way(class) && !cut.happened() {
                mend::give_back(tick, state, &once, &missing);
                return Err(error);
            }
            let why = match cut.happened() {
                true => format!("that was cut after {limit:?}"),
                false => error.chain(),
            };
            let told = format!("its indexes could not be rebuilt: {why}; {}", told(&copy));
            Err(damaged(&told))
        }
    }
}

impl Tick {
    /// Of so many boards a few are looked through in one tick, so that each has its turn within the interval.
    pub(crate) fn share_checks(&self, boards: usize) {
        let interval = self.config.check.interval_seconds;
        if self.is_early || interval.is_zero() {
            return;
        }
        let ticks = interval.div_duration_f64(self.config.dispatch_interval_seconds);
        let share = (boards as f64 / ticks.max(1.0)).ceil();
        self.checks.store(share as usize, Ordering::Relaxed);
    }

    /// Takes one of them.
    fn takes_check(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.checks.fetch_update(set, get, take).is_ok()
    }
}

/// Whether this board is to be looked through now: its time has come, and no other board's look has taken this tick's; or its file has
/// become shorter, which no program does to a board but by rewriting it; or it must be.
pub(super) fn is_check_due(tick: &Tick, state: &mut BoardState) -> bool {
    let is_wanted = std::mem::take(&mut state.must_check) || state.has_shrunk();
    let interval = tick.config.check.interval_seconds;
    if interval.is_zero() {
        return is_wanted;
    }
    let spread = interval.mul_f64(share(state.board.slug().as_str()));
    let first = tick.monotonic.saturating_add(spread);
    // Never further off than the interval, which may have become shorter.
    let next = state.next_check.unwrap_or(first);
    let next = next.min(tick.monotonic.saturating_add(interval));
    state.next_check = Some(next);
    let is_its_time = next <= tick.monotonic && tick.takes_check();
    if is_its_time || is_wanted {
        state.next_check = Some(tick.monotonic.saturating_add(interval));
    }
    is_its_time || is_wanted
}

/// Looks through the board's file.
///
/// On the connection that is open anyway: one more would keep a descriptor for each board, which SQLite cannot close as long as the
/// other one has its lock. Whatever is found is confirmed on an independent one.
///
/// # Errors
/// What is damaged, as a query would say it that met it. A look that cannot be made is none.
pub(super) fn check(tick: &Tick, state: &mut BoardState) -> Result<(), Error> {
    let limit = tick.config.check.deadline_seconds;
    let slug = state.board.slug().clone();
    let db = state.open_unchecked(tick)?;
    board::limit(db, &tick.site.clock, limit)?;
    // Read anew from the disk, not from memory.
    let found = db
        .execute_batch("PRAGMA shrink_memory")
        .and_then(|()| first_damage(db));
    board::lift(db)?;
    match found {
        Ok(None) => Ok(()),
        Ok(Some(what)) => {
            let code = ffi::Error::new(ffi::SQLITE_CORRUPT);
            Err(rusqlite::Error::SqliteFailure(code, Some(what)).into())
        }
        Err(error) => {
            tracing::debug!(board = %slug, %error, "board could not be looked through");
            Ok(())
        }
    }
}

/// Where between 0 and 1 a board's first look is: always the same for one board, and spread over all of them.
fn share(slug: &str) -> f64 {
    // FNV-1a.
    let hash = slug.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    f64::from(hash) / f64::from(u32::MAX)
}

/// The copy of the damage; made once for each state of the files.
fn keep(tick: &Tick, state: &mut BoardState) -> Result<Copy, String> {
    let stamp = state.stamp_text();
    if let Some((known, copy)) = &state.evidence
        && *known == stamp
        && copy.path.exists()
    {
        return Ok(copy.clone());
    }
    let copy = evidence::keep(state.board.db(), &tick.config.evidence)
        .map_err(|why| format!("no copy of it is kept: {why}"))?;
    state.evidence = Some((stamp, copy.clone()));
    Ok(copy)
}

fn told(copy: &Copy) -> String {
    let path = copy.path.display();
    match &copy.header {
        Some(header) => format!("{header}; a copy is kept at {path}"),
        None => format!("a copy is kept at {path}"),
    }
}

/// Confirmed damage, with the way out of it.
fn damaged(db: &Path, error: &Error, what: &str, told: &str) -> Error {
    let db = db.display();
    let code = classify(error).code().unwrap_or(ffi::SQLITE_CORRUPT);
    let source = rusqlite::Error::SqliteFailure(
        ffi::Error::new(code),
        error.source().map(ToString::to_string),
    );
    let what = format!(
        "use {db}: it is damaged: {what}; {told}; restore a backup, or what it holds with `sqlite3 {db} .recover`"
    );
    Error::new(ErrorKind::Damaged, what).because(source)
}
