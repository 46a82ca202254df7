//! The limit of a claim: its rows and its sync, and nothing that a dispatcher has to find out before.

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
}

impl Plain {
    pub(super) fn new(plan: &Plan, sql: &str) -> Result<Self> {
        let fleet = Fleet::new(&plan.place, 1, sql)?;
        Ok(Self {
            db: connect(&fleet.boards[0])?,
            _fleet: fleet,
        })
    }

    /// Nanoseconds.
    pub(super) fn round(&mut self, round: usize, ready: usize) -> Result<f64> {
        write(&self.db, &feed(round, ready))?;
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
    for id in &ids {
        let mut run = transaction.prepare_cached(
            "INSERT INTO task_runs (task_id, profile, status, claim_lock, claim_expires, started_at) \
             VALUES (?1, 'coder', 'running', 'lock', 900, 1)",
        )?;
        run.execute([id])?;
        let run = transaction.last_insert_rowid();
        let mut task = transaction.prepare_cached(
            "UPDATE tasks SET status = 'running', claim_lock = 'lock', claim_expires = 900, started_at = 1, \
             current_run_id = ?2 WHERE id = ?1 AND status = 'ready' AND claim_lock IS NULL",
        )?;
        task.execute(params![id, run])?;
        let mut event = transaction.prepare_cached(
            "INSERT INTO task_events (task_id, run_id, kind, payload, created_at) VALUES (?1, ?2, 'claimed', '{}', 1)",
        )?;
        event.execute(params![id, run])?;
    }
    transaction.commit()?;
    Ok(ids.len())
}
