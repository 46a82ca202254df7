//! Opening a board: existing files only, without leaving a trace when we close.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result};

/// Opens the database at `path` if it exists; looking never creates a board.
///
/// Every connection has "no checkpoint on close" set: closing the last connection would otherwise move the WAL into the main
/// file, which lifts a quarantine by our own failed visit and unlinks the WAL under a peer whose locks are gone.
/// The other settings are the peer's own, so that a page looks the same whoever wrote it.
pub(crate) fn open_existing(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    open(path, busy_timeout, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Makes the file; only `init` does this.
pub(crate) fn open_or_create(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = open(path, busy_timeout, flags)?;
    // Persistent, so only a new file needs it; an existing one is opened otherwise and keeps the mode it has.
    db.pragma_update(None, "journal_mode", "wal")?;
    Ok(db)
}

/// A look from the side, for a second opinion: a connection of its own that cannot write.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}

fn open(path: &Path, busy_timeout: Duration, flags: OpenFlags) -> Result<Connection> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Otherwise SQLite looks at what is bound when it plans, and prepares a statement anew for every other value: one in three of a claim's.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.busy_timeout(busy_timeout)?;
    // More than a tick and the verbs prepare together: a tick prepares nothing twice.
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=100; PRAGMA foreign_keys=ON; \
         PRAGMA secure_delete=ON; PRAGMA cell_size_check=ON;",
    )?;
    Ok(db)
}
