//! The one place that makes or repairs a schema. It takes a [`Token`], and only the once-gate hands those out.

use once_per_key_repair::Token;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::schema::{self, BASE_INDEXES, Drift, LATE_INDEXES, TABLES, Table};
use super::version::refuse_newer;
use crate::error::Error;
use crate::root::Slug;

/// What "once" is counted by: this drift of this database file of this board.
///
/// The file's identity is part of the key, so an older backup restored under a running daemon is healed too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepairKey {
    /// The board.
    pub slug: Slug,
    /// Device and inode of the database file; zeros when the scope is the board.
    pub file: (u64, u64),
    /// What is missing; empty when the scope is the board.
    pub missing: String,
}

/// Makes what a board's file lacks of the format, in the peer's order, in one transaction: a repair that cannot succeed writes
/// nothing.
///
/// It adds to a board and never begins one. A file without tables is what is left when a board's log is deleted, and a schema
/// made there would hide the loss behind an empty, healthy board; [`Store::init`](crate::Store::init) makes new boards.
///
/// # Errors
/// [`ErrorKind::Drift`](crate::ErrorKind::Drift) when what is missing is no addition, or is still missing afterwards, naming it;
/// [`ErrorKind::Sqlite`](crate::ErrorKind::Sqlite) for anything else. The file is then as it was.
///
/// # Examples
/// A repair cannot be called without a permit:
/// ```compile_fail,E0061
/// # fn example(db: &mut rusqlite::Connection) {
/// kanban_dispatcher::repair(db, 0);
/// # }
/// ```
/// With one, it runs once:
/// ```
/// use kanban_dispatcher::{Clock, RepairKey, Root, Slug, Store, repair};
/// use once_per_key_repair::{RepairGate, Turn};
/// use rusqlite::{Connection, OpenFlags};
///
/// let dir = tempfile::tempdir()?;
/// let board = Root::at(dir.path()).board(&Slug::default());
/// Store::init(&board, &Clock::system())?;
/// let mut db = Connection::open_with_flags(board.db(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
/// db.execute_batch("ALTER TABLE tasks DROP COLUMN skills")?;
///
/// let gate = RepairGate::new();
/// let key = RepairKey { slug: Slug::default(), file: (0, 0), missing: "column tasks.skills".into() };
/// let Turn::Yours(permit) = gate.enter(&key) else { unreachable!() };
/// let made = permit.run(|token| repair(token, &mut db, 1_000))?;
/// assert_eq!(made.len(), 1);
/// assert_eq!(made[0].to_string(), "column tasks.skills");
/// assert!(!matches!(gate.enter(&key), Turn::Yours(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(
    clippy::needless_pass_by_value,
    reason = "a token is spent by the repair it allows"
)]
pub fn repair(
    token: Token<'_, RepairKey>,
    db: &mut Connection,
    now: i64,
) -> Result<Vec<Drift>, Error> {
    let slug = &token.key().slug;
    migrate(db, Start::Board, now).map_err(|error| error.on(slug))
}

/// The same for a file that the caller has just made, under the init lock: all of the schema, if it has no table yet.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a token is spent by the schema it allows"
)]
pub(crate) fn create(
    token: Token<'_, RepairKey>,
    db: &mut Connection,
    now: i64,
) -> Result<Vec<Drift>, Error> {
    let slug = &token.key().slug;
    migrate(db, Start::NewFile, now).map_err(|error| error.on(slug))
}

/// What a migration starts from.
#[derive(Clone, Copy)]
enum Start {
    /// A file that had no content before us.
    NewFile,
    /// A board, whose content is all there.
    Board,
}

fn migrate(db: &mut Connection, start: Start, now: i64) -> Result<Vec<Drift>, Error> {
    // A spilled page would reach the WAL before the commit, and a rolled-back repair must leave no trace.
    db.pragma_update(None, "cache_spill", false)?;
    // IMMEDIATE: of several processes that open one old board, one migrates and the others find it done.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another program may have brought it to a later version meanwhile.
    refuse_newer(&tx)?;
    let lacks = schema::drift(&tx)?;
    if lacks.is_empty() {
        return Ok(lacks);
    }
    match (start, has_no_schema(&tx)?) {
        (Start::NewFile, true) => {}
        (Start::Board, true) => {
            let note =
                "no table is there; restore a backup, or remove the file if it never was a board";
            return Err(Error::drift(&lacks).note(note));
        }
        // Also in a new file by now, from a program that did not wait for the init lock.
        (_, false) => refuse_loss(&lacks)?,
    }
    make_tables(&tx)?;
    add_columns(&tx)?;
    make_indexes(&tx, LATE_INDEXES)?;
    open_missing_runs(&tx, now)?;
    rename_old_events(&tx)?;
    for table in TABLES {
        if lacks
            .iter()
            .any(|lack| matches!(lack, Drift::Shape { table: t, .. } if *t == table.name))
        {
            rebuild(&tx, table)?;
        }
    }
    refuse_loss(&schema::drift(&tx)?)?;
    tx.commit()?;
    Ok(lacks)
}

