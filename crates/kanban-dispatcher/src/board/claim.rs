//! The claim: the compare-and-swap by which exactly one dispatcher gets a task.

use rusqlite::{Connection, Error, OptionalExtension, Result};

use super::event::{self, Payload};
use super::free::open_parent;
use super::value;
use super::work::{self, Work};
use crate::transition::Claim;
use crate::view::Status;

/// The skill of whoever looks over another's work; its worker gets no other.
const REVIEW_SKILL: &str = "sdlc-review";

/// ready or review -> running, if it is still there and unclaimed; a ready one also has no open parent. The caller holds the write lock.
pub(super) fn take(db: &Connection, claim: &Claim, now: i64) -> Result<Option<Work>> {
    let Claim {
        task,
        from,
        lock,
        expires,
    } = claim;
    let is_review = *from == Status::Review;
    let sql = concat!(
        "SELECT ",
        work::columns!(),
        ", rowid, current_run_id FROM tasks t WHERE id = ?1 AND status = ?2 AND claim_lock IS NULL AND (?2 = 'review' OR NOT ",
        open_parent!(),
        ")"
    );
    let found = db
        .prepare_cached(sql)?
        .query_row((task, from.as_str()), |row| {
            let work = work::of_row(row, task, lock)?;
            Ok((work, row.get(11)?, value::integer(row, 12)?))
        })
        .optional()?;
    let Some((mut work, row, last)) = found else {
        return Ok(None);
    };
    let row: i64 = row;
    if let Some(last) = last {
        db.prepare_cached(
            "UPDATE task_runs SET status = 'reclaimed', outcome = 'reclaimed', ended_at = ?2, \
             summary = COALESCE(summary, 'run left open by an earlier claim'), \
             claim_lock = NULL, claim_expires = NULL, worker_pid = NULL WHERE id = ?1 AND ended_at IS NULL",
        )?
        .execute((last, now))?;
    }
    let made = db
        .prepare_cached(
            "INSERT INTO task_runs (task_id, profile, step_key, status, claim_lock, claim_expires, max_runtime_seconds, \
             started_at) SELECT id, assignee, current_step_key, 'running', ?2, ?3, max_runtime_seconds, ?4 FROM tasks \
             WHERE rowid = ?1",
        )?
        .execute((row, lock, expires, now))?;
    exactly_one(made)?;
    work.run = db.last_insert_rowid();
    let changed = db
        .prepare_cached(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, claim_expires = ?3, started_at = COALESCE(started_at, ?4), \
             last_heartbeat_at = NULL, worker_pid = NULL, current_run_id = ?5 WHERE id = ?1",
        )?
        .execute((task, lock, expires, now, work.run))?;
    exactly_one(changed)?;
    let payload = Payload::new()
        .with("lock", lock.as_str())
        .with("expires", *expires)
        .with("run_id", work.run)
        .with_some("source_status", is_review.then_some(from.as_str()));
    event::append(db, task, "claimed", &payload, Some(work.run), now)?;
    if is_review {
        work.skills = vec![REVIEW_SKILL.to_owned()];
    }
    Ok(Some(work))
}

/// A trigger may ignore a change and say nothing; and where the key is gone from the table, two rows may have one id.
fn exactly_one(rows: usize) -> Result<()> {
    match rows {
        1 => Ok(()),
        rows => Err(Error::StatementChangedRows(rows)),
    }
}
