//! Questions a person asks of a board.

use rusqlite::{Connection, OptionalExtension, Result, Row, RowIndex};
use serde::Serialize;
use serde_json::Value;

use super::store::Store;
use super::value::{integer, number, shown};
use super::work::skills;
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
    pub tenant: Option<String>,
    pub workspace_kind: String,
    pub workspace_path: Option<String>,
    pub branch_name: Option<String>,
    pub project_id: Option<String>,
    pub created_by: Option<String>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub result: Option<String>,
    pub skills: Vec<String>,
    pub model_override: Option<String>,
    pub max_runtime_seconds: Option<i64>,
    pub max_retries: Option<i64>,
    pub goal_mode: bool,
    pub goal_max_turns: Option<i64>,
    pub session_id: Option<String>,
    pub workflow_template_id: Option<String>,
    pub current_step_key: Option<String>,
    pub current_run_id: Option<i64>,
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
    pub latest_summary: Option<String>,
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
    pub step_key: Option<String>,
    pub status: String,
    pub outcome: Option<String>,
    pub summary: Option<String>,
    pub error: Option<String>,
    pub metadata: Value,
    pub worker_pid: Option<i64>,
    pub started_at: i64,
    pub ended_at: Option<i64>,
}

/// By name: the columns stand in another order on every older board.
const SUMMARY: &str = "SELECT id, title, body, assignee, status, priority, tenant, workspace_kind, workspace_path, \
     branch_name, project_id, created_by, created_at, started_at, completed_at, result, skills, model_override, \
     max_runtime_seconds, max_retries, goal_mode, goal_max_turns, session_id, workflow_template_id, current_step_key, \
     current_run_id, block_kind, consecutive_failures, last_failure_error FROM tasks";

impl Store {
    /// Every task that is not archived, or those with one status; in the order they would start.
    ///
    /// # Errors
    /// [`ErrorKind::Sqlite`].
    pub fn list(&self, status: Option<&str>) -> std::result::Result<Vec<Summary>, Error> {
        self.read(|db| list(db, status))
    }

    /// One task with everything that happened to it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown id; [`ErrorKind::Sqlite`].
    pub fn show(&self, id: &str) -> std::result::Result<Detail, Error> {
        let detail = self.read(|db| show(db, id))?;
        detail.ok_or_else(|| no_task(id).on(self.slug()))
    }

    /// How many tasks are ready and how many run.
    ///
    /// # Errors
    /// [`ErrorKind::Sqlite`].
    pub fn counts(&self) -> std::result::Result<Vec<(String, i64)>, Error> {
        self.read(|db| {
            db.prepare_cached("SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status")?
                .query_map([], |row| Ok((words(row, 0)?, row.get(1)?)))?
                .collect()
        })
    }

    fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, Error> {
        question(&self.db).map_err(|error| Error::from(error).on(self.slug()))
    }
}

fn list(db: &Connection, status: Option<&str>) -> Result<Vec<Summary>> {
    let sql = format!(
        "{SUMMARY} WHERE CASE WHEN ?1 IS NULL THEN status IS NOT 'archived' ELSE status = ?1 END \
         ORDER BY priority DESC, created_at, id"
    );
    db.prepare_cached(&sql)?
        .query_map([status], summary)?
        .collect()
}

fn show(db: &Connection, id: &str) -> Result<Option<Detail>> {
    let task = db
        .prepare_cached(&format!("{SUMMARY} WHERE id = ?1"))?
        .query_row([id], summary)
        .optional()?;
    let Some(task) = task else { return Ok(None) };
    let ids = |sql| rows(db, sql, id, |row| words(row, 0));
    let runs = rows(
        db,
        "SELECT id, profile, step_key, status, outcome, summary, error, metadata, worker_pid, started_at, ended_at \
         FROM task_runs WHERE task_id = ?1 ORDER BY id",
        id,
        run,
    )?;
    Ok(Some(Detail {
        task,
        latest_summary: latest_summary(&runs),
        parents: ids("SELECT parent_id FROM task_links WHERE child_id = ?1 ORDER BY 1")?,
        children: ids("SELECT child_id FROM task_links WHERE parent_id = ?1 ORDER BY 1")?,
        comments: rows(
            db,
            "SELECT author, body, created_at FROM task_comments WHERE task_id = ?1 ORDER BY id",
            id,
            comment,
        )?,
        events: rows(
            db,
            "SELECT kind, payload, created_at, run_id FROM task_events WHERE task_id = ?1 ORDER BY id",
            id,
            event,
        )?,
        runs,
    }))
}

