//! What both clocks showed at the last tick: so the next dispatcher knows of a wall clock that was set while none ran.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result};

use crate::clock::Clock;
use crate::worker::identity::place;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS clocks (
    id INTEGER PRIMARY KEY CHECK (id = 1), wall INTEGER NOT NULL, steady_ms INTEGER NOT NULL, place TEXT NOT NULL);
";

/// One look at both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// Unix seconds.
    pub(crate) wall: i64,
    /// Since the start of the machine.
    pub(crate) steady: Duration,
}

// ===== impl Clocks =====

impl Clocks {
    pub(crate) fn now(clock: &Clock) -> Option<Self> {
        Some(Self {
            wall: clock.unix(),
            steady: clock.steady()?,
        })
    }

    /// How long ago (seconds) something was, at most, that a row says was at `at`, if that was before this look.
    ///
    /// By the row's time up to this look, and by the steady clock since then: the wall clock may have been set in between.
    pub(crate) fn ago_at_most(&self, at: i64, now: Duration) -> i64 {
        let since = now.saturating_sub(self.steady).as_secs();
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        since.saturating_add(self.wall.saturating_sub(at).max(0))
    }
}

pub(super) fn note(db: &Connection, clocks: Clocks) -> Result<()> {
    let steady = i64::try_from(clocks.steady.as_millis()).unwrap_or(i64::MAX);
    db.prepare_cached("INSERT OR REPLACE INTO clocks VALUES (1, ?1, ?2, ?3)")?
        .execute((clocks.wall, steady, place()))?;
    Ok(())
}

/// What was noted last; of another boot, or in another time namespace, it means nothing.
pub(super) fn read(db: &Connection) -> Result<Option<Clocks>> {
    let sql = "SELECT wall, steady_ms FROM clocks WHERE place = ?1";
    db.query_row(sql, [place()], |row| {
        let steady: i64 = row.get(1)?;
        Ok(Clocks {
            wall: row.get(0)?,
            steady: Duration::from_millis(steady.unsigned_abs()),
        })
    })
    .optional()
}
