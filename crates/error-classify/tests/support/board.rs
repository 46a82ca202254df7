//! A board, and SQLite's refusal to open it.

#![allow(dead_code, reason = "every test binary takes its own part of this")]

use std::error::Error;
use std::path::{Path, PathBuf};

use error_classify::{Class, PathFacts, Remedy, Verdict, classify};
use rusqlite::{Connection, OpenFlags};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

pub(crate) const EXISTING: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;

/// A board in WAL mode, as its last user left it.
pub(crate) fn board(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("board.db");
    let db = Connection::open_with_flags(&path, EXISTING | OpenFlags::SQLITE_OPEN_CREATE)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.execute_batch("CREATE TABLE tasks(id)")?;
    drop(db);
    Ok(path)
}

pub(crate) fn read(path: &Path) -> rusqlite::Result<i64> {
    let db = Connection::open_with_flags(path, EXISTING)?;
    db.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))
}

/// What `refine` makes of the failure to read the board, if SQLite says no more than CANTOPEN.
pub(crate) fn cannot_open(path: &Path) -> Result<Verdict<'static>> {
    let error = read(path).err().ok_or("it could be read")?;
    let facts = PathFacts::of(path);
    let verdict = classify(&error);
    assert_eq!(
        (verdict.class(), verdict.code()),
        (Class::CannotOpen, Some(14)),
        "{error}"
    );
    Ok(facts.refine(verdict).into_owned())
}

pub(crate) fn told(verdict: &Verdict<'_>) -> (Class, Remedy, &'static str, Option<i32>) {
    (
        verdict.class(),
        verdict.remedy(),
        verdict.rule(),
        verdict.code(),
    )
}
