//! Boards that rest because their workers die at the start: kept, so that a restart does not try them all again.

use std::collections::HashMap;

use rusqlite::{Connection, Result};

use super::Ledger;
use super::whose::{Found, Whose};
use crate::root::{Root, Slug};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS breakers (
    slug TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL, round INTEGER NOT NULL,
    next_retry INTEGER NOT NULL, board TEXT);
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
    pub(crate) fn keep_breaker(&self, root: &Root, slug: &Slug, row: Option<&BreakerRow>) {
        self.with(|db| match row {
            Some(row) => db.execute(
                "INSERT OR REPLACE INTO breakers (slug, reason, since, round, next_retry, board) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    slug.as_str(),
                    &row.reason,
                    row.since,
                    row.round,
                    row.next_retry,
                    Whose::of(&root.board(slug)).to_text(),
                ),
            ),
            None => db.execute("DELETE FROM breakers WHERE slug = ?1", [slug.as_str()]),
        });
    }

    /// How boards rest; empty without a ledger. The rest of a board whose name belongs to another one now is over.
    pub(crate) fn breakers(&self, root: &Root) -> HashMap<Slug, BreakerRow> {
        let read = self.with(|db| {
            let mut rows = read_breakers(db)?;
            for slug in others(db, root)? {
                db.execute("DELETE FROM breakers WHERE slug = ?1", [slug.as_str()])?;
                rows.remove(&slug);
            }
            Ok(rows)
        });
        read.unwrap_or_default()
    }
}

/// How boards rest, as the next dispatcher will find them; nothing is written.
pub(crate) fn read_breakers_of(db: &Connection, root: &Root) -> Result<HashMap<Slug, BreakerRow>> {
    let mut rows = read_breakers(db)?;
    // A ledger that is older than that knows boards by their names alone.
    for slug in others(db, root).unwrap_or_default() {
        rows.remove(&slug);
    }
    Ok(rows)
}

/// The boards at rest whose names belong to others now.
fn others(db: &Connection, root: &Root) -> Result<Vec<Slug>> {
    let rows = db
        .prepare_cached("SELECT slug, board FROM breakers WHERE board IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, String)>>>()?;
    let is_other = |(slug, noted): &(Slug, String)| {
        let now = Whose::of(&root.board(slug));
        Whose::parse(noted).is_some_and(|noted| noted.compare(&now) == Found::Other)
    };
    let rows = rows.into_iter();
    Ok(rows
        .filter_map(|(slug, noted)| Some((slug.parse().ok()?, noted)))
        .filter(is_other)
        .map(|(slug, _)| slug)
        .collect())
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
