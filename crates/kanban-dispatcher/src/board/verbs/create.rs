//! Making a task.

use rusqlite::{ErrorCode, OptionalExtension, Transaction, params};
use serde_json::Value;

use super::super::event::{self, Payload, to_ascii_json};
use super::super::query::no_task;
use super::super::store::Store;
use super::{Result, status};
use crate::error::{Error, ErrorKind};

/// Ids are short, so they meet now and then; a second draw is as good as certain.
const DRAWS_MAX: u32 = 3;

/// A task to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTask {
    /// What it is called; not empty.
    pub title: String,
    /// What is to be done.
    pub body: Option<String>,
    /// Who is to do it: a profile's name, stored in lower case. Without one it never starts by itself.
    pub assignee: Option<String>,
    /// Higher starts first.
    pub priority: i64,
    /// Tasks that must be done before it.
    pub parents: Vec<String>,
    /// Where its worker works.
    pub workspace: Workspace,
    /// The branch of a worktree; `None` is one of its own.
    pub branch: Option<String>,
    /// Whose it is.
    pub tenant: Option<String>,
    /// Skills the worker is to load.
    pub skills: Vec<String>,
    /// The model the worker is to use.
    pub model: Option<String>,
    /// The longest one attempt may take, seconds.
    pub max_runtime: Option<i64>,
    /// Its own limit for failures in a row.
    pub max_retries: Option<i64>,
    /// Whether its worker works towards a goal, turn after turn.
    pub goal: bool,
    /// How many turns it has for that.
    pub goal_turns_max: Option<i64>,
    /// It waits in triage until somebody says what it is.
    pub triage: bool,
    /// It is blocked from the start, until somebody unblocks it. Wins over `triage`.
    pub blocked: bool,
    /// Made once: a task with the same key that is not archived is the answer instead of a second one.
    pub idempotency_key: Option<String>,
    /// Who made it.
    pub created_by: Option<String>,
}

/// Where a task's worker works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Workspace {
    /// A directory of its own, which is removed when the task is done.
    #[default]
    Scratch,
    /// A directory; `None` is the board's `default_workdir`. Never removed.
    Dir(Option<String>),
    /// A git worktree: a path for it, or the repository; `None` is the board's `default_workdir`. Never removed.
    Worktree(Option<String>),
}

impl Workspace {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Dir(_) => "dir",
            Self::Worktree(_) => "worktree",
        }
    }

    /// The path that was named.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Scratch => None,
            Self::Dir(path) | Self::Worktree(path) => path.as_deref(),
        }
    }
}

impl Store {
    /// Makes a task: `ready`, or `todo` while a parent is not done, or what `triage` and `blocked` say. Returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty title, a branch without a worktree, or a `dir` that nobody names;
    /// [`ErrorKind::NotFound`] for an unknown parent; [`ErrorKind::Sqlite`].
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let new = NewTask { title: "weekly".into(), idempotency_key: Some("2026-48".into()), ..NewTask::default() };
    /// let id = store.create(&new)?;
    /// assert_eq!(store.create(&new)?, id, "made once");
    /// assert_eq!(store.show(&id)?.task.status, "ready");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(&mut self, new: &NewTask) -> Result<String> {
        let row =
            Row::of(new, self.board().default_workdir()).map_err(|error| error.on(self.slug()))?;
        self.write(|tx, now| {
            if let Some(key) = &new.idempotency_key
                && let Some(id) = made_before(tx, key)?
            {
                return Ok(id);
            }
            let state = state(tx, new)?;
            let id = insert(tx, new, &row, state, now)?;
            for parent in &new.parents {
                tx.execute(
                    "INSERT OR IGNORE INTO task_links (parent_id, child_id) VALUES (?1, ?2)",
                    (parent, &id),
                )?;
            }
            let payload = Payload::new()
                .with("assignee", row.assignee.clone())
                .with("status", state)
                .with("parents", new.parents.clone())
                .with("tenant", new.tenant.clone())
                .with("branch_name", row.branch.clone())
                .with(
                    "skills",
                    (!row.skills.is_empty()).then(|| row.skills.clone()),
                )
                .with("goal_mode", new.goal.then_some(true));
            event::append(tx, &id, "created", &payload, None, now)?;
            if new.blocked {
                // Without a word that somebody wants it so, the next program that promotes would free it.
                let payload = Payload::new()
                    .with("reason", Value::Null)
                    .with("kind", Value::Null)
                    .with("recurrences", 0);
                event::append(tx, &id, "blocked", &payload, None, now)?;
            }
            Ok(id)
        })
    }
}

