//! The dispatcher's own state, beside the boards and never in them: what must survive a restart, and what `status` shows.

pub(crate) mod breakers;
pub(crate) mod levers;
pub(crate) mod publish;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Result, TransactionBehavior};

use crate::root::{Root, Slug};
use crate::worker::identity::{self, Identity, Place, place};
use crate::worker::{Adopted, Sight};

/// Everything in the ledger, as one script: it is made at once or not at all.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS dispatcher (
    id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL, pid INTEGER NOT NULL, start INTEGER NOT NULL,
    started_at INTEGER NOT NULL, last_tick INTEGER NOT NULL, interval_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS boards (
    slug TEXT PRIMARY KEY, outcome TEXT NOT NULL, class TEXT, code INTEGER, reason TEXT, missing TEXT, since INTEGER,
    next_retry INTEGER, repair_attempts INTEGER NOT NULL DEFAULT 0, last_tick INTEGER,
    ready INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0, held TEXT NOT NULL DEFAULT '{}',
    suppressed INTEGER NOT NULL DEFAULT 0, guarded INTEGER NOT NULL DEFAULT 0, risk TEXT);
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
}

#[derive(Debug)]
struct Open {
    db: Connection,
    /// Device and inode: a ledger that was deleted under us is nobody's ledger.
    file: (u64, u64),
}

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
}

/// The dispatcher's own line.
#[derive(Debug, Clone)]
pub(crate) struct DispatcherRow {
    pub(crate) state: String,
    pub(crate) identity: Identity,
    pub(crate) started_at: i64,
    pub(crate) last_tick: i64,
    pub(crate) interval: Duration,
}

/// What became of identities that were to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// They are known now, or there is no ledger to tell.
    Done,
    /// The board is paused: nobody starts.
    Paused,
    /// The ledger takes no write.
    Refused,
}

// ===== impl Ledger =====

impl Ledger {
    /// A ledger that is not open yet.
    pub(crate) const fn closed() -> Self {
        Self {
            open: Mutex::new(None),
        }
    }

    /// Opens the ledger if it is not open, or if its file is no longer at its path; makes it if it is not there.
    ///
    /// Returns the workers it knows when it was opened by this call.
    pub(crate) fn open(
        &self,
        root: &Root,
    ) -> std::result::Result<Option<Vec<Adopted>>, crate::Error> {
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
        let file = file_id(&path).unwrap_or_default();
        *open = Some(Open { db, file });
        Ok(Some(workers))
    }

