//! Claims that end without a failure, and what else the decision says about ready tasks, in the words of the board.

use rusqlite::{Connection, Result};

use super::apply::leave_running;
use super::event::{self, Payload, RunEnd};
use crate::transition::{Reclaim, Stale};
use crate::view::Status;

/// running -> ready: the claim ran out, or its worker is gone for no fault of the task.
pub(super) fn release(db: &Connection, reclaim: &Reclaim, now: i64) -> Result<bool> {
    let Reclaim {
        task, lock, pid, ..
    } = reclaim;
    if !leave_running(db, task, lock, *pid, Status::Ready)? {
        return Ok(false);
    }
    let named = (!lock.is_empty()).then_some(lock.as_str());
    let payload = Payload::new()
        .with("stale_lock", named)
        .with("worker_pid", *pid)
        .with("claim_expires", reclaim.expires)
        .with("last_heartbeat_at", reclaim.last_heartbeat_at)
        .with("now", now)
        .with("host_local", reclaim.host_local)
        .with("heartbeat_stale", reclaim.heartbeat_stale)
        .and(process(reclaim));
    let error = format!("stale_lock={}", named.unwrap_or("None"));
    let end = RunEnd {
        status: "reclaimed",
        outcome: "reclaimed",
        error: Some(&error),
        metadata: process(reclaim),
        ..RunEnd::default()
    };
    let run = event::end_run(db, task, &end, now)?;
    event::append(db, task, "reclaimed", &payload, run, now)?;
    Ok(true)
}

/// running -> ready: the attempt is old and silent.
pub(super) fn give_back_stale(db: &Connection, stale: &Stale, now: i64) -> Result<bool> {
    let Reclaim {
        task,
        lock,
        pid,
        last_heartbeat_at,
        ..
    } = &stale.claim;
    if !leave_running(db, task, lock, *pid, Status::Ready)? {
        return Ok(false);
    }
    db.prepare_cached("UPDATE tasks SET last_heartbeat_at = NULL WHERE id = ?1")?
        .execute([task])?;
    let payload = Payload::new()
        .with("elapsed_seconds", stale.elapsed)
        .with("last_heartbeat_at", *last_heartbeat_at)
        .with("heartbeat_age_seconds", stale.heartbeat_age)
        .with("timeout_seconds", stale.timeout)
        .with("pid", pid.filter(|pid| *pid != 0))
        .and(process(&stale.claim));
    let silence = match stale.heartbeat_age {
        Some(age) => format!("no heartbeat for {age}s"),
        None => "no heartbeat ever".to_owned(),
    };
    let error = format!("{silence} after {}s running", stale.elapsed);
    let end = RunEnd {
        status: "stale",
        outcome: "stale",
        error: Some(&error),
        metadata: payload.clone(),
        ..RunEnd::default()
    };
    let run = event::end_run(db, task, &end, now)?;
    event::append(db, task, "stale", &payload, run, now)?;
    Ok(true)
}

/// What became of the claim's process.
fn process(reclaim: &Reclaim) -> Payload {
    Payload::new()
        .with("prev_pid", reclaim.pid.filter(|pid| *pid != 0))
        .with("host_local", reclaim.host_local)
        .with("termination_attempted", reclaim.attempted)
        .with("terminated", reclaim.terminated)
        .with("sigkill", false)
}

/// A ready task that is nobody's becomes somebody's.
pub(super) fn assign(db: &Connection, task: &str, assignee: &str, now: i64) -> Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE tasks SET assignee = ?2 WHERE id = ?1 AND status = 'ready' AND COALESCE(assignee, '') = ''",
        )?
        .execute((task, assignee))?;
    let payload = Payload::new()
        .with("assignee", assignee)
        .with("source", "kanban.default_assignee");
    Ok(rows == 1 && {
        event::append(db, task, "assigned", &payload, None, now)?;
        true
    })
}

/// Tells why a ready task is not tried again yet.
pub(super) fn guard(db: &Connection, task: &str, reason: &str, now: i64) -> Result<bool> {
    let is_ready: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?1 AND status = 'ready')")?
        .query_row([task], |row| row.get(0))?;
    Ok(is_ready && {
        let payload = Payload::new().with("reason", reason);
        event::append(db, task, "respawn_guarded", &payload, None, now)?;
        true
    })
}

/// ready -> blocked: its row cannot be read, and a person is told what is wrong with it.
pub(super) fn set_aside(db: &Connection, task: &str, reason: &str, now: i64) -> Result<bool> {
    let rows = db
        .prepare_cached("UPDATE tasks SET status = 'blocked' WHERE id = ?1 AND status = 'ready'")?
        .execute([task])?;
    let payload = Payload::new().with("reason", reason);
    Ok(rows == 1 && {
        event::append(db, task, "blocked", &payload, None, now)?;
        true
    })
}
