//! Saying that a task cannot go on now: blocked, or put off; and that it can after all.

use rusqlite::Transaction;

use super::super::event::{self, Payload, RunEnd};
use super::super::store::Store;
use super::super::value;
use super::comment::comment;
use super::{Asked, Result, waits};
use crate::error::{Error, ErrorKind};

/// A task blocked this often in a row for the same kind of reason goes to triage instead.
const BLOCKS_MAX: i64 = 2;

const KINDS: [&str; 4] = ["dependency", "needs_input", "capability", "transient"];

/// Why a task cannot go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The attempt that reports it; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// What is missing.
    pub reason: Option<String>,
    /// `dependency`, `needs_input`, `capability` or `transient`; only for a block.
    pub kind: Option<String>,
    /// Who says so: with it the reason is kept as a comment too, in the same transaction.
    pub author: Option<String>,
}

impl Block {
    fn comment(&self, tx: &Transaction<'_>, id: &str, word: &str, now: i64) -> Result {
        match (&self.author, &self.reason) {
            (Some(author), Some(reason)) => {
                comment(tx, id, author, &format!("{word}: {reason}"), now).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Ends the open attempt, or keeps the reason as one that ended at once.
    fn end_run(
        &self,
        tx: &Transaction<'_>,
        id: &str,
        outcome: &str,
        now: i64,
    ) -> Result<Option<i64>> {
        let reason = self.reason.as_deref();
        let end = RunEnd {
            status: outcome,
            outcome,
            summary: reason,
            ..RunEnd::default()
        };
        Ok(match event::end_run(tx, id, &end, now)? {
            None if reason.is_some_and(|reason| !reason.is_empty()) => {
                let none = Payload::new();
                Some(event::instant_run(tx, id, outcome, reason, &none, now)?)
            }
            run => run,
        })
    }
}

impl Store {
    /// running or ready -> blocked; `dependency` -> todo; a second block of the same kind in a row -> triage. The new status.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), and [`ErrorKind::Input`] for an unknown kind.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Block, Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "ask".into(), ..NewTask::default() })?;
    /// let why = Block { reason: Some("which quarter?".into()), ..Block::default() };
    /// assert_eq!(store.block(&id, &why)?, "blocked");
    /// assert_eq!(store.unblock(&id)?, "ready");
    /// assert_eq!(store.block(&id, &why)?, "triage", "the same again");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn block(&mut self, id: &str, block: &Block) -> Result<&'static str> {
        let kind = block.kind.as_deref();
        if let Some(unknown) = kind.filter(|kind| !KINDS.contains(kind)) {
            let what = format!("block as \"{unknown}\": allowed are {}", KINDS.join(", "));
            return Err(Error::new(ErrorKind::Input, what).on(self.slug()));
        }
        self.write(|tx, now| {
            let asked = Asked {
                verb: "block",
                allowed: &["running", "ready"],
                run: block.run,
            };
            asked.of(tx, id)?;
            // With the block or not at all: a comment about a block that was refused would mislead.
            block.comment(tx, id, "BLOCKED", now)?;
            let (status, event_kind, payload, count) = judge(tx, id, block)?;
            tx.execute(
                "UPDATE tasks SET status = ?2, claim_lock = NULL, claim_expires = NULL, worker_pid = NULL, \
                 block_kind = ?3, block_recurrences = COALESCE(?4, block_recurrences) WHERE id = ?1",
                (id, status, kind, count),
            )?;
            let run = block.end_run(tx, id, "blocked", now)?;
            event::append(tx, id, event_kind, &payload, run, now)?;
            Ok(status)
        })
    }

    /// todo, ready, running or blocked -> scheduled: put off until somebody unblocks it.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Block, Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "later".into(), ..NewTask::default() })?;
    /// store.schedule(&id, &Block { reason: Some("after the holidays".into()), ..Block::default() })?;
    /// assert_eq!(store.show(&id)?.task.status, "scheduled");
    /// assert_eq!(store.unblock(&id)?, "ready");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn schedule(&mut self, id: &str, why: &Block) -> Result {
        self.write(|tx, now| {
            let asked = Asked {
                verb: "schedule",
                allowed: &["todo", "ready", "running", "blocked"],
                run: why.run,
            };
            asked.of(tx, id)?;
            why.comment(tx, id, "SCHEDULED", now)?;
            tx.execute(
                "UPDATE tasks SET status = 'scheduled', claim_lock = NULL, claim_expires = NULL, worker_pid = NULL \
                 WHERE id = ?1",
                [id],
            )?;
            let run = why.end_run(tx, id, "scheduled", now)?;
            let payload = Payload::new().with("reason", why.reason.clone());
            event::append(tx, id, "scheduled", &payload, run, now)?;
            Ok(())
        })
    }

    /// blocked or scheduled -> ready, or todo while a parent is not done; the failure count starts anew. The new status.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn unblock(&mut self, id: &str) -> Result<&'static str> {
        self.unblock_because(id, &Block::default())
    }

    /// The same with a reason, which is kept as a comment if `why` names its author.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn unblock_because(&mut self, id: &str, why: &Block) -> Result<&'static str> {
        self.write(|tx, now| {
            let asked = Asked {
                verb: "unblock",
                allowed: &["blocked", "scheduled"],
                run: why.run,
            };
            asked.of(tx, id)?;
            why.comment(tx, id, "UNBLOCK", now)?;
            let waits = waits(tx, id)?;
            let status = if waits { "todo" } else { "ready" };
            let leaked = RunEnd {
                status: "reclaimed",
                outcome: "reclaimed",
                ..RunEnd::default()
            };
            event::end_run(tx, id, &leaked, now)?;
            tx.execute(
                "UPDATE tasks SET status = ?2, consecutive_failures = 0, last_failure_error = NULL WHERE id = ?1",
                (id, status),
            )?;
            let payload = Payload::new().with_some("status", waits.then_some("todo"));
            event::append(tx, id, "unblocked", &payload, None, now)?;
            Ok(status)
        })
    }
}

/// Where a block leads: the status, the event's kind and payload, and the new count of its kind.
fn judge(
    tx: &Transaction<'_>,
    id: &str,
    block: &Block,
) -> Result<(&'static str, &'static str, Payload, Option<i64>)> {
    let kind = block.kind.as_deref();
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
    Ok(match kind {
        Some("dependency") => ("todo", "dependency_wait", reason, None),
        _ if count >= BLOCKS_MAX => {
            let payload = recurring.with("limit", BLOCKS_MAX);
            ("triage", "block_loop_detected", payload, Some(count))
        }
        _ => ("blocked", "blocked", recurring, Some(count)),
    })
}
