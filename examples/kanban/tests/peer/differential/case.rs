//! A board to be ticked by both programs: tasks, each with a past.

use rusqlite::{Connection, params};

use super::super::house::Result;

/// The instant of every tick, near the machine's own: the ages of processes are real.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now(pub(super) i64);

/// Who holds a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Peer,
    Ours,
    Elsewhere,
    /// The status says running, and nobody holds it.
    Nobody,
}

/// What is behind a recorded process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pid {
    None,
    /// An id that no process can have.
    Dead,
    /// A process of the test's; neither program started it.
    Live,
}

/// A task and its past.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) title: &'static str,
    pub(super) status: &'static str,
    pub(super) assignee: Option<&'static str>,
    pub(super) priority: Option<i64>,
    pub(super) created_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) holder: Option<Holder>,
    pub(super) expires: Option<i64>,
    pub(super) pid: Pid,
    pub(super) heartbeat: Option<i64>,
    pub(super) failures: i64,
    pub(super) max_retries: Option<i64>,
    pub(super) max_runtime: Option<i64>,
    pub(super) last_error: Option<&'static str>,
    pub(super) workspace: (&'static str, Option<&'static str>),
    /// When the open attempt began; `None`: the task points at none.
    pub(super) attempt: Option<i64>,
    pub(super) past: Vec<Past>,
    pub(super) events: Vec<(&'static str, i64)>,
    pub(super) comments: Vec<(&'static str, i64)>,
    pub(super) parents: Vec<&'static str>,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub(super) struct Past {
    pub(super) outcome: &'static str,
    pub(super) ended_at: i64,
    pub(super) is_violation: bool,
}

impl Task {
    pub(super) fn new(id: &str, status: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            title: "work",
            status,
            assignee: Some("coder"),
            priority: Some(0),
            created_at: 1,
            started_at: None,
            holder: None,
            expires: None,
            pid: Pid::None,
            heartbeat: None,
            failures: 0,
            max_retries: None,
            max_runtime: None,
            last_error: None,
            workspace: ("scratch", None),
            attempt: None,
            past: Vec::new(),
            events: Vec::new(),
            comments: Vec::new(),
            parents: Vec::new(),
        }
    }

    /// Writes the task to a board.
    pub(super) fn insert(&self, db: &Connection, host: &str, live: i64) -> Result {
        let lock = self.lock(host);
        let pid = match self.pid {
            Pid::None => None,
            Pid::Dead => Some(4_900_000 + db.last_insert_rowid() % 1000),
            Pid::Live => Some(live),
        };
        for past in &self.past {
            let (metadata, error) = match past.is_violation {
                true => (
                    Some("{\"protocol_violation\": true}"),
                    Some("protocol violation"),
                ),
                false => (None, None),
            };
            db.execute(
                "INSERT INTO task_runs (task_id, profile, status, outcome, started_at, ended_at, metadata, error) \
                 VALUES (?1, 'coder', ?2, ?2, ?3, ?4, ?5, ?6)",
                params![self.id, past.outcome, past.ended_at - 5, past.ended_at, metadata, error],
            )?;
        }
        let run = self.attempt.map(|began| -> Result<i64> {
            db.execute(
                "INSERT INTO task_runs (task_id, profile, status, started_at, claim_lock, claim_expires, worker_pid, \
                 max_runtime_seconds) VALUES (?1, 'coder', 'running', ?2, ?3, ?4, ?5, ?6)",
                params![self.id, began, lock, self.expires, pid, self.max_runtime],
            )?;
            Ok(db.last_insert_rowid())
        });
        db.execute(
            "INSERT INTO tasks (id, title, assignee, status, priority, created_at, started_at, claim_lock, claim_expires, \
             worker_pid, last_heartbeat_at, consecutive_failures, max_retries, max_runtime_seconds, last_failure_error, \
             workspace_kind, workspace_path, current_run_id, body, tenant) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 'b', 'acme')",
            params![
                self.id, self.title, self.assignee, self.status, self.priority, self.created_at, self.started_at, lock,
                self.expires, pid, self.heartbeat, self.failures, self.max_retries, self.max_runtime, self.last_error,
                self.workspace.0, self.workspace.1, run.transpose()?,
            ],
        )?;
        for (kind, at) in &self.events {
            let sql = "INSERT INTO task_events (task_id, kind, created_at) VALUES (?1, ?2, ?3)";
            db.execute(sql, params![self.id, kind, at])?;
        }
        for (body, at) in &self.comments {
            let sql = "INSERT INTO task_comments (task_id, author, body, created_at) VALUES (?1, 'x', ?2, ?3)";
            db.execute(sql, params![self.id, body, at])?;
        }
        for parent in &self.parents {
            db.execute(
                "INSERT INTO task_links VALUES (?1, ?2)",
                params![parent, self.id],
            )?;
        }
        Ok(())
    }

    fn lock(&self, host: &str) -> Option<String> {
        match self.holder? {
            Holder::Peer => Some(format!("{host}:999")),
            Holder::Ours => Some(format!("rs.{host}:999:abc:0")),
            Holder::Elsewhere => Some("elsewhere:77".to_owned()),
            Holder::Nobody => None,
        }
    }
}

/// What is on every board beside the drawn tasks: parents in each state, and what newer programs add.
pub(super) fn furnish(db: &Connection) -> Result {
    for (id, status) in [
        ("t_done", "done"),
        ("t_archived", "archived"),
        ("t_triage", "triage"),
        ("t_scheduled", "scheduled"),
        ("t_cancelled", "cancelled"),
    ] {
        let sql = "INSERT INTO tasks (id, title, status, created_at) VALUES (?1, 'parent', ?2, 1)";
        db.execute(sql, params![id, status])?;
    }
    Ok(db.execute_batch(
        "ALTER TABLE tasks ADD COLUMN reasoning_effort TEXT DEFAULT 'high';
         ALTER TABLE tasks ADD COLUMN worker_started_at INTEGER;
         ALTER TABLE task_runs ADD COLUMN worker_started_at INTEGER;
         ALTER TABLE kanban_notify_subs ADD COLUMN delivery_mode TEXT NOT NULL DEFAULT 'notify';
         CREATE TABLE recipes (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO recipes VALUES (1, 'soup');
         INSERT INTO kanban_notify_subs (task_id, platform, chat_id, created_at) VALUES ('t_done', 'x', 'y', 1);
         INSERT INTO task_attachments (task_id, filename, stored_path, created_at) VALUES ('t_done', 'f', '/f', 1);",
    )?)
}