/// What the newest attempt that said anything said.
fn latest_summary(runs: &[Run]) -> Option<String> {
    let said = |run: &&Run| run.summary.as_deref().is_some_and(|text| !text.is_empty());
    let newest = runs
        .iter()
        .filter(said)
        .max_by_key(|run| (run.started_at, run.id));
    newest.and_then(|run| run.summary.clone())
}

fn rows<T>(
    db: &Connection,
    sql: &str,
    id: &str,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map([id], read)?.collect()
}

pub(super) fn no_task(id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("find task \"{id}\": `kanban list` shows the ids"),
    )
}

fn summary(row: &Row<'_>) -> Result<Summary> {
    Ok(Summary {
        id: words(row, "id")?,
        title: words(row, "title")?,
        body: shown(row, "body")?,
        assignee: shown(row, "assignee")?,
        status: words(row, "status")?,
        priority: count(row, "priority")?,
        tenant: shown(row, "tenant")?,
        workspace_kind: words(row, "workspace_kind")?,
        workspace_path: shown(row, "workspace_path")?,
        branch_name: shown(row, "branch_name")?,
        project_id: shown(row, "project_id")?,
        created_by: shown(row, "created_by")?,
        created_at: count(row, "created_at")?,
        started_at: number(row, "started_at")?,
        completed_at: number(row, "completed_at")?,
        result: shown(row, "result")?,
        skills: skills(shown(row, "skills")?.as_deref()),
        model_override: shown(row, "model_override")?,
        max_runtime_seconds: number(row, "max_runtime_seconds")?,
        max_retries: number(row, "max_retries")?,
        goal_mode: number(row, "goal_mode")?.is_some_and(|mode| mode != 0),
        goal_max_turns: number(row, "goal_max_turns")?,
        session_id: shown(row, "session_id")?,
        workflow_template_id: shown(row, "workflow_template_id")?,
        current_step_key: shown(row, "current_step_key")?,
        current_run_id: integer(row, "current_run_id")?,
        block_kind: shown(row, "block_kind")?,
        consecutive_failures: count(row, "consecutive_failures")?,
        last_failure_error: shown(row, "last_failure_error")?,
    })
}

fn comment(row: &Row<'_>) -> Result<Comment> {
    Ok(Comment {
        author: words(row, "author")?,
        body: words(row, "body")?,
        created_at: count(row, "created_at")?,
    })
}

fn event(row: &Row<'_>) -> Result<Event> {
    Ok(Event {
        kind: words(row, "kind")?,
        payload: json(row, "payload")?,
        created_at: count(row, "created_at")?,
        run_id: integer(row, "run_id")?,
    })
}

fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        id: integer(row, "id")?.unwrap_or(0),
        profile: shown(row, "profile")?,
        step_key: shown(row, "step_key")?,
        status: words(row, "status")?,
        outcome: shown(row, "outcome")?,
        summary: shown(row, "summary")?,
        error: shown(row, "error")?,
        metadata: json(row, "metadata")?,
        worker_pid: integer(row, "worker_pid")?,
        started_at: count(row, "started_at")?,
        ended_at: number(row, "ended_at")?,
    })
}

/// NULL counts as 0, as it does for the peer; so does what is no number.
fn count(row: &Row<'_>, column: impl RowIndex) -> Result<i64> {
    Ok(number(row, column)?.unwrap_or(0))
}

fn words(row: &Row<'_>, column: impl RowIndex) -> Result<String> {
    Ok(shown(row, column)?.unwrap_or_default())
}

fn json(row: &Row<'_>, column: impl RowIndex) -> Result<Value> {
    let value = shown(row, column)?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(value.unwrap_or(Value::Null))
}