    /// Whether it takes a write now. True without a ledger: then everything goes on without it.
    pub(crate) fn is_writable(&self) -> bool {
        let write = |db: &mut Connection| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute("UPDATE dispatcher SET last_tick = last_tick", [])?;
            tx.commit()
        };
        self.attempt(write).is_none_or(|result| result.is_ok())
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
            }
        }
        Some(result)
    }

    /// Commits who these processes are. Whether it is done; without a ledger there is nothing to do.
    pub(crate) fn record_workers(&self, workers: &[Adopted]) -> bool {
        self.record(workers, None) == Recorded::Done
    }

    /// The same for workers that are about to start on this board, unless it is paused: one transaction, so a start and a pause are
    /// committed one after the other, and none after the pause.
    pub(crate) fn record_starts(&self, slug: &Slug, workers: &[Adopted]) -> Recorded {
        self.record(workers, Some(slug))
    }

    fn record(&self, workers: &[Adopted], unless_paused: Option<&Slug>) -> Recorded {
        let is_open = self.lock().is_some();
        let written = self.with(|db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(slug) = unless_paused
                && levers::is_paused(&tx, slug)?
            {
                return Ok(Recorded::Paused);
            }
            let place = place();
            for Adopted {
                slug,
                task,
                run,
                identity,
                sight,
            } in workers
            {
                if matches!(sight, Sight::Elsewhere | Sight::OtherBoot) {
                    // What is known of it was written where it could be seen.
                    continue;
                }
                let at_gate = match sight {
                    Sight::AtGate => "INSERT OR REPLACE INTO at_gate VALUES (?1, ?2, ?3)",
                    _ => "DELETE FROM at_gate WHERE slug = ?1 AND task = ?2 AND run = ?3",
                };
                tx.prepare_cached(at_gate)?
                    .execute((slug.as_str(), task, run))?;
                let start = identity.start.cast_signed();
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO workers VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((
                    slug.as_str(),
                    task,
                    run,
                    identity.pid,
                    start,
                    &place,
                ))?;
            }
            tx.commit()?;
            Ok(Recorded::Done)
        });
        match written {
            None if is_open => Recorded::Refused,
            written => written.unwrap_or(Recorded::Done),
        }
    }

    /// Their gates were opened: from here on an end is theirs.
    pub(crate) fn passed_gate(&self, workers: &[(Slug, String, i64)]) {
        self.delete_from(&["at_gate"], workers);
    }

    pub(crate) fn forget_workers(&self, ended: &[(Slug, String, i64)]) {
        self.delete_from(&["workers", "at_gate"], ended);
    }

    fn delete_from(&self, tables: &[&str], workers: &[(Slug, String, i64)]) {
        if workers.is_empty() {
            return;
        }
        self.with(|db| {
            let tx = db.transaction()?;
            for table in tables {
                let sql = format!("DELETE FROM {table} WHERE slug = ?1 AND task = ?2 AND run = ?3");
                for (slug, task, run) in workers {
                    tx.prepare_cached(&sql)?
                        .execute((slug.as_str(), task, run))?;
                }
            }
            tx.commit()
        });
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

    /// Writes what `status` shows, in one transaction; `keep_others` leaves the rows of boards that are not among `rows`.
    ///
    /// `None` without a ledger.
    pub(crate) fn publish(
        &self,
        dispatcher: &DispatcherRow,
        rows: &[BoardRow],
        keep_others: bool,
    ) -> Option<Result<()>> {
        self.attempt(|db| {
            let tx = db.transaction()?;
            if !keep_others {
                tx.execute("DELETE FROM boards", [])?;
            }
            for row in rows {
                insert(&tx, row)?;
            }
            let row = dispatcher;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO dispatcher VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
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
            ))?;
            tx.commit()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The workers of an earlier dispatcher. Those of an earlier boot are certainly gone: their pids mean nothing now.
pub(crate) fn read_workers(db: &Connection) -> Result<Vec<Adopted>> {
    let here = place();
    db.prepare(
        "SELECT slug, task, run, pid, start, boot_id, (slug, task, run) IN (SELECT slug, task, run FROM at_gate) \
         FROM workers",
    )?
    .query_map([], |row| {
        let slug: String = row.get(0)?;
        let mut identity = Identity {
            pid: row.get(3)?,
            start: row.get::<_, i64>(4)?.cast_unsigned(),
        };
        let (place, at_gate): (String, bool) = (row.get(5)?, row.get(6)?);
        let mut sight = if at_gate { Sight::AtGate } else { Sight::Passed };
        match identity::compare(&place, &here) {
            Place::Same => {}
            Place::OtherNamespace => sight = Sight::Elsewhere,
            Place::OtherBoot => {
                sight = Sight::OtherBoot;
                // No process of this boot has started then.
                identity.start = u64::MAX;
            }
        }
        let (task, run) = (row.get(1)?, row.get(2)?);
        Ok(slug.parse().ok().map(|slug| Adopted {
            slug,
            task,
            run,
            identity,
            sight,
        }))
    })?
    .filter_map(Result::transpose)
    .collect()
}

/// The dispatcher's line, as another process reads it.
pub(crate) fn read_dispatcher(db: &Connection) -> Result<Option<DispatcherRow>> {
    db.query_row(
        "SELECT state, pid, start, started_at, last_tick, interval_ms FROM dispatcher",
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
            })
        },
    )
    .optional()
}

/// The boards' lines, as another process reads them.
pub(crate) fn read_boards(db: &Connection) -> Result<Vec<BoardRow>> {
    db.prepare(
        "SELECT slug, outcome, class, code, reason, missing, since, next_retry, repair_attempts, last_tick, ready, \
         running, held, suppressed, guarded, risk FROM boards ORDER BY slug <> 'default', slug",
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
        })
    })?
    .collect()
}

fn insert(db: &Connection, row: &BoardRow) -> Result<usize> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO boards VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(rusqlite::params![
        row.slug, row.outcome, row.class, row.code, row.reason, row.missing, row.since, row.next_retry,
        row.repair_attempts, row.last_tick, row.ready, row.running, row.held, row.suppressed.cast_signed(),
        row.guarded, row.risk,
    ])
}

/// Whether there is a table of boards that has not all columns of today.
fn lacks_columns(db: &Connection) -> Result<bool> {
    let sql = "SELECT count(*) > 0 AND NOT max(name = 'risk') FROM pragma_table_info('boards')";
    Ok(db.query_row(sql, [], |row| row.get::<_, Option<bool>>(0))? == Some(true))
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
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
        // NORMAL: a commit survives a killed process, and after a power failure every identity in here is void anyway.
        db.execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL;")?;
        // From the start: one that reads first and writes then is refused at once when another writes, however long it would wait.
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if lacks_columns(&tx)? {
            // Of an earlier version: it is filled anew at each tick.
            tx.execute_batch("DROP TABLE boards")?;
        }
        tx.execute_batch(SCHEMA)?;
        tx.execute_batch(levers::SCHEMA)?;
        tx.execute_batch(breakers::SCHEMA)?;
        tx.commit()?;
        Ok(db)
    };
    open().map_err(|error| crate::Error::new(crate::ErrorKind::Sqlite, failed()).because(error))
}
