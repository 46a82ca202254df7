//! What people and workers do to a task: create, complete, block, unblock, heartbeat. Each is one transaction.

use rusqlite::{OptionalExtension, Result, Transaction, TransactionBehavior};
use serde_json::{Map, Value};

use super::event::{self, Payload, RunEnd, to_spaced_json};
use super::query::no_task;
use super::store::Store;
use super::{apply, observe, value};
use crate::decide::promotions;
use crate::error::{Error, ErrorKind};

/// A task blocked this often in a row for the same kind of reason goes to triage instead.
const BLOCKS_MAX: i64 = 2;

/// The breaker limit that every program other than a dispatcher assumes when it promotes.
const DEFAULT_FAILURE_LIMIT: i64 = 2;

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
    /// An existing directory to work in; `None` gives it a scratch directory of its own.
    pub dir: Option<String>,
    /// Whose it is.
    pub tenant: Option<String>,
    /// Skills the worker is to load.
    pub skills: Vec<String>,
    /// The longest one attempt may take, seconds.
    pub max_runtime: Option<i64>,
    /// Its own limit for failures in a row.
    pub max_retries: Option<i64>,
    /// Who made it.
    pub created_by: Option<String>,
}

/// How a task was done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Complete {
    /// The attempt that reports it; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// The outcome in a few words.
    pub summary: Option<String>,
    /// The result itself.
    pub result: Option<String>,
    /// Anything else worth keeping.
    pub metadata: Map<String, Value>,
}

/// Why a task cannot go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The attempt that reports it; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// What is missing.
    pub reason: Option<String>,
    /// `dependency`, `needs_input`, `capability` or `transient`.
    pub kind: Option<String>,
}

impl Store {
    /// Makes a task: `ready`, or `todo` while a parent is not done. Returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty title; [`ErrorKind::NotFound`] for an unknown parent; [`ErrorKind::Sqlite`].
    pub fn create(&mut self, new: &NewTask) -> std::result::Result<String, Error> {
        let title = new.title.trim();
        if title.is_empty() {
            return Err(Error::new(
                ErrorKind::Input,
                "make a task: its title is empty",
            ));
        }
        let now = self.clock.unix();
        let assignee = new
            .assignee
            .as_deref()
            .map(|name| name.trim().to_lowercase());
        let assignee = assignee.filter(|name| !name.is_empty());
        let slug = self.slug().clone();
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut waits = false;
        for parent in &new.parents {
            let status = status(&tx, parent)?.ok_or_else(|| no_task(parent).on(&slug))?;
            waits |= status != "done";
        }
        let state = if waits { "todo" } else { "ready" };
        let skills = (!new.skills.is_empty()).then(|| to_spaced_json(&new.skills));
        let (kind, path) = match &new.dir {
            Some(dir) => ("dir", Some(dir)),
            None => ("scratch", None),
        };
        let id: String = tx.query_row(
            "INSERT INTO tasks (id, title, body, assignee, status, priority, created_by, created_at, workspace_kind, \
             workspace_path, tenant, skills, max_runtime_seconds, max_retries) \
             VALUES ('t_' || lower(hex(randomblob(4))), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
             RETURNING id",
            rusqlite::params![
                title, new.body, assignee, state, new.priority, new.created_by, now, kind, path, new.tenant,
                skills, new.max_runtime, new.max_retries
            ],
            |row| row.get(0),
        )?;
        for parent in &new.parents {
            tx.execute(
                "INSERT OR IGNORE INTO task_links (parent_id, child_id) VALUES (?1, ?2)",
                (parent, &id),
            )?;
        }
        let payload = Payload::new()
            .with("assignee", assignee)
            .with("status", state)
            .with("parents", new.parents.clone())
            .with("tenant", new.tenant.clone())
            .with("branch_name", Value::Null)
            .with(
                "skills",
                (!new.skills.is_empty()).then(|| new.skills.clone()),
            )
            .with("goal_mode", Value::Null);
        event::append(&tx, &id, "created", &payload, None, now)?;
        tx.commit()?;
        Ok(id)
    }

