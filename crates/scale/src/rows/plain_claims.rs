//! The limit of a claim: its rows and its sync, and nothing that a dispatcher has to find out before but which tasks are ready.

use rusqlite::{Connection, TransactionBehavior, params};

use super::Plan;
use super::claims::{feed, write};
use crate::Result;
use crate::fleet::{Fleet, connect};
use crate::meter::measured;

/// The claims alone: all their rows in one transaction, by prepared statements.
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

    /// Nanoseconds.
    pub(super) fn round(&mut self, round: usize, ready: usize) -> Result<f64> {
        write(&self.feeder, &feed(round, ready))?;
        let (done, cost) = measured(|| claim_all(&mut self.db));
        match done? == ready {
            true => Ok(cost.wall),
            false => Err("the limit has not claimed them all".into()),
        }
    }
}

fn claim_all(db: &mut Connection) -> rusqlite::Result<usize> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut ready = transaction
        .prepare_cached("SELECT id FROM tasks WHERE status = 'ready' AND assignee IS NOT NULL")?;
    let ids: Vec<String> = ready
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    drop(ready);
    let (lock, expires) = ("rs.host:12345:6553f100:1", 1_700_000_900);
    for id in &ids {
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
    }
    transaction.commit()?;
    Ok(ids.len())
}
