//! A board to be ticked by both programs: one task or many, each with a past, drawn from a seed.

use rusqlite::{Connection, params};

use super::super::house::Result;
use super::seed::Seed;

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

/// Texts that stand for what workers and people write; some only look like trouble.
const ERRORS: [&str; 14] = [
    "pid 4711 exited with code 1",
    "pid 429 exited with code 3",
    "pid 403 not alive",
    "HTTP 401 Unauthorized",
    "HTTP 429 from the provider",
    "rate-limit reached",
    "ratelimit",
    "Author unknown",
    "the authority said no",
    "unauthored text",
    "quota_exceeded",
    "permission denied: /x",
    "invalid_api key",
    "disk on fire",
];

const COMMENTS: [&str; 6] = [
    "see https://github.com/o/r/pull/12",
    "see HTTPS://GitHub.com/o/r/PULL/3?x",
    "https://github.com/o/r/issues/12",
    "https://github.com/o/r/pull/",
    "https://github.com//r/pull/1 and https://github.com/a/b/pull/7",
    "well done",
];

const PARENTS: [&str; 6] = [
    "t_done",
    "t_archived",
    "t_triage",
    "t_scheduled",
    "t_gone",
    "t_cancelled",
];

/// Everything that a whole group of boards keeps to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flavour {
    /// Only what neither program judges differently: for boards with limits, where one difference makes others.
    pub(super) calm: bool,
    pub(super) review: bool,
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

    pub(super) fn drawn(n: usize, flavour: Flavour, Now(now): Now, seed: &mut Seed) -> Self {
        let status = seed.pick(&[
            "todo",
            "ready",
            "ready",
            "ready",
            "running",
            "running",
            "running",
            "blocked",
            "blocked",
            "review",
            "scheduled",
            "triage",
            "done",
            "archived",
            "stalled",
        ]);
        let status = match status {
            "review" if flavour.calm && !flavour.review => "ready",
            status => status,
        };
        let mut task = Self::new(&format!("t_{n:08x}"), status);
        task.assignee = seed.pick(&[
            Some("coder"),
            Some("coder"),
            Some("coder"),
            Some("tester"),
            Some("Coder "),
            Some("default"),
            Some("nobody-here"),
            None,
            Some(""),
        ]);
        task.priority = seed.pick(&[Some(0), Some(0), Some(5), Some(-3), None]);
        task.created_at = now - seed.below(5) * 1000;
        task.failures = seed.pick(&[0, 0, 0, 1, 2, 7]);
        task.max_retries = seed.pick(&[None, None, None, None, Some(0), Some(1), Some(3)]);
        task.max_runtime = seed.pick(&[None, None, None, Some(60), Some(100_000)]);
        task.title = seed.pick(&[
            "work",
            "work",
            "work",
            "work",
            "raise: no such program",
            "raise: HTTP 403 forbidden",
        ]);
        task.workspace = seed.pick(&[
            ("scratch", None),
            ("scratch", None),
            ("scratch", None),
            ("dir", None),
            ("dir", Some("relative/path")),
        ]);
        if seed.one_in(3) {
            task.parents.push(seed.pick(&PARENTS));
        }
        if seed.one_in(3) {
            task.last_error = Some(seed.pick(&ERRORS));
        }
        if seed.one_in(6) {
            task.comments.push((
                seed.pick(&COMMENTS),
                now - seed.pick(&[10, 86_400, 86_401, 200_000]),
            ));
        }
        task.draw_past(now, seed);
        if status == "running" {
            task.draw_claim(flavour, now, seed);
        } else if seed.one_in(12) {
            // A claim that should not be there.
            task.holder = Some(Holder::Elsewhere);
            task.expires = Some(now - 10);
        }
        if flavour.calm {
            task.calm_down(now);
        }
        task
    }

    fn draw_past(&mut self, now: i64, seed: &mut Seed) {
        let mut at = now - 20_000;
        for _ in 0..seed.below(4) {
            at += seed.pick(&[100, 4_000, 9_000]);
            let outcome = seed.pick(&[
                "completed",
                "crashed",
                "crashed",
                "rate_limited",
                "spawn_failed",
                "reclaimed",
                "timed_out",
                "gave_up",
            ]);
            let is_violation = outcome == "crashed" && seed.one_in(2);
            self.past.push(Past {
                outcome,
                ended_at: at.min(now - 1),
                is_violation,
            });
        }
        if let Some(last) = self.past.last_mut()
            && seed.one_in(3)
        {
            last.ended_at = now - seed.pick(&[1, 299, 300, 3_600, 3_601]);
        }
        self.past.sort_by_key(|past| past.ended_at);
        // Which of two that ended at once is the newer, the peer leaves open.
        self.past.dedup_by_key(|past| past.ended_at);
        for _ in 0..seed.below(3) {
            let kind = seed.pick(&[
                "blocked",
                "unblocked",
                "status",
                "promoted",
                "reclaimed",
                "commented",
            ]);
            self.events
                .push((kind, now - seed.pick(&[1, 250, 3_000, 30_000])));
        }
        if !self.past.is_empty() {
            self.started_at = Some(now - 30_000);
        }
    }

    fn draw_claim(&mut self, flavour: Flavour, now: i64, seed: &mut Seed) {
        let holder = seed.pick(&[
            Holder::Peer,
            Holder::Peer,
            Holder::Peer,
            Holder::Elsewhere,
            Holder::Ours,
            Holder::Nobody,
        ]);
        self.holder = Some(holder);
        self.expires = seed.pick(&[
            Some(now + 500),
            Some(now + 1),
            Some(now),
            Some(now - 1),
            Some(now - 4_000),
            None,
        ]);
        self.pid = seed.pick(&[Pid::None, Pid::Dead, Pid::Dead, Pid::Live]);
        let began = now - seed.pick(&[5, 29, 30, 59, 60, 7_199, 7_200, 14_399, 14_400, 20_000]);
        self.started_at = Some(self.started_at.unwrap_or(began));
        self.attempt = Some(began);
        self.heartbeat = seed.pick(&[
            None,
            None,
            Some(now - 10),
            Some(now - 3_599),
            Some(now - 3_600),
            Some(now - 3_601),
        ]);
        if flavour.calm {
            self.pid = Pid::None;
        }
    }

    /// Nothing here that the exceptions are about.
    fn calm_down(&mut self, now: i64) {
        self.title = "work";
        self.workspace = ("scratch", None);
        self.last_error = None;
        if self.assignee == Some("Coder ") {
            self.assignee = Some("coder");
        }
        if self.status == "running" {
            self.holder = Some(Holder::Elsewhere);
            self.expires = Some(now + 500);
            self.heartbeat = Some(now - 1);
            self.attempt = Some(now - 50);
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
         INSERT INTO task_attachments (task_id, filename, stored_path, created_at) VALUES ('t_done', 'f', '/f', 1);
         PRAGMA user_version = 7;",
    )?)
}