    /// running, ready or blocked -> done; children whose parents are now all done become ready.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Refused`] for another status, or when `run` is not the current attempt; nothing has
    /// changed then. [`ErrorKind::Sqlite`].
    pub fn complete(&mut self, id: &str, done: &Complete) -> std::result::Result<(), Error> {
        let now = self.clock.unix();
        let summary = done.summary.as_deref().or(done.result.as_deref());
        let mut tx = self.begin(id, "complete", &["running", "ready", "blocked"], done.run)?;
        tx.execute(
            "UPDATE tasks SET status = 'done', result = ?2, completed_at = ?3, claim_lock = NULL, claim_expires = NULL, \
             worker_pid = NULL, block_kind = NULL, block_recurrences = 0, consecutive_failures = 0, \
             last_failure_error = NULL WHERE id = ?1",
            (id, &done.result, now),
        )?;
        let metadata = Payload::from_map(done.metadata.clone());
        let has_words = summary.is_some_and(|text| !text.is_empty()) || !done.metadata.is_empty();
        let end = RunEnd {
            status: "done",
            outcome: "completed",
            summary,
            error: None,
            metadata: metadata.clone(),
        };
        let run = match event::end_run(&tx, id, &end, now)? {
            None if has_words => Some(event::instant_run(
                &tx,
                id,
                "completed",
                summary,
                &metadata,
                now,
            )?),
            run => run,
        };
        let line = summary.and_then(|text| text.trim().lines().next());
        let line: Option<String> = line.map(|line| line.chars().take(400).collect());
        let payload = Payload::new()
            .with(
                "result_len",
                done.result
                    .as_deref()
                    .map_or(0, |text| text.chars().count()),
            )
            .with("summary", line);
        event::append(&tx, id, "completed", &payload, run, now)?;
        promote(&mut tx, now)?;
        tx.commit()?;
        Ok(())
    }

