//! The one place that makes or repairs a schema. It takes a [`Token`], and only the once-gate hands those out.

use once_per_key_repair::Token;
use rusqlite::{Connection, Result, Transaction, TransactionBehavior};

use super::schema::{self, BASE_INDEXES, Drift, LATE_INDEXES, TABLES, Table};
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

/// Makes what the file lacks of the format, in the peer's order, in one transaction: a repair that cannot succeed writes nothing.
///
/// # Errors
/// [`ErrorKind::Drift`] when something is still missing afterwards, naming it; [`ErrorKind::Sqlite`] for anything else. The file is
/// then as it was.
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
/// use kanban_dispatcher::{RepairKey, Slug, repair};
/// use once_per_key_repair::{RepairGate, Turn};
///
/// let gate = RepairGate::new();
/// let key = RepairKey { slug: Slug::default(), file: (0, 0), missing: String::new() };
/// let mut db = rusqlite::Connection::open_in_memory()?;
/// let Turn::Yours(permit) = gate.enter(&key) else { unreachable!() };
/// let made = permit.run(|token| repair(token, &mut db, 1_000))?;
/// assert_eq!(made.len(), 7);
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
) -> std::result::Result<Vec<Drift>, Error> {
    let slug = &token.key().slug;
    migrate(db, now).map_err(|error| error.on(slug))
}

fn migrate(db: &mut Connection, now: i64) -> std::result::Result<Vec<Drift>, Error> {
    // A spilled page would reach the WAL before the commit, and a rolled-back repair must leave no trace.
    db.pragma_update(None, "cache_spill", false)?;
    // IMMEDIATE: of several processes that open one old board, one migrates and the others find it done.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let lacks = schema::drift(&tx)?;
    if lacks.is_empty() {
        return Ok(lacks);
    }
    if !is_new(&tx)? {
        refuse_loss(&lacks)?;
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

/// A file without any table has no content that a new schema could hide.
fn is_new(tx: &Transaction<'_>) -> Result<bool> {
    tx.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| row.get(0),
    )
}

fn refuse_loss(lacks: &[Drift]) -> std::result::Result<(), Error> {
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

fn make_tables(tx: &Transaction<'_>) -> Result<()> {
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

fn make_indexes(tx: &Transaction<'_>, indexes: &[(&str, &str)]) -> Result<()> {
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

fn add_columns(tx: &Transaction<'_>) -> Result<()> {
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

/// A running task without a run row gets one, copied from the task, so that its end can be recorded.
fn open_missing_runs(tx: &Transaction<'_>, now: i64) -> Result<()> {
    let ids: Vec<String> = tx
        .prepare("SELECT id FROM tasks WHERE status = 'running' AND current_run_id IS NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for id in ids {
        tx.execute(
            "INSERT INTO task_runs (task_id, profile, step_key, status, claim_lock, claim_expires, worker_pid, \
             max_runtime_seconds, last_heartbeat_at, started_at) \
             SELECT id, assignee, current_step_key, 'running', claim_lock, claim_expires, worker_pid, \
             max_runtime_seconds, last_heartbeat_at, COALESCE(started_at, ?2) FROM tasks WHERE id = ?1",
            (&id, now),
        )?;
        tx.execute(
            "UPDATE tasks SET current_run_id = ?2 WHERE id = ?1 AND current_run_id IS NULL",
            (&id, tx.last_insert_rowid()),
        )?;
    }
    Ok(())
}

fn rename_old_events(tx: &Transaction<'_>) -> Result<()> {
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
fn rebuild(tx: &Transaction<'_>, table: &Table) -> Result<()> {
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
