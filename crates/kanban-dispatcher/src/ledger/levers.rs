//! The operator's levers as the ledger keeps them: pauses, which hold until they are lifted, and requests, which are done once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior};

use super::{Ledger, make};
use crate::levers::Pause;
use crate::root::{Root, Slug};

/// Made with the rest of the ledger. The mark tells one ledger from another that took its place.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL);
INSERT OR IGNORE INTO mark VALUES (1, randomblob(16));
CREATE TABLE IF NOT EXISTS pauses (slug TEXT PRIMARY KEY, reason TEXT, since INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, request TEXT NOT NULL, at INTEGER NOT NULL);
";

/// A lever waits longer for the dispatcher than the dispatcher for anybody.
const BUSY: Duration = Duration::from_secs(5);

/// Every paused board.
pub(crate) type Pauses = BTreeMap<Slug, Pause>;

/// Which ledger something was read from.
pub(crate) type Mark = Vec<u8>;

/// What an operator asks for once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Look at the board again, whatever it is held by.
    Release,
    /// One more repair is allowed.
    Repair,
}

// ===== impl Request =====

impl Request {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Repair => "repair",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Release, Self::Repair]
            .into_iter()
            .find(|request| request.as_str() == text)
    }
}

// ===== the dispatcher's side =====

impl Ledger {
    /// The pauses, and which ledger they are from. Those of another ledger than the last one are told to it first: whoever deletes
    /// the ledger under us has resumed nothing. `None` without a ledger, or when it cannot be read.
    pub(crate) fn pauses(&self, known: &Pauses, last: Option<&Mark>) -> Option<(Pauses, Mark)> {
        self.with(|db| {
            let mark: Mark = db.query_row("SELECT mark FROM mark", [], |row| row.get(0))?;
            if last.is_some_and(|last| *last != mark) {
                for (slug, pause) in known {
                    db.prepare_cached("INSERT OR IGNORE INTO pauses VALUES (?1, ?2, ?3)")?
                        .execute((slug.as_str(), &pause.reason, pause.since))?;
                }
            }
            Ok((read_pauses(db)?, mark))
        })
    }

    /// Takes the requests off the ledger. Done after that or not: what they ask to forget is in this process's memory, and ends with it.
    pub(crate) fn take_requests(&self) -> Vec<(Slug, Request)> {
        let taken = self.with(|db| {
            // Mostly there is none, and then nothing is written.
            let any = db
                .prepare_cached("SELECT 1 FROM requests LIMIT 1")?
                .exists([])?;
            if !any {
                return Ok(Vec::new());
            }
            db.prepare_cached("DELETE FROM requests RETURNING slug, request")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(String, String)>>>()
        });
        taken
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(slug, request)| Some((slug.parse().ok()?, Request::parse(&request)?)))
            .collect()
    }
}

/// Whether a board is paused, as of this transaction.
pub(super) fn is_paused(db: &Connection, slug: &Slug) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM pauses WHERE slug = ?1")?
        .exists([slug.as_str()])
}

/// The paused boards; none in a ledger that is older than pauses.
pub(crate) fn read_pauses(db: &Connection) -> Result<Pauses> {
    let is_there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'pauses'";
    if !db.prepare_cached(is_there)?.exists([])? {
        return Ok(Pauses::new());
    }
    let rows = db
        .prepare_cached("SELECT slug, reason, since FROM pauses")?
        .query_map([], |row| {
            let slug: String = row.get(0)?;
            let (reason, since) = (row.get(1)?, row.get(2)?);
            Ok(slug
                .parse()
                .ok()
                .map(|slug: Slug| (slug, Pause { reason, since })))
        })?
        .collect::<Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().collect())
}

// ===== the operator's side =====

/// The ledger as a lever opens it; made if it is not there.
pub(crate) fn open(root: &Root) -> std::result::Result<Connection, crate::Error> {
    let path = root.ledger();
    let db = make(&path)?;
    db.busy_timeout(BUSY)
        .map_err(|error| failed(&path, error))?;
    Ok(db)
}

/// Commits a pause, and says what is in force. A board that is paused stays so since then; a new reason takes the place of the old one.
pub(crate) fn pause(
    db: &mut Connection,
    slug: &Slug,
    reason: Option<&str>,
    now: i64,
) -> Result<Pause> {
    db.query_row(
        "INSERT INTO pauses VALUES (?1, ?2, ?3) ON CONFLICT (slug) DO UPDATE SET \
         reason = COALESCE(excluded.reason, reason) RETURNING reason, since",
        (slug.as_str(), reason, now),
        |row| {
            Ok(Pause {
                reason: row.get(0)?,
                since: row.get(1)?,
            })
        },
    )
}

/// Lifts a pause; the one that was in force, if any.
pub(crate) fn resume(db: &mut Connection, slug: &Slug) -> Result<Option<Pause>> {
    let sql = "DELETE FROM pauses WHERE slug = ?1 RETURNING reason, since";
    db.query_row(sql, [slug.as_str()], |row| {
        Ok(Pause {
            reason: row.get(0)?,
            since: row.get(1)?,
        })
    })
    .optional()
}

/// Commits a request; one that is waiting already is enough. A repair's count over restarts is forgotten with it.
pub(crate) fn request(db: &mut Connection, slug: &Slug, request: Request, now: i64) -> Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if request == Request::Repair {
        tx.execute("DELETE FROM repairs WHERE slug = ?1", [slug.as_str()])?;
    }
    tx.execute(
        "INSERT INTO requests (slug, request, at) SELECT ?1, ?2, ?3 \
         WHERE NOT EXISTS (SELECT 1 FROM requests WHERE slug = ?1 AND request = ?2)",
        (slug.as_str(), request.as_str(), now),
    )?;
    tx.commit()
}

fn failed(path: &Path, error: rusqlite::Error) -> crate::Error {
    let what = format!("open the ledger {}", path.display());
    crate::Error::new(crate::ErrorKind::Sqlite, what).because(error)
}
