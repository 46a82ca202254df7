//! The dispatcher's own state, beside the boards and never in them: what must survive a restart, and what `status` shows.

mod beat;
pub(crate) mod breakers;
pub(crate) mod clocks;
pub(crate) mod levers;
pub(crate) mod publish;
mod rows;
pub(crate) mod whose;
mod workers;

use std::error::Error as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Result, TransactionBehavior};

pub(crate) use self::beat::{Beat, Pulse};
pub(crate) use self::clocks::Clocks;
use self::publish::Lines;
pub(crate) use self::rows::{BoardRow, DispatcherRow, read_boards, read_dispatcher};
pub(crate) use self::workers::{Recorded, read_workers};

use crate::board::{Txn, is_lull};
use crate::root::{Root, Slug};
use crate::worker::Adopted;

/// Everything in the ledger, as one script: it is made at once or not at all.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS dispatcher (
    id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL, pid INTEGER NOT NULL, start INTEGER NOT NULL,
    started_at INTEGER NOT NULL, last_tick INTEGER NOT NULL, interval_ms INTEGER NOT NULL,
    ticks INTEGER NOT NULL, usage TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS boards (
    slug TEXT PRIMARY KEY, outcome TEXT NOT NULL, class TEXT, code INTEGER, reason TEXT, missing TEXT, since INTEGER,
    next_retry INTEGER, repair_attempts INTEGER NOT NULL DEFAULT 0, last_tick INTEGER,
    ready INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0, held TEXT NOT NULL DEFAULT '{}',
    suppressed INTEGER NOT NULL DEFAULT 0, guarded INTEGER NOT NULL DEFAULT 0, risk TEXT,
    quiet INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS repairs (
    slug TEXT NOT NULL, missing TEXT NOT NULL, stamp TEXT NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY (slug, missing));
CREATE TABLE IF NOT EXISTS workers (
    slug TEXT NOT NULL, task TEXT NOT NULL, run INTEGER NOT NULL, pid INTEGER NOT NULL, start INTEGER NOT NULL,
    boot_id TEXT NOT NULL, PRIMARY KEY (slug, task, run));
CREATE TABLE IF NOT EXISTS at_gate (
    slug TEXT NOT NULL, task TEXT NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (slug, task, run));
";

/// How long a reader or writer of the ledger waits for another.
const BUSY: Duration = Duration::from_secs(1);

/// The ledger, or none when it cannot be used: then everything goes on without it, and it is tried again at each tick.
#[derive(Debug)]
pub(crate) struct Ledger {
    open: Mutex<Option<Open>>,
    /// It was there when the tick under way began: what that tick starts must be committed to it, also if it has failed since.
    is_needed: AtomicBool,
    /// What it failed with when it was closed last.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Open {
    db: Connection,
    /// Device and inode: a ledger that was deleted under us is nobody's ledger.
    file: (u64, u64),
}

/// What is known when a ledger is opened: its workers, and what the clocks showed at the last tick.
pub(crate) type Opened = (Vec<Adopted>, Option<Clocks>);

// ===== impl Ledger =====

impl Ledger {
    /// A ledger that is not open yet.
    pub(crate) const fn closed() -> Self {
        Self {
            open: Mutex::new(None),
            is_needed: AtomicBool::new(false),
            trouble: Mutex::new(None),
        }
    }

    /// A tick begins: whether its starts must be committed here.
    pub(crate) fn need(&self, is_needed: bool) {
        self.is_needed.store(is_needed, Ordering::Relaxed);
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.is_needed.load(Ordering::Relaxed)
    }

    /// What it failed with when it was closed last.
    pub(crate) fn trouble(&self) -> String {
        let trouble = self.trouble.lock();
        let trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        trouble.clone().unwrap_or_default()
    }

    /// Opens the ledger if it is not open, or if its file is no longer at its path; makes it if it is not there.
    ///
    /// Returns what it knows when it was opened by this call.
    pub(crate) fn open(&self, root: &Root) -> std::result::Result<Option<Opened>, crate::Error> {
        let path = root.ledger();
        let mut open = self.lock();
        if open
            .as_ref()
            .is_some_and(|open| Some(open.file) == file_id(&path))
        {
            return Ok(None);
        }
        *open = None;
        let failed = |error| {
            let what = format!("open the ledger {}", path.display());
            crate::Error::new(crate::ErrorKind::Sqlite, what).because(error)
        };
        let db = make(&path)?;
        let workers = read_workers(&db).map_err(failed)?;
        let clocks = clocks::read(&db).map_err(failed)?;
        let file = file_id(&path).unwrap_or_default();
        *open = Some(Open { db, file });
        Ok(Some((workers, clocks)))
    }

    /// Whether it takes a write now. Without a ledger everything goes on, unless it `is_needed`.
    pub(crate) fn is_writable(&self, is_needed: bool) -> bool {
        let write = |db: &mut Connection| {
            let tx = Txn::write(db)?;
            tx.prepare_cached("UPDATE dispatcher SET last_tick = last_tick")?
                .execute([])?;
            tx.commit()
        };
        self.attempt(write)
            .map_or(!is_needed, |result| result.is_ok())
    }

    /// Whether no other program has committed to it since it was at `version`, or is about to.
    pub(crate) fn is_lull(&self, version: i64) -> bool {
        let found = self.with(|db| {
            let found = is_lull(db, version, Duration::ZERO);
            db.busy_timeout(BUSY)?;
            found
        });
        found == Some(true)
    }

    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    /// Opens an existing ledger for reading; nothing is made.
    pub(crate) fn read(root: &Root) -> Result<Option<Connection>> {
        let path = root.ledger();
        if !path.exists() {
            return Ok(None);
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(Some(db))
    }

    /// Runs `f` on the open ledger; `None` without one, or when it fails.
    fn with<T>(&self, f: impl FnOnce(&mut Connection) -> Result<T>) -> Option<T> {
        self.attempt(f)?.ok()
    }

    /// The same, with the error. A failure closes the ledger, so that the next tick opens it afresh; but not a lock.
    fn attempt<T>(&self, f: impl FnOnce(&mut Connection) -> Result<T>) -> Option<Result<T>> {
        let mut open = self.lock();
        let result = f(&mut open.as_mut()?.db);
        if let Err(error) = &result {
            tracing::debug!(%error, "the ledger could not be used");
            if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) {
                *open = None;
                let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                *trouble = Some(error.to_string());
            }
        }
        Some(result)
    }

    /// Counts one more repair of this damage and says how many that makes; 1 without a ledger.
    ///
    /// The count starts anew when the file has changed since the last attempt.
    pub(crate) fn count_repair(&self, slug: &Slug, missing: &str, stamp: &str) -> i64 {
        self.with(|db| {
            db.query_row(
                "INSERT INTO repairs VALUES (?1, ?2, ?3, 1) ON CONFLICT (slug, missing) DO UPDATE SET \
                 attempts = CASE stamp WHEN excluded.stamp THEN attempts + 1 ELSE 1 END, stamp = excluded.stamp \
                 RETURNING attempts",
                (slug.as_str(), missing, stamp),
                |row| row.get(0),
            )
        })
        .unwrap_or(1)
    }

    /// Takes the count of a repair back that did not run.
    pub(crate) fn refund_repair(&self, slug: &Slug, missing: &str) {
        self.with(|db| {
            db.execute(
                "UPDATE repairs SET attempts = max(attempts - 1, 0) WHERE slug = ?1 AND missing = ?2",
                (slug.as_str(), missing),
            )
        });
    }

    /// The damage is healed: its count is over.
    pub(crate) fn forget_repair(&self, slug: &Slug, missing: &str) {
        self.with(|db| {
            db.execute(
                "DELETE FROM repairs WHERE slug = ?1 AND missing = ?2",
                (slug.as_str(), missing),
            )
        });
    }

    /// Drops what is kept about a board that was removed; its pause stays until another one has its name.
    pub(crate) fn forget_board(&self, slug: &Slug) {
        self.with(|db| {
            db.execute("DELETE FROM repairs WHERE slug = ?1", [slug.as_str()])?;
            db.execute("DELETE FROM breakers WHERE slug = ?1", [slug.as_str()])
        });
    }

    /// Writes what `status` shows, in one transaction.
    ///
    /// `None` without a ledger.
    pub(crate) fn publish(
        &self,
        dispatcher: &DispatcherRow,
        lines: &Lines<'_>,
        rows: impl Iterator<Item = BoardRow>,
        clocks: Option<Clocks>,
    ) -> Option<Result<()>> {
        self.attempt(|db| {
            let tx = Txn::write(db)?;
            if let Some(clocks) = clocks {
                clocks::note(&tx, clocks)?;
            }
            if lines.are_all {
                tx.execute("DELETE FROM boards", [])?;
            }
            for slug in lines.gone {
                tx.prepare_cached("DELETE FROM boards WHERE slug = ?1")?
                    .execute([slug.as_str()])?;
            }
            for marks in lines.marks {
                let suppressed = marks.suppressed.cast_signed();
                tx.prepare_cached(
                    "UPDATE boards SET guarded = ?2, risk = ?3, suppressed = ?4 WHERE slug = ?1",
                )?
                .execute((
                    marks.slug.as_str(),
                    marks.guarded,
                    marks.risk,
                    suppressed,
                ))?;
            }
            for row in rows {
                rows::insert(&tx, &row)?;
            }
            let row = dispatcher;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO dispatcher VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                &row.state,
                row.identity.pid,
                row.identity.start.cast_signed(),
                row.started_at,
                row.last_tick,
                u64::try_from(row.interval.as_millis())
                    .unwrap_or(u64::MAX)
                    .cast_signed(),
                row.ticks.cast_signed(),
                serde_json::to_string(&row.usage).unwrap_or_default(),
            ))?;
            tx.commit()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the file is a database and what is in it is not what it should be: it may hold pauses that cannot be read. That is not the
/// same as a ledger which cannot be had.
pub(crate) fn is_broken(error: &crate::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &rusqlite::Error| match cause.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch
        ),
        None => true,
    })
}

