//! Reads one board into plain data, in one read transaction.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Row};

use super::past;
use super::value::{exact, integer, number, text, time};
use crate::past::Past;
use crate::view::{BadRow, Status, Task, View};

/// Times and counts outside this range are as good as its ends, and arithmetic on them cannot overflow.
const NUMBER_MAX: i64 = 1 << 53;

/// Reads every task a tick may have to act on. A row that cannot be read is set aside, not an error.
pub(crate) fn observe(db: &Connection) -> Result<View> {
    let snapshot = db.unchecked_transaction()?;
    let view = read(&snapshot)?;
    snapshot.commit()?;
    Ok(view)
}

/// The same inside a transaction of the caller's.
pub(super) fn read(db: &Connection) -> Result<View> {
    let mut view = tasks(db)?;
    let open_parents = with_open_parents(db)?;
    for task in &mut view.tasks {
        task.has_open_parent = open_parents.contains(&task.id);
    }
    past::read(db, &mut view.tasks)?;
    Ok(view)
}

fn tasks(db: &Connection) -> Result<View> {
    let mut view = View::default();
    let mut statement = db.prepare_cached(
        "SELECT t.id, t.status, t.assignee, t.priority, t.created_at, t.started_at, t.claim_lock, t.claim_expires, \
         t.worker_pid, t.last_heartbeat_at, t.consecutive_failures, t.max_retries, t.max_runtime_seconds, \
         t.current_run_id, r.started_at AS run_started_at, t.workspace_kind, r.max_runtime_seconds AS run_limit, \
         t.last_failure_error, t.title, t.skills \
         FROM tasks t LEFT JOIN task_runs r ON r.id = t.current_run_id \
         WHERE t.status IN ('todo', 'ready', 'running', 'blocked', 'review')",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match task(row) {
            Ok(task) => view.tasks.push(task),
            Err(Unreadable::Row(bad)) => view.bad_rows.push(bad),
            Err(Unreadable::Sqlite(error)) => return Err(error),
        }
    }
    Ok(view)
}

enum Unreadable {
    Row(BadRow),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn task(row: &Row<'_>) -> std::result::Result<Task, Unreadable> {
    let id = exact(row, "id")?.filter(|id| !id.is_empty());
    let Some(id) = id else {
        let reason = "the id is not text".to_owned();
        return Err(Unreadable::Row(BadRow {
            id: String::new(),
            reason,
            status: None,
        }));
    };
    let Some(status) = text(row, "status")?.and_then(|status| Status::parse(&status)) else {
        return Err(Unreadable::Row(BadRow {
            id,
            reason: "the status is unknown".to_owned(),
            status: None,
        }));
    };
    let field = Fields {
        row,
        id: &id,
        status,
    };
    if status == Status::Ready {
        // What a worker would be told. One that runs was told something already, and is watched whatever its row says now.
        field.title()?;
        field.skills()?;
    }
    Ok(Task {
        status,
        assignee: field.text("assignee")?,
        // Without one it comes last, as for the peer.
        priority: field.number("priority")?.unwrap_or(i64::MIN),
        created_at: field.time("created_at").ok().flatten().unwrap_or(0),
        started_at: field.time("started_at")?,
        claim_lock: field.lock("claim_lock")?,
        claim_expires: field.time("claim_expires")?,
        worker_pid: field.number("worker_pid")?,
        last_heartbeat_at: field.time("last_heartbeat_at")?,
        failures: field.number("consecutive_failures")?.unwrap_or(0),
        max_retries: field.number("max_retries")?,
        max_runtime: field
            .number("run_limit")?
            .or(field.number("max_runtime_seconds")?),
        run: integer(row, "current_run_id")?,
        run_started_at: field.time("run_started_at")?,
        workspace_kind: field
            .text("workspace_kind")?
            .unwrap_or_else(|| "scratch".to_owned()),
        has_open_parent: false,
        is_sticky: false,
        rate_limited_at: None,
        violations: 0,
        past: Past {
            error: field.text("last_failure_error")?,
            ..Past::default()
        },
        id: id.clone(),
    })
}

/// Reads fields of one row and names the field that cannot be read.
struct Fields<'a> {
    row: &'a Row<'a>,
    id: &'a str,
    status: Status,
}

impl Fields<'_> {
    fn text(&self, column: &str) -> std::result::Result<Option<String>, Unreadable> {
        Ok(text(self.row, column)?)
    }

    /// A lock that cannot be compared can be neither taken nor ended.
    fn lock(&self, column: &str) -> std::result::Result<Option<String>, Unreadable> {
        match exact(self.row, column)? {
            None if !self.is_null(column)? => Err(self.unreadable(column, "text")),
            lock => Ok(lock),
        }
    }

    fn title(&self) -> std::result::Result<(), Unreadable> {
        match self.row.get_ref("title")? {
            ValueRef::Null | ValueRef::Blob(_) => Err(self.unreadable("title", "text")),
            _ => Ok(()),
        }
    }

    /// Without its skills a worker would do something else than was asked for.
    fn skills(&self) -> std::result::Result<(), Unreadable> {
        let names: Option<Option<Vec<String>>> = match self.row.get_ref("skills")? {
            ValueRef::Null => Some(None),
            ValueRef::Text(b"") => Some(None),
            ValueRef::Text(json) => serde_json::from_slice(json).ok(),
            _ => None,
        };
        match names {
            Some(_) => Ok(()),
            None => Err(self.unreadable("skills", "a JSON array of names")),
        }
    }

    fn number(&self, column: &str) -> std::result::Result<Option<i64>, Unreadable> {
        match number(self.row, column)? {
            None if !self.is_null(column)? => Err(self.unreadable(column, "a number")),
            number => Ok(number.map(|value| value.clamp(-NUMBER_MAX, NUMBER_MAX))),
        }
    }

    fn time(&self, column: &str) -> std::result::Result<Option<i64>, Unreadable> {
        match time(self.row, column)? {
            None if !self.is_null(column)? => Err(self.unreadable(column, "a time")),
            time => Ok(time.map(|value| value.clamp(-NUMBER_MAX, NUMBER_MAX))),
        }
    }

    fn is_null(&self, column: &str) -> Result<bool> {
        Ok(self.row.get_ref(column)? == ValueRef::Null)
    }

    fn unreadable(&self, column: &str, expected: &str) -> Unreadable {
        Unreadable::Row(BadRow {
            id: self.id.to_owned(),
            reason: format!("{column} is not {expected}"),
            status: Some(self.status),
        })
    }
}

/// A parent that is gone does not hold its child back: its row was deleted, and no one could ever finish it.
fn with_open_parents(db: &Connection) -> Result<HashSet<String>> {
    db.prepare_cached(
        "SELECT DISTINCT c.id FROM tasks c JOIN task_links l ON l.child_id = c.id JOIN tasks p ON p.id = l.parent_id \
         WHERE c.status IN ('todo', 'ready', 'running', 'blocked') AND p.status NOT IN ('done', 'archived')",
    )?
    .query_map([], |row| exact(row, 0))?
    .filter_map(Result::transpose)
    .collect()
}
