//! The limit of a claim: its rows, and nothing that a dispatcher has to find out before but which tasks are ready. Then the rows of its
//! failure, and one sync for both.

use rusqlite::{Connection, TransactionBehavior, params};

use super::Plan;
use super::claims::{feed, write};
use crate::Result;
use crate::fleet::{Fleet, connect};
use crate::meter::measured;

/// The claims alone, and their failures alone: the rows of each in one transaction, by prepared statements.
pub(super) struct Plain {
    _fleet: Fleet,
    db: Connection,
    /// Whoever makes tasks ready: what another connection has written is in nobody's cache.
    feeder: Connection,
}

impl Plain {
    pub(super) fn new(plan: &Plan, sql: &str) -> Result<Self> {
        let fleet = Fleet::new(&plan.place, 1, sql)?;
        Ok(Self {
            db: connect(&fleet.boards[0])?,
            feeder: connect(&fleet.boards[0])?,
            _fleet: fleet,
        })
    }

    /// Nanoseconds until all are claimed, and until all have failed, which is synced.
    pub(super) fn round(&mut self, round: usize, ready: usize) -> Result<(f64, f64)> {
        write(&self.feeder, &feed(round, ready))?;
        self.db.execute_batch("PRAGMA synchronous = NORMAL")?;
        let (claimed, until_claimed) = measured(|| claim_all(&mut self.db));
        let claimed = claimed?;
        self.db.execute_batch("PRAGMA synchronous = FULL")?;
        let (failed, until_failed) = measured(|| fail_all(&mut self.db, &claimed));
        failed?;
        match claimed.len() == ready {
            true => Ok((until_claimed.wall, until_claimed.wall + until_failed.wall)),
            false => Err("the limit has not claimed them all".into()),
        }
    }
}

/// The tasks and their attempts.
fn claim_all(db: &mut Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut ready = transaction
        .prepare_cached("SELECT id FROM tasks WHERE status = 'ready' AND assignee IS NOT NULL")?;
    let ids: Vec<String> = ready
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    drop(ready);
    let mut claimed = Vec::with_capacity(ids.len());
    let (lock, expires) = ("rs.host:12345:6553f100:1", 1_700_000_900);
    for id in ids {
        let mut run = transaction.prepare_cached(
            "INSERT INTO task_runs (task_id, profile, status, claim_lock, claim_expires, started_at) \
             VALUES (?1, 'coder', 'running', ?2, ?3, 1700000000)",
        )?;
        run.execute(params![id, lock, expires])?;
        let run = transaction.last_insert_rowid();
        let mut task = transaction.prepare_cached(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, claim_expires = ?3, started_at = 1700000000, \
             last_heartbeat_at = NULL, worker_pid = NULL, current_run_id = ?4 \
             WHERE id = ?1 AND status = 'ready' AND claim_lock IS NULL",
        )?;
        task.execute(params![id, lock, expires, run])?;
        let mut event = transaction.prepare_cached(
            "INSERT INTO task_events (task_id, run_id, kind, payload, created_at) \
             VALUES (?1, ?2, 'claimed', ?3, 1700000000)",
        )?;
        let payload = format!(r#"{{"lock": "{lock}", "expires": {expires}, "run_id": {run}}}"#);
        event.execute(params![id, run, payload])?;
        claimed.push((id, run));
    }
    transaction.commit()?;
    Ok(claimed)
}

fn fail_all(db: &mut Connection, claimed: &[(String, i64)]) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (id, run) in claimed {
        let mut end = transaction.prepare_cached(
            "UPDATE task_runs SET status = 'failed', outcome = 'spawn_failed', error = 'refused', ended_at = 1700000000, \
             claim_lock = NULL, claim_expires = NULL WHERE id = ?1 AND ended_at IS NULL",
        )?;
        end.execute([run])?;
        let mut task = transaction.prepare_cached(
            "UPDATE tasks SET status = 'ready', claim_lock = NULL, claim_expires = NULL, current_run_id = NULL, \
             consecutive_failures = consecutive_failures + 1, last_failure_error = 'refused' WHERE id = ?1 AND status = 'running'",
        )?;
        task.execute([id])?;
        let mut event = transaction.prepare_cached(
            "INSERT INTO task_events (task_id, run_id, kind, payload, created_at) \
             VALUES (?1, ?2, 'spawn_failed', '{\"error\": \"refused\"}', 1700000000)",
        )?;
        event.execute(params![id, run])?;
    }
    transaction.commit()
}