/// Whether there is such a table that has not all columns of today; `newest` is one that came last.
fn lacks_column(db: &Connection, table: &str, newest: &str) -> Result<bool> {
    let sql = "SELECT count(*) > 0 AND NOT max(name = ?2) FROM pragma_table_info(?1)";
    let lacks: Option<bool> = db.query_row(sql, [table, newest], |row| row.get(0))?;
    Ok(lacks == Some(true))
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

fn make(path: &Path) -> std::result::Result<Connection, crate::Error> {
    let failed = || format!("open the ledger {}", path.display());
    if let Some(dir) = path.parent() {
        // Only below an existing `kanban/`: the caller holds the lock file there.
        std::fs::create_dir_all(dir).map_err(|error| crate::Error::io(failed(), error))?;
    }
    let open = || -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(BUSY)?;
        db.set_prepared_statement_cache_capacity(64);
        // NORMAL: a commit survives a killed process, and after a power failure every identity in here is void anyway.
        db.execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL;")?;
        // From the start: one that reads first and writes then is refused at once when another writes, however long it would wait.
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Of an earlier version: they are filled anew at each tick.
        for (table, newest) in [("boards", "quiet"), ("dispatcher", "usage")] {
            if lacks_column(&tx, table, newest)? {
                tx.execute_batch(&format!("DROP TABLE {table}"))?;
            }
        }
        levers::renounce(&tx)?;
        tx.execute_batch(SCHEMA)?;
        tx.execute_batch(levers::SCHEMA)?;
        tx.execute_batch(breakers::SCHEMA)?;
        tx.execute_batch(whose::SCHEMA)?;
        tx.execute_batch(clocks::SCHEMA)?;
        for table in ["pauses", "breakers"] {
            if lacks_column(&tx, table, "board")? {
                tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN board TEXT"))?;
            }
        }
        whose::settle(&tx, path)?;
        tx.commit()?;
        Ok(db)
    };
    open().map_err(|error| crate::Error::new(crate::ErrorKind::Sqlite, failed()).because(error))
}
