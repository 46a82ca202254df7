//! Boards that rest because their workers die at the start: kept, so that a restart does not try them all again.

use std::collections::HashMap;

use rusqlite::{Connection, Result};

use super::Ledger;
use crate::root::Slug;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS breakers (
    slug TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL, round INTEGER NOT NULL,
    next_retry INTEGER NOT NULL);
";

/// One board's rest. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerRow {
    pub(crate) reason: String,
    pub(crate) since: i64,
    pub(crate) round: u32,
    pub(crate) next_retry: i64,
}

impl Ledger {
    /// Writes how a board rests; `None` when it does not any more.
    pub(crate) fn keep_breaker(&self, slug: &Slug, row: Option<&BreakerRow>) {
        self.with(|db| match row {
            Some(row) => db.execute(
                "INSERT OR REPLACE INTO breakers VALUES (?1, ?2, ?3, ?4, ?5)",
                (
                    slug.as_str(),
                    &row.reason,
                    row.since,
                    row.round,
                    row.next_retry,
                ),
            ),
            None => db.execute("DELETE FROM breakers WHERE slug = ?1", [slug.as_str()]),
        });
    }

    /// How boards rest; empty without a ledger.
    pub(crate) fn breakers(&self) -> HashMap<Slug, BreakerRow> {
        self.with(|db| read_breakers(db)).unwrap_or_default()
    }
}

/// How boards rest, by name; empty in a ledger that is older than this.
pub(crate) fn read_breakers(db: &Connection) -> Result<HashMap<Slug, BreakerRow>> {
    let is_there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'breakers'";
    if !db.prepare_cached(is_there)?.exists([])? {
        return Ok(HashMap::new());
    }
    let rows = db
        .prepare_cached("SELECT slug, reason, since, round, next_retry FROM breakers")?
        .query_map([], |row| {
            let slug: String = row.get(0)?;
            let row = BreakerRow {
                reason: row.get(1)?,
                since: row.get(2)?,
                round: row.get(3)?,
                next_retry: row.get(4)?,
            };
            Ok(slug.parse().ok().map(|slug: Slug| (slug, row)))
        })?
        .collect::<Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().collect())
}
