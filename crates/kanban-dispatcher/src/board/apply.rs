//! Writes a decision: one transaction, every change guarded by what the decision saw. If a row refuses, it is begun anew.

use rusqlite::{Connection, Result};

use super::claim::take;
use super::event::{self, Payload, current_run};
use super::failure::fail;
use super::given_back::{self, assign, give_back_stale, release, set_aside};
use super::txn::{Change, Txn, is_refusal};
use super::work::Work;
use crate::transition::{Claim, Transition};
use crate::view::Status;

/// What became of a decision.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Changes that were written.
    pub(crate) written: Vec<Transition>,
    /// Tasks that somebody else changed in between: left as they are, and seen as they are by the next look.
    pub(crate) lost: Vec<String>,
    /// Tasks whose row refused the change, by a constraint or a trigger that says so: left as they are, and the next look decides the same.
    pub(crate) refused: Vec<String>,
    /// Tasks that are now ours to start.
    pub(crate) claimed: Vec<Work>,
}

/// Writes `transitions` and then `claims` in one transaction. A change whose guard fails is skipped, and so is one that its row refuses; any
/// other error undoes all, and so does a refusal of the whole transaction.
pub(crate) fn apply(
    db: &mut Connection,
    transitions: &[Transition],
    claims: &[Claim],
    now: i64,
) -> Result<Applied> {
    apply_while(db, transitions, claims, now, || true)
}

/// Whether a write could begin now. Nothing is written.
pub(crate) fn prove_writable(db: &mut Connection) -> Result<()> {
    Txn::write(db)?.rollback()
}

/// As [`apply`], but each claim only if `may_claim` still says so. It is asked with the write lock held: to get it may take a while.
pub(crate) fn apply_while(
    db: &mut Connection,
    transitions: &[Transition],
    claims: &[Claim],
    now: i64,
    may_claim: impl Fn() -> bool,
) -> Result<Applied> {
    if transitions.is_empty() && claims.is_empty() {
        return Ok(Applied::default());
    }
    let mut attempt = |how| attempt(db, transitions, claims, now, &may_claim, how);
    // Hardly a row ever refuses, and savepoints are a good part of what a claim costs.
    match attempt(Change::Bare) {
        Err(error) if is_refusal(&error) => attempt(Change::InSavepoint),
        done => done,
    }
}

/// One transaction.
fn attempt(
    db: &mut Connection,
    transitions: &[Transition],
    claims: &[Claim],
    now: i64,
    may_claim: impl Fn() -> bool,
    how: Change,
) -> Result<Applied> {
    let mut applied = Applied::default();
    // A claim must last from when its worker begins: `record_started` syncs it with the worker's identity, before a gate opens.
    let tx = match transitions.is_empty() {
        true => Txn::write_unsynced(db)?,
        false => Txn::write(db)?,
    };
    for transition in transitions {
        let task = transition.task();
        match how.run(&tx, task, |db| write(db, transition, now))? {
            Some(true) => applied.written.push(transition.clone()),
            Some(false) => applied.lost.push(task.to_owned()),
            None => applied.refused.push(task.to_owned()),
        }
    }
    for claim in claims.iter().take_while(|_| may_claim()) {
        match how.run(&tx, &claim.task, |db| take(db, claim, now))? {
            Some(Some(work)) => applied.claimed.push(work),
            Some(None) => applied.lost.push(claim.task.clone()),
            None => applied.refused.push(claim.task.clone()),
        }
    }
    tx.commit()?;
    Ok(applied)
}

/// Writes promotions inside a transaction of the caller's. A row that refuses its own stays where it is.
pub(super) fn promote(db: &Connection, promotions: &[Transition], now: i64) -> Result<()> {
    for promotion in promotions {
        Change::InSavepoint.run(db, promotion.task(), |db| write(db, promotion, now))?;
    }
    Ok(())
}

fn write(db: &Connection, transition: &Transition, now: i64) -> Result<bool> {
    match transition {
        Transition::Renew {
            task,
            lock,
            expires,
        } => renew(db, task, lock, *expires),
        Transition::Extend {
            task,
            lock,
            pid,
            expires_was,
            expires,
            last_heartbeat_at,
        } => {
            let payload = Payload::new()
                .with("reason", "pid_alive")
                .with("worker_pid", *pid)
                .with("claim_lock", lock.as_str())
                .with("claim_expires_was", *expires_was)
                .with("claim_expires_now", *expires)
                .with("last_heartbeat_at", *last_heartbeat_at);
            Ok(renew(db, task, lock, *expires)? && {
                event::append(
                    db,
                    task,
                    "claim_extended",
                    &payload,
                    current_run(db, task)?,
                    now,
                )?;
                true
            })
        }
        Transition::Reclaim(reclaim) => release(db, reclaim, now),
        Transition::Stale(stale) => give_back_stale(db, stale, now),
        Transition::Fail(failure) => fail(db, failure, now),
        Transition::Assign { task, assignee } => assign(db, task, assignee, now),
        Transition::Guard { task, reason } => given_back::guard(db, task, reason, now),
        Transition::SetAside { task, reason } => set_aside(db, task, reason, now),
        Transition::Probe { task, give_ups } => {
            let payload = Payload::new()
                .with("reason", "probe")
                .with("give_ups", *give_ups);
            Ok(step(db, task, Status::Blocked, Status::Ready)? && {
                event::append(db, task, "promoted", &payload, None, now)?;
                true
            })
        }
        Transition::Promote { task, from } => Ok(step(db, task, *from, Status::Ready)? && {
            event::append(db, task, "promoted", &Payload::new(), None, now)?;
            true
        }),
        Transition::Demote { task } => {
            let payload = Payload::new().with("reason", "parents_not_done");
            Ok(step(db, task, Status::Ready, Status::Todo)? && {
                event::append(db, task, "claim_rejected", &payload, None, now)?;
                true
            })
        }
    }
}

fn step(db: &Connection, task: &str, from: Status, to: Status) -> Result<bool> {
    let rows = db
        .prepare_cached("UPDATE tasks SET status = ?3 WHERE id = ?1 AND status = ?2")?
        .execute((task, from.as_str(), to.as_str()))?;
    Ok(rows == 1)
}

fn renew(db: &Connection, task: &str, lock: &str, expires: i64) -> Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE tasks SET claim_expires = ?3 WHERE id = ?1 AND status = 'running' AND claim_lock = ?2",
        )?
        .execute((task, lock, expires))?;
    if rows == 1 {
        db.prepare_cached(
            "UPDATE task_runs SET claim_expires = ?2 WHERE ended_at IS NULL \
             AND id = (SELECT current_run_id FROM tasks WHERE id = ?1)",
        )?
        .execute((task, expires))?;
    }
    Ok(rows == 1)
}

/// running -> `to`, the claim cleared, guarded by the exact lock and pid. The lock of a task that has none is the empty text.
pub(super) fn leave_running(
    db: &Connection,
    task: &str,
    lock: &str,
    pid: Option<i64>,
    to: Status,
) -> Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE tasks SET status = ?4, claim_lock = NULL, claim_expires = NULL, worker_pid = NULL \
             WHERE id = ?1 AND status = 'running' AND COALESCE(claim_lock, '') = ?2 AND worker_pid IS ?3",
        )?
        .execute((task, lock, pid, to.as_str()))?;
    Ok(rows == 1)
}

#[cfg(test)]
mod tests;
