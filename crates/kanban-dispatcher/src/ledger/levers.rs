//! The operator's levers as the ledger keeps them: pauses, which hold until they are lifted, and requests, which are done once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior};

use super::whose::{Found, Whose};
use super::{Ledger, make};
use crate::levers::Pause;
use crate::root::{Board, Root, Slug};

/// Made with the rest of the ledger. The mark tells one ledger from another that took its place.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL);
INSERT OR IGNORE INTO mark VALUES (1, randomblob(16));
CREATE TABLE IF NOT EXISTS pauses (slug TEXT PRIMARY KEY, reason TEXT, since INTEGER NOT NULL, board TEXT);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, request TEXT NOT NULL, at INTEGER NOT NULL);
";

/// A lever waits longer for the dispatcher than the dispatcher for anybody.
const BUSY: Duration = Duration::from_secs(5);

/// Every paused board.
pub(crate) type Pauses = BTreeMap<Slug, Pause>;

/// The pauses as they were read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) pauses: Pauses,
    pub(crate) mark: Mark,
    /// Pauses of boards whose names belong to others now: they are over.
    pub(crate) ended: Vec<Slug>,
}

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
    /// SQLite's count of what other programs have written to the ledger, as this connection sees it; `None` without a ledger.
    pub(crate) fn version(&self) -> Option<i64> {
        self.with(|db| {
            let mut count = db.prepare_cached("PRAGMA data_version")?;
            count.query_row([], |row| row.get(0))
        })
    }

    /// The pauses, and which ledger they are from. Those of another ledger than the last one are told to it first: whoever deletes
    /// the ledger under us has resumed nothing. The pause of a board that was removed ends when another one has its name. `None` without a
    /// ledger, or when it cannot be read.
    pub(crate) fn pauses(&self, root: &Root, known: &Pauses, last: Option<&Mark>) -> Option<Read> {
        self.with(|db| {
            let mark: Mark = db.query_row("SELECT mark FROM mark", [], |row| row.get(0))?;
            if last.is_some_and(|last| *last != mark) {
                for (slug, pause) in known {
                    db.prepare_cached(
                        "INSERT OR IGNORE INTO pauses (slug, reason, since) VALUES (?1, ?2, ?3)",
                    )?
                    .execute((slug.as_str(), &pause.reason, pause.since))?;
                }
            }
            Ok(Read {
                ended: end_others(db, root)?,
                pauses: select_pauses(db)?,
                mark,
            })
        })
    }

    /// Takes the requests off the ledger. Done after that or not: what they ask to forget is in this process's memory, and ends with it.
    /// `None` without a ledger, or when it cannot be read.
    pub(crate) fn take_requests(&self) -> Option<Vec<(Slug, Request)>> {
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
        let requests = taken?.into_iter();
        let parsed = requests
            .filter_map(|(slug, request)| Some((slug.parse().ok()?, Request::parse(&request)?)));
        Some(parsed.collect())
    }
}

/// Ends the pauses of boards whose names belong to others now, and notes how the others are known.
fn end_others(db: &Connection, root: &Root) -> Result<Vec<Slug>> {
    let mut ended = Vec::new();
    for (slug, noted) in noted(db)? {
        let now = Whose::of(&root.board(&slug));
        let found = match noted.as_deref().and_then(Whose::parse) {
            Some(whose) => whose.compare(&now),
            None => Found::Same(now),
        };
        // Of this very row: an operator may have paused the new board meanwhile.
        match found {
            Found::Same(whose) => {
                let board = whose.to_text();
                if noted.as_ref() != Some(&board) {
                    let sql = "UPDATE pauses SET board = ?3 WHERE slug = ?1 AND board IS ?2";
                    db.execute(sql, (slug.as_str(), &noted, board))?;
                }
            }
            Found::Other => {
                let sql = "DELETE FROM pauses WHERE slug = ?1 AND board IS ?2";
                if db.execute(sql, (slug.as_str(), &noted))? > 0 {
                    ended.push(slug);
                }
            }
        }
    }
    Ok(ended)
}

/// The names of the paused boards, and what they are known by beside that.
fn noted(db: &Connection) -> Result<Vec<(Slug, Option<String>)>> {
    let rows = db
        .prepare_cached("SELECT slug, board FROM pauses")?
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?
        .collect::<Result<Vec<_>>>()?;
    let rows = rows.into_iter();
    Ok(rows
        .filter_map(|(slug, board)| Some((slug.parse().ok()?, board)))
        .collect())
}

/// The pauses as the next tick will find them; nothing is written.
pub(crate) fn read_pauses_of(db: &Connection, root: &Root) -> Result<Pauses> {
    let mut pauses = read_pauses(db)?;
    // A ledger that is older than that knows boards by their names alone.
    let noted = noted(db).unwrap_or_default();
    for (slug, whose) in noted {
        let whose = whose.as_deref().and_then(Whose::parse);
        let now = || Whose::of(&root.board(&slug));
        if whose.is_some_and(|whose| whose.compare(&now()) == Found::Other) {
            pauses.remove(&slug);
        }
    }
    Ok(pauses)
}

/// Whether a board is paused, as of this transaction.
pub(super) fn is_paused(db: &Connection, slug: &Slug) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM pauses WHERE slug = ?1")?
        .exists([slug.as_str()])
}

/// The paused boards; none in a ledger that is older than pauses.
pub(crate) fn read_pauses(db: &Connection) -> Result<Pauses> {
    match has_table(db, "pauses")? {
        true => select_pauses(db),
        false => Ok(Pauses::new()),
    }
}

/// A ledger that has lost its pauses is not the one that it was: by another mark, whoever knows them tells it. Part of its making.
pub(super) fn renounce(db: &Connection) -> Result<()> {
    if has_table(db, "mark")? && !has_table(db, "pauses")? {
        db.execute("DELETE FROM mark", [])?;
    }
    Ok(())
}

fn has_table(db: &Connection, name: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    db.prepare_cached(sql)?.exists([name])
}

/// The same where they must be there: a table that is gone has resumed nothing.
fn select_pauses(db: &Connection) -> Result<Pauses> {
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
    board: &Board,
    reason: Option<&str>,
    now: i64,
) -> Result<Pause> {
    let whose = Whose::of(board).to_text();
    db.query_row(
        "INSERT INTO pauses (slug, reason, since, board) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (slug) DO UPDATE SET \
         reason = COALESCE(excluded.reason, reason), board = excluded.board RETURNING reason, since",
        (board.slug().as_str(), reason, now, whose),
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