/// What is stored, as it is stored.
struct Row {
    title: String,
    assignee: Option<String>,
    path: Option<String>,
    branch: Option<String>,
    skills: Vec<String>,
}

impl Row {
    fn of(new: &NewTask, default_workdir: Option<String>) -> Result<Self> {
        let wrong = |why: &str| Err(Error::new(ErrorKind::Input, format!("make a task: {why}")));
        let title = new.title.trim().to_owned();
        if title.is_empty() {
            return wrong("its title is empty");
        }
        let branch = non_empty(new.branch.as_deref());
        if branch.is_some() && !matches!(new.workspace, Workspace::Worktree(_)) {
            return wrong("a branch is for a worktree");
        }
        let path = match &new.workspace {
            Workspace::Scratch => None,
            place => place.path().map(str::to_owned).or(default_workdir),
        };
        if new.workspace == Workspace::Dir(None) && path.is_none() {
            return wrong("its directory is not named, and the board has no default_workdir");
        }
        let mut skills: Vec<String> = Vec::new();
        for skill in new.skills.iter().map(|skill| skill.trim()) {
            if skill.contains(',') {
                return wrong(&format!(
                    "\"{skill}\" is not one skill: name each by itself"
                ));
            }
            if !skill.is_empty() && !skills.iter().any(|known| known == skill) {
                skills.push(skill.to_owned());
            }
        }
        Ok(Self {
            title,
            assignee: normalised(new.assignee.as_deref()),
            path,
            branch,
            skills,
        })
    }
}

/// A profile's name as it is stored; blanks name nobody.
pub(super) fn normalised(assignee: Option<&str>) -> Option<String> {
    non_empty(assignee).map(|name| name.to_lowercase())
}

fn non_empty(text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

/// Inside the transaction, so that of two programs with the same key only one makes it.
fn made_before(tx: &Transaction<'_>, key: &str) -> Result<Option<String>> {
    let id = tx
        .query_row(
            "SELECT id FROM tasks WHERE idempotency_key = ?1 AND status <> 'archived' \
             ORDER BY created_at DESC, rowid DESC LIMIT 1",
            [key],
            |row| row.get(0),
        )
        .optional()?;
    Ok(id)
}

fn state(tx: &Transaction<'_>, new: &NewTask) -> Result<&'static str> {
    let mut waits = false;
    for parent in &new.parents {
        waits |= status(tx, parent)?.ok_or_else(|| no_task(parent))? != "done";
    }
    Ok(match (new.blocked, new.triage, waits) {
        (true, _, _) => "blocked",
        (_, true, _) => "triage",
        (_, _, true) => "todo",
        _ => "ready",
    })
}

fn insert(tx: &Transaction<'_>, new: &NewTask, row: &Row, state: &str, now: i64) -> Result<String> {
    let skills = (!row.skills.is_empty()).then(|| to_ascii_json(&row.skills));
    drawn(|| {
        tx.query_row(
            "INSERT INTO tasks (id, title, body, assignee, status, priority, created_by, created_at, workspace_kind, \
             workspace_path, branch_name, tenant, idempotency_key, skills, model_override, max_runtime_seconds, \
             max_retries, goal_mode, goal_max_turns) \
             VALUES ('t_' || lower(hex(randomblob(4))), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
             ?15, ?16, ?17, ?18) RETURNING id",
            params![
                row.title, new.body, row.assignee, state, new.priority, new.created_by, now, new.workspace.kind(),
                row.path, row.branch, new.tenant, new.idempotency_key, skills, new.model, new.max_runtime,
                new.max_retries, new.goal, new.goal_turns_max
            ],
            |row| row.get(0),
        )
    })
}

/// Draws a task's id until no task has it.
pub(super) fn drawn(draw: impl Fn() -> rusqlite::Result<String>) -> Result<String> {
    for _ in 1..DRAWS_MAX {
        match draw() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
            drawn => return Ok(drawn?),
        }
    }
    Ok(draw()?)
}
