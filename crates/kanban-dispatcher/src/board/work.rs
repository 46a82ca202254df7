//! A claimed task's work: what a worker needs to know, and the writes around its start.

use rusqlite::{Connection, Result, Row};

use super::event::{self, Payload};
use super::txn::Txn;
use super::value;

/// A claimed task, as its worker is told about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Work {
    /// The task's id.
    pub task: String,
    /// This attempt; a worker's writes carry it, so that a stale attempt is refused.
    pub run: i64,
    /// The exact claim text.
    pub lock: String,
    /// The title.
    pub title: String,
    /// Whose profile the worker runs with.
    pub profile: String,
    /// The tenant, if any.
    pub tenant: Option<String>,
    /// `scratch`, `dir` or `worktree`.
    pub workspace_kind: String,
    /// The workspace's path, if the row names one.
    pub workspace_path: Option<String>,
    /// The branch, if the row names one.
    pub branch: Option<String>,
    /// Skills the worker is to load.
    pub skills: Vec<String>,
    /// The model it is to use.
    pub model: Option<String>,
    /// Whether it works towards a goal.
    pub goal_mode: bool,
    /// How many turns it has for that.
    pub goal_turns_max: Option<i64>,
    /// The longest this attempt may take, seconds.
    pub max_runtime: Option<i64>,
}

/// A worker that waits at the gate: its identity is to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) task: String,
    pub(crate) run: i64,
    pub(crate) lock: String,
    pub(crate) pid: u32,
    pub(crate) workspace: String,
    pub(crate) branch: Option<String>,
}

/// The columns of a task that its worker is told of, for [`of_row`].
macro_rules! columns {
    () => {
        "title, assignee, tenant, workspace_kind, workspace_path, branch_name, skills, model_override, goal_mode, \
         goal_max_turns, max_runtime_seconds"
    };
}
pub(super) use columns;

/// A task, whose row begins with the [`columns`]; the attempt at it is still to be made.
pub(super) fn of_row(row: &Row<'_>, task: &str, lock: &str) -> Result<Work> {
    // By place: to ask by name is half of the cost.
    let text = |column: usize| value::text(row, column);
    let number = |column: usize| value::number(row, column);
    let non_empty = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    Ok(Work {
        task: task.to_owned(),
        run: 0,
        lock: lock.to_owned(),
        title: text(0)?.unwrap_or_default(),
        profile: text(1)?.unwrap_or_default().trim().to_lowercase(),
        tenant: non_empty(text(2)?),
        workspace_kind: text(3)?.unwrap_or_else(|| "scratch".to_owned()),
        // Another path or branch than the one that was meant is worse than none.
        workspace_path: non_empty(value::exact(row, 4)?),
        branch: non_empty(value::exact(row, 5)?),
        skills: skills(text(6)?.as_deref()),
        model: non_empty(text(7)?),
        goal_mode: number(8)?.is_some_and(|mode| mode != 0),
        goal_turns_max: number(9)?,
        max_runtime: number(10)?,
    })
}

/// A JSON array of names; anything else means none, as the peer reads it.
pub(super) fn skills(json: Option<&str>) -> Vec<String> {
    let names: Vec<String> = json
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !name.trim().is_empty())
        .collect()
}

/// Commits the identities of started workers, in one transaction. Those whose claim is gone come back: their gates must not open.
pub(crate) fn record_started(
    db: &mut Connection,
    started: &[Started],
    now: i64,
) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    if started.is_empty() {
        return Ok(lost);
    }
    // Their gates open when it is committed, and the claims are not synced yet.
    let tx = Txn::write_synced(db)?;
    for worker in started {
        let Started {
            task,
            run,
            lock,
            pid,
            workspace,
            branch,
        } = worker;
        let rows = tx
            .prepare_cached(
                "UPDATE tasks SET worker_pid = ?4, workspace_path = ?5, branch_name = COALESCE(?6, branch_name) \
                 WHERE id = ?1 AND status = 'running' AND current_run_id = ?2 AND claim_lock = ?3",
            )?
            .execute((task, run, lock, pid, workspace, branch))?;
        if rows != 1 {
            lost.push(task.clone());
            continue;
        }
        tx.prepare_cached(
            "UPDATE task_runs SET worker_pid = ?2 WHERE id = ?1 AND ended_at IS NULL",
        )?
        .execute((run, pid))?;
        let payload = Payload::new().with("pid", *pid);
        event::append(&tx, task, "spawned", &payload, Some(*run), now)?;
    }
    tx.commit()?;
    Ok(lost)
}
