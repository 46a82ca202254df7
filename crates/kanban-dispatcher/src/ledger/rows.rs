//! What `status` shows, as rows.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result};

use super::Beat;
use crate::usage::Usage;
use crate::worker::identity::Identity;

/// One board's line in the ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct BoardRow {
    pub(crate) slug: String,
    pub(crate) outcome: String,
    pub(crate) class: Option<String>,
    pub(crate) code: Option<i32>,
    pub(crate) reason: Option<String>,
    pub(crate) missing: Option<String>,
    pub(crate) since: Option<i64>,
    pub(crate) next_retry: Option<i64>,
    pub(crate) repair_attempts: i64,
    pub(crate) last_tick: Option<i64>,
    pub(crate) ready: u32,
    pub(crate) running: u32,
    pub(crate) held: String,
    pub(crate) suppressed: u64,
    pub(crate) guarded: bool,
    pub(crate) risk: Option<String>,
    /// Nothing is to be done for it: the passes since its last turn were turns without an effect.
    pub(crate) quiet: bool,
}

/// The dispatcher's own line.
#[derive(Debug, Clone)]
pub(crate) struct DispatcherRow {
    pub(crate) state: String,
    pub(crate) identity: Identity,
    pub(crate) started_at: i64,
    pub(crate) last_tick: i64,
    pub(crate) interval: Duration,
    /// Passes over all boards since it started.
    pub(crate) ticks: u64,
    pub(crate) usage: Usage,
}

// ===== impl DispatcherRow =====

impl DispatcherRow {
    /// Takes over what its dispatcher has noted since beside the ledger.
    pub(crate) fn follow(&mut self, beat: Beat) {
        // By the count of passes: the wall clock may have been set back in between.
        let is_its = beat.identity == self.identity && beat.started_at == self.started_at;
        if is_its && beat.ticks > self.ticks {
            self.last_tick = beat.at;
            self.ticks = beat.ticks;
        }
    }
}

/// The dispatcher's line, as another process reads it.
pub(crate) fn read_dispatcher(db: &Connection) -> Result<Option<DispatcherRow>> {
    db.query_row(
        "SELECT state, pid, start, started_at, last_tick, interval_ms, ticks, usage FROM dispatcher",
        [],
        |row| {
            let start = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(DispatcherRow {
                state: row.get(0)?,
                identity: Identity {
                    pid: row.get(1)?,
                    start,
                },
                started_at: row.get(3)?,
                last_tick: row.get(4)?,
                interval: Duration::from_millis(row.get::<_, i64>(5)?.cast_unsigned()),
                ticks: row.get::<_, i64>(6)?.cast_unsigned(),
                usage: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default(),
            })
        },
    )
    .optional()
}

/// The boards' lines, as another process reads them.
pub(crate) fn read_boards(db: &Connection) -> Result<Vec<BoardRow>> {
    db.prepare(
        "SELECT slug, outcome, class, code, reason, missing, since, next_retry, repair_attempts, last_tick, ready, \
         running, held, suppressed, guarded, risk, quiet FROM boards ORDER BY slug <> 'default', slug",
    )?
    .query_map([], |row| {
        Ok(BoardRow {
            slug: row.get(0)?,
            outcome: row.get(1)?,
            class: row.get(2)?,
            code: row.get(3)?,
            reason: row.get(4)?,
            missing: row.get(5)?,
            since: row.get(6)?,
            next_retry: row.get(7)?,
            repair_attempts: row.get(8)?,
            last_tick: row.get(9)?,
            ready: row.get(10)?,
            running: row.get(11)?,
            held: row.get(12)?,
            suppressed: row.get::<_, i64>(13)?.cast_unsigned(),
            guarded: row.get(14)?,
            risk: row.get(15)?,
            quiet: row.get(16)?,
        })
    })?
    .collect()
}

pub(super) fn insert(db: &Connection, row: &BoardRow) -> Result<usize> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO boards VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(rusqlite::params![
        row.slug, row.outcome, row.class, row.code, row.reason, row.missing, row.since, row.next_retry,
        row.repair_attempts, row.last_tick, row.ready, row.running, row.held, row.suppressed.cast_signed(),
        row.guarded, row.risk, row.quiet,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_pass_of_the_same_dispatcher_is_followed() {
        let identity = Identity { pid: 7, start: 70 };
        let row = DispatcherRow {
            state: "serving".to_owned(),
            identity,
            started_at: 1,
            last_tick: 100,
            interval: Duration::from_secs(1),
            ticks: 10,
            usage: Usage::default(),
        };
        let after = |identity: Identity, started_at: i64, at: i64, ticks: u64| {
            let mut row = row.clone();
            row.follow(Beat {
                identity,
                started_at,
                at,
                ticks,
            });
            (row.last_tick, row.ticks)
        };
        assert_eq!(after(identity, 1, 105, 11), (105, 11));
        assert_eq!(after(identity, 1, 50, 11), (50, 11));
        assert_eq!(after(identity, 1, 105, 10), (100, 10));
        assert_eq!(after(identity, 2, 105, 11), (100, 10));
        assert_eq!(after(Identity { pid: 8, start: 70 }, 1, 105, 11), (100, 10));
        assert_eq!(after(Identity { pid: 7, start: 71 }, 1, 105, 11), (100, 10));
    }
}