fn has_no_schema(tx: &Transaction<'_>) -> rusqlite::Result<bool> {
    tx.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| row.get(0),
    )
}

fn refuse_loss(lacks: &[Drift]) -> Result<(), Error> {
    let lost: Vec<Drift> = lacks
        .iter()
        .filter(|lack| {
            matches!(
                lack,
                Drift::Table {
                    repairable: false,
                    ..
                } | Drift::Column {
                    repairable: false,
                    ..
                }
            )
        })
        .cloned()
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::drift(&lost).note("a repair cannot make it again; restore a backup"))
}

fn make_tables(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in TABLES {
        tx.execute_batch(&create_sql(table, table.name))?;
    }
    make_indexes(tx, BASE_INDEXES)
}

fn create_sql(table: &Table, name: &str) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.decl))
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {name} ({}{})",
        columns.join(", "),
        table.constraint
    )
}

fn make_indexes(tx: &Transaction<'_>, indexes: &[(&str, &str)]) -> rusqlite::Result<()> {
    for (name, on) in indexes {
        tx.execute_batch(&format!("CREATE INDEX IF NOT EXISTS {name} ON {on}"))?;
    }
    Ok(())
}

/// Old names of two counters; their values move to the new columns when these are added.
const RENAMED: &[(&str, &str)] = &[
    ("consecutive_failures", "spawn_failures"),
    ("last_failure_error", "last_spawn_error"),
];

fn add_columns(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in TABLES {
        let present = schema::columns(tx, table.name)?;
        for column in table.columns.iter().filter(|column| column.additive) {
            if present.contains(column.name) {
                continue;
            }
            let (table, name, decl) = (table.name, column.name, column.decl);
            tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {name} {decl}"))?;
            let old = RENAMED
                .iter()
                .find(|(new, _)| *new == name)
                .map(|(_, old)| old);
            if let Some(old) = old.filter(|old| present.contains(**old)) {
                let value = if decl.contains("NOT NULL") {
                    format!("COALESCE({old}, 0)")
                } else {
                    (*old).to_owned()
                };
                tx.execute_batch(&format!("UPDATE {table} SET {name} = {value}"))?;
            }
        }
    }
    Ok(())
}

/// A running task that points at no run gets its newest open one back, or else a new one copied from the task, so that its end
/// can be recorded.
///
/// The open one first: its worker may be alive, and knows itself by that run's number.
fn open_missing_runs(tx: &Transaction<'_>, now: i64) -> rusqlite::Result<()> {
    const POINT_AT_OPEN_RUNS: &str = "UPDATE tasks SET current_run_id = \
         (SELECT max(r.id) FROM task_runs r WHERE r.task_id = tasks.id AND r.ended_at IS NULL) \
         WHERE status = 'running' AND current_run_id IS NULL";
    tx.execute(POINT_AT_OPEN_RUNS, [])?;
    tx.execute(
        "INSERT INTO task_runs (task_id, profile, step_key, status, claim_lock, claim_expires, worker_pid, \
         max_runtime_seconds, last_heartbeat_at, started_at) \
         SELECT id, assignee, current_step_key, 'running', claim_lock, claim_expires, worker_pid, \
         max_runtime_seconds, last_heartbeat_at, COALESCE(started_at, ?1) FROM tasks \
         WHERE status = 'running' AND current_run_id IS NULL AND id IS NOT NULL",
        [now],
    )?;
    tx.execute(POINT_AT_OPEN_RUNS, [])?;
    Ok(())
}

fn rename_old_events(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (old, new) in [
        ("ready", "promoted"),
        ("priority", "reprioritized"),
        ("spawn_auto_blocked", "gave_up"),
    ] {
        tx.execute(
            "UPDATE task_events SET kind = ?2 WHERE kind = ?1",
            (old, new),
        )?;
    }
    Ok(())
}

/// Renames the table, makes it anew and copies the shared columns; ids that were no integers are given anew, in order.
fn rebuild(tx: &Transaction<'_>, table: &Table) -> rusqlite::Result<()> {
    let (name, old) = (table.name, format!("{}_before_rebuild", table.name));
    let present = schema::columns(tx, name)?;
    tx.execute_batch(&format!("ALTER TABLE {name} RENAME TO {old}"))?;
    tx.execute_batch(&create_sql(table, name))?;
    let shared: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name)
        .filter(|column| *column != "id" && present.contains(*column))
        .collect();
    let values: Vec<String> = shared
        .iter()
        .map(|column| match *column {
            "last_event_id" => "CAST(COALESCE(last_event_id, 0) AS INTEGER)".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    tx.execute_batch(&format!(
        "INSERT INTO {name} ({}) SELECT {} FROM {old} ORDER BY rowid; DROP TABLE {old}",
        shared.join(", "),
        values.join(", ")
    ))?;
    make_indexes(tx, BASE_INDEXES)?;
    make_indexes(tx, LATE_INDEXES)
}
