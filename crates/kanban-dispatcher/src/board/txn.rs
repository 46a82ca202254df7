//! Transactions whose BEGIN and COMMIT are prepared once for a connection, like every other statement of a turn.

use std::ops::Deref;

use rusqlite::{Connection, ErrorCode, Result};

/// An open transaction; dropped without a commit it is rolled back.
#[derive(Debug)]
pub(crate) struct Txn<'a> {
    db: &'a Connection,
    is_synced: bool,
}

// ===== impl Txn =====

impl<'a> Txn<'a> {
    /// For reading: one moment of the board. Only one at a time, which the caller sees to.
    pub(super) fn read(db: &'a Connection) -> Result<Self> {
        run(db, "BEGIN DEFERRED")?;
        Ok(Self {
            db,
            is_synced: true,
        })
    }

    /// For writing: the write lock is held from here on.
    pub(crate) fn write(db: &'a mut Connection) -> Result<Self> {
        run(db, "BEGIN IMMEDIATE")?;
        Ok(Self {
            db,
            is_synced: true,
        })
    }

    /// [`write`](Self::write) whose commit is synced in any case: somebody is about to act on it.
    pub(super) fn write_synced(db: &'a mut Connection) -> Result<Self> {
        sync_fully(db)?;
        Self::write(db)
    }

    /// [`write`](Self::write) on a board, for what may be lost in a power failure until this connection's next commit, whose sync takes
    /// it along. Never on the ledger, which has another level.
    pub(super) fn write_unsynced(db: &'a mut Connection) -> Result<Self> {
        if !has_log(db)? {
            // Any other journal is synced at each commit, and is less safe at a lower level.
            return Self::write(db);
        }
        // Before the level is another: whatever fails from here on, the drop sees to it.
        let tx = Self {
            db,
            is_synced: false,
        };
        tx.execute_batch("PRAGMA synchronous = NORMAL")?;
        run(tx.db, "BEGIN IMMEDIATE")?;
        Ok(tx)
    }

    /// What fails to be committed is rolled back; only the level of the next one may fail after that.
    pub(crate) fn commit(mut self) -> Result<()> {
        run(self.db, "COMMIT")?;
        self.sync_from_now_on()
    }

    /// Undoes everything, and says so if it cannot.
    pub(super) fn rollback(self) -> Result<()> {
        run(self.db, "ROLLBACK")
    }

    fn sync_from_now_on(&mut self) -> Result<()> {
        if !self.is_synced {
            sync_fully(self.db)?;
            self.is_synced = true;
        }
        Ok(())
    }
}

impl Deref for Txn<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.db
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        if !self.db.is_autocommit() {
            // What cannot be rolled back now is when the connection is closed.
            let _ = run(self.db, "ROLLBACK");
        }
        // Where that fails too, `write_synced` asks for it again before anything is acted on.
        let _ = self.sync_from_now_on();
    }
}

/// How a change is made inside a transaction of the caller's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// By itself. If its row refuses, that is an error.
    Bare,
    /// In a savepoint, which keeps aside each page that is changed. If its row refuses, it costs the other changes nothing.
    InSavepoint,
}

impl Change {
    /// Makes one change. `None`: its row refused. After any error the whole transaction is to be given up.
    pub(super) fn run<T>(
        self,
        db: &Connection,
        task: &str,
        change: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<Option<T>> {
        if matches!(self, Self::Bare) {
            return change(db).map(Some);
        }
        run(db, "SAVEPOINT change")?;
        match change(db) {
            Ok(done) => run(db, "RELEASE change").map(|()| Some(done)),
            // A trigger may also have rolled back everything: then there is no transaction left to go on in.
            Err(error) if is_refusal(&error) && !db.is_autocommit() => {
                tracing::debug!(task, %error, "a row refused its change");
                run(db, "ROLLBACK TO change")?;
                run(db, "RELEASE change").map(|()| None)
            }
            Err(error) => Err(error),
        }
    }
}

/// A trigger or a constraint protects the row, or a claim changed something else than its one row.
pub(super) fn is_refusal(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::StatementChangedRows(_))
        || error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// What every board is opened with. Not cached: the pragma acts when it is compiled, and a cached statement would do nothing.
fn sync_fully(db: &Connection) -> Result<()> {
    db.execute_batch("PRAGMA synchronous = FULL")
}

fn has_log(db: &Connection) -> Result<bool> {
    let mut statement = db.prepare_cached("PRAGMA journal_mode")?;
    let mode: String = statement.query_row([], |row| row.get(0))?;
    Ok(mode == "wal")
}

fn run(db: &Connection, sql: &str) -> Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Store;
    use crate::clock::Clock;
    use crate::root::{Root, Slug};

    #[test]
    fn only_what_is_in_a_log_waits_for_a_later_sync()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        for (mode, level) in [("wal", 1), ("delete", 2)] {
            let dir = tempfile::tempdir()?;
            let board = Root::at(dir.path()).board(&Slug::default());
            let mut store = Store::init(&board, &Clock::system())?;
            store.db.pragma_update(None, "journal_mode", mode)?;
            let tx = Txn::write_unsynced(&mut store.db)?;
            let found: i64 = tx.pragma_query_value(None, "synchronous", |row| row.get(0))?;
            assert_eq!(found, level, "{mode}");
        }
        Ok(())
    }
}