    /// running or ready -> blocked; `dependency` -> todo; a second block of the same kind in a row -> triage. The new status.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), and [`ErrorKind::Input`] for an unknown kind.
    pub fn block(&mut self, id: &str, block: &Block) -> std::result::Result<&'static str, Error> {
        const KINDS: [&str; 4] = ["dependency", "needs_input", "capability", "transient"];
        let kind = block.kind.as_deref();
        if let Some(unknown) = kind.filter(|kind| !KINDS.contains(kind)) {
            let what = format!("block as \"{unknown}\": allowed are {}", KINDS.join(", "));
            return Err(Error::new(ErrorKind::Input, what));
        }
        let now = self.clock.unix();
        let tx = self.begin(id, "block", &["running", "ready"], block.run)?;
        let (stored, count): (Option<String>, Option<i64>) = tx.query_row(
            "SELECT block_kind, block_recurrences FROM tasks WHERE id = ?1",
            [id],
            |row| Ok((value::text(row, 0)?, value::number(row, 1)?)),
        )?;
        let count = if stored.as_deref() == kind {
            count.unwrap_or(0).saturating_add(1)
        } else {
            1
        };
        let reason = Payload::new()
            .with("reason", block.reason.clone())
            .with("kind", kind);
        let recurring = reason.clone().with("recurrences", count);
        let (status, event_kind, payload, count) = match kind {
            Some("dependency") => ("todo", "dependency_wait", reason, None),
            _ if count >= BLOCKS_MAX => {
                let payload = recurring.with("limit", BLOCKS_MAX);
                ("triage", "block_loop_detected", payload, Some(count))
            }
            _ => ("blocked", "blocked", recurring, Some(count)),
        };
        tx.execute(
            "UPDATE tasks SET status = ?2, claim_lock = NULL, claim_expires = NULL, worker_pid = NULL, block_kind = ?3, \
             block_recurrences = COALESCE(?4, block_recurrences) WHERE id = ?1",
            (id, status, kind, count),
        )?;
        let reason = block.reason.as_deref();
        let end = RunEnd {
            status: "blocked",
            outcome: "blocked",
            summary: reason,
            ..RunEnd::default()
        };
        let run = match event::end_run(&tx, id, &end, now)? {
            None if reason.is_some() => Some(event::instant_run(
                &tx,
                id,
                "blocked",
                reason,
                &Payload::new(),
                now,
            )?),
            run => run,
        };
        event::append(&tx, id, event_kind, &payload, run, now)?;
        tx.commit()?;
        Ok(status)
    }

    /// blocked or scheduled -> ready, or todo while a parent is not done; the failure count starts anew. The new status.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn unblock(&mut self, id: &str) -> std::result::Result<&'static str, Error> {
        let now = self.clock.unix();
        let tx = self.begin(id, "unblock", &["blocked", "scheduled"], None)?;
        let waits: bool = tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM task_links l JOIN tasks p ON p.id = l.parent_id \
             WHERE l.child_id = ?1 AND p.status <> 'done')",
            [id],
            |row| row.get(0),
        )?;
        let status = if waits { "todo" } else { "ready" };
        let leaked = RunEnd {
            status: "reclaimed",
            outcome: "reclaimed",
            ..RunEnd::default()
        };
        event::end_run(&tx, id, &leaked, now)?;
        tx.execute(
            "UPDATE tasks SET status = ?2, consecutive_failures = 0, last_failure_error = NULL WHERE id = ?1",
            (id, status),
        )?;
        let payload = Payload::new().with_some("status", waits.then_some("todo"));
        event::append(&tx, id, "unblocked", &payload, None, now)?;
        tx.commit()?;
        Ok(status)
    }

    /// A sign of life of a running task; with its claim's text the claim is renewed for `ttl` seconds too.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); the task must be running.
    pub fn heartbeat(
        &mut self,
        id: &str,
        run: Option<i64>,
        note: Option<&str>,
        claim: Option<(&str, i64)>,
    ) -> std::result::Result<(), Error> {
        let now = self.clock.unix();
        let tx = self.begin(id, "record a heartbeat of", &["running"], run)?;
        tx.execute(
            "UPDATE tasks SET last_heartbeat_at = ?2 WHERE id = ?1",
            (id, now),
        )?;
        tx.execute(
            "UPDATE task_runs SET last_heartbeat_at = ?2 WHERE ended_at IS NULL \
             AND id = (SELECT current_run_id FROM tasks WHERE id = ?1)",
            (id, now),
        )?;
        if let Some((lock, ttl)) = claim {
            let expires = now.saturating_add(ttl);
            let rows = tx.execute(
                "UPDATE tasks SET claim_expires = ?3 WHERE id = ?1 AND claim_lock = ?2",
                (id, lock, expires),
            )?;
            if rows == 1 {
                tx.execute(
                    "UPDATE task_runs SET claim_expires = ?2 WHERE ended_at IS NULL \
                     AND id = (SELECT current_run_id FROM tasks WHERE id = ?1)",
                    (id, expires),
                )?;
            }
        }
        let current = event::current_run(&tx, id)?;
        let payload = Payload::new().with_some("note", note);
        event::append(&tx, id, "heartbeat", &payload, current, now)?;
        tx.commit()?;
        Ok(())
    }

    /// Starts a write and checks that the task allows it and that the caller's attempt is the current one.
    fn begin(
        &mut self,
        id: &str,
        verb: &str,
        allowed: &[&str],
        run: Option<i64>,
    ) -> std::result::Result<Transaction<'_>, Error> {
        let slug = self.slug().clone();
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let status = status(&tx, id)?.ok_or_else(|| no_task(id).on(&slug))?;
        let refused = |why: String| {
            Err(Error::new(ErrorKind::Refused, format!("{verb} task {id}: {why}")).on(&slug))
        };
        if !allowed.contains(&status.as_str()) {
            return refused(format!(
                "it is {status}, allowed are {}",
                allowed.join(", ")
            ));
        }
        let current = event::current_run(&tx, id)?;
        match run {
            Some(run) if current != Some(run) => {
                let now = current.map_or("none is open".to_owned(), |now| format!("{now} is"));
                refused(format!(
                    "attempt {run} is no longer the current one ({now})"
                ))
            }
            _ => Ok(tx),
        }
    }
}

fn status(tx: &Transaction<'_>, id: &str) -> Result<Option<String>> {
    tx.query_row("SELECT status FROM tasks WHERE id = ?1", [id], |row| {
        Ok(value::text(row, 0)?.unwrap_or_else(|| "unreadable".to_owned()))
    })
    .optional()
}

fn promote(tx: &mut Transaction<'_>, now: i64) -> Result<()> {
    let promotions = promotions(observe::read(tx)?, DEFAULT_FAILURE_LIMIT);
    apply::promote(tx, &promotions, now)
}
