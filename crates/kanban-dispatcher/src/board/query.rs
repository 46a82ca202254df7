//! Questions a person asks of a board.

use rusqlite::{OptionalExtension, Result, Row};
use serde::Serialize;
use serde_json::Value;

use super::store::Store;
use super::value::{integer, number, shown};
use crate::error::{Error, ErrorKind};

/// One task in a list. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are the format's columns of the same names"
)]
pub struct Summary {
    pub id: String,
    pub title: String,
    pub body: Option<String>,
    pub assignee: Option<String>,
    pub status: String,
    pub priority: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub result: Option<String>,
    pub block_kind: Option<String>,
    pub consecutive_failures: i64,
    pub last_failure_error: Option<String>,
}

/// One task with its history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what they hold")]
pub struct Detail {
    pub task: Summary,
    pub parents: Vec<String>,
    pub children: Vec<String>,
    pub comments: Vec<Comment>,
    pub events: Vec<Event>,
    pub runs: Vec<Run>,
}

/// A comment on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are the format's columns of the same names"
)]
pub struct Comment {
    pub author: String,
    pub body: String,
    pub created_at: i64,
}

/// One entry of a task's history; the payload is `null` when it has none, or none that is JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are the format's columns of the same names"
)]
pub struct Event {
    pub kind: String,
    pub payload: Value,
    pub created_at: i64,
    pub run_id: Option<i64>,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are the format's columns of the same names"
)]
pub struct Run {
    pub id: i64,
    pub profile: Option<String>,
    pub status: String,
    pub outcome: Option<String>,
    pub summary: Option<String>,
    pub error: Option<String>,
    pub metadata: Value,
    pub worker_pid: Option<i64>,
    pub started_at: i64,
    pub ended_at: Option<i64>,
}

const SUMMARY: &str = "SELECT id, title, body, assignee, status, priority, created_at, started_at, completed_at, result, \
     block_kind, consecutive_failures, last_failure_error FROM tasks";

impl Store {
    /// Every task that is not archived, or those with one status; in the order they would start.
    ///
    /// # Errors
    /// [`ErrorKind::Sqlite`].
    pub fn list(&self, status: Option<&str>) -> std::result::Result<Vec<Summary>, Error> {
        let sql = format!(
            "{SUMMARY} WHERE CASE WHEN ?1 IS NULL THEN status IS NOT 'archived' ELSE status = ?1 END \
             ORDER BY priority DESC, created_at, id"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let tasks = statement
            .query_map([status], summary)?
            .collect::<Result<_>>()?;
        Ok(tasks)
    }

    /// One task with everything that happened to it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown id; [`ErrorKind::Sqlite`].
    pub fn show(&self, id: &str) -> std::result::Result<Detail, Error> {
        let task = self
            .db
            .prepare_cached(&format!("{SUMMARY} WHERE id = ?1"))?
            .query_row([id], summary)
            .optional()?
            .ok_or_else(|| no_task(id).on(self.slug()))?;
        Ok(Detail {
            parents: self.column("SELECT parent_id FROM task_links WHERE child_id = ?1 ORDER BY 1", id)?,
            children: self.column("SELECT child_id FROM task_links WHERE parent_id = ?1 ORDER BY 1", id)?,
            comments: self.rows(
                "SELECT author, body, created_at FROM task_comments WHERE task_id = ?1 ORDER BY id",
                id,
                |row| Ok(Comment { author: words(row, 0)?, body: words(row, 1)?, created_at: count(row, 2)? }),
            )?,
            events: self.rows(
                "SELECT kind, payload, created_at, run_id FROM task_events WHERE task_id = ?1 ORDER BY id",
                id,
                |row| {
                    let (kind, payload) = (words(row, 0)?, json(row, 1)?);
                    Ok(Event { kind, payload, created_at: count(row, 2)?, run_id: integer(row, 3)? })
                },
            )?,
            runs: self.rows(
                "SELECT id, profile, status, outcome, summary, error, metadata, worker_pid, started_at, ended_at \
                 FROM task_runs WHERE task_id = ?1 ORDER BY id",
                id,
                run,
            )?,
            task,
        })
    }

    /// How many tasks are ready and how many run.
    ///
    /// # Errors
    /// [`ErrorKind::Sqlite`].
    pub fn counts(&self) -> std::result::Result<Vec<(String, i64)>, Error> {
        let counts = self
            .db
            .prepare_cached("SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status")?
            .query_map([], |row| Ok((words(row, 0)?, row.get(1)?)))?
            .collect::<Result<_>>()?;
        Ok(counts)
    }

    fn column(&self, sql: &str, id: &str) -> Result<Vec<String>> {
        self.rows(sql, id, |row| words(row, 0))
    }

    fn rows<T>(
        &self,
        sql: &str,
        id: &str,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.db
            .prepare_cached(sql)?
            .query_map([id], read)?
            .collect()
    }
}

pub(super) fn no_task(id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("find task \"{id}\": `kanban list` shows the ids"),
    )
}

fn summary(row: &Row<'_>) -> Result<Summary> {
    Ok(Summary {
        id: words(row, 0)?,
        title: words(row, 1)?,
        body: shown(row, 2)?,
        assignee: shown(row, 3)?,
        status: words(row, 4)?,
        priority: count(row, 5)?,
        created_at: count(row, 6)?,
        started_at: number(row, 7)?,
        completed_at: number(row, 8)?,
        result: shown(row, 9)?,
        block_kind: shown(row, 10)?,
        consecutive_failures: count(row, 11)?,
        last_failure_error: shown(row, 12)?,
    })
}

fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        id: integer(row, 0)?.unwrap_or(0),
        profile: shown(row, 1)?,
        status: words(row, 2)?,
        outcome: shown(row, 3)?,
        summary: shown(row, 4)?,
        error: shown(row, 5)?,
        metadata: json(row, 6)?,
        worker_pid: integer(row, 7)?,
        started_at: count(row, 8)?,
        ended_at: number(row, 9)?,
    })
}

/// NULL counts as 0, as it does for the peer; so does what is no number.
fn count(row: &Row<'_>, column: usize) -> Result<i64> {
    Ok(number(row, column)?.unwrap_or(0))
}

fn words(row: &Row<'_>, column: usize) -> Result<String> {
    Ok(shown(row, column)?.unwrap_or_default())
}

fn json(row: &Row<'_>, column: usize) -> Result<Value> {
    let value = shown(row, column)?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(value.unwrap_or(Value::Null))
}
