//! A writer that knows nothing but the format: plain SQL, one immediate transaction for each write.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::Result;

const UNCLAIM: &str = "claim_lock = NULL, claim_expires = NULL, worker_pid = NULL";

/// A task in the ready column, with its event.
pub(super) fn create(db: &mut Connection, token: &str, priority: i64) -> Result<String> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id: String = tx.query_row(
        "INSERT INTO tasks (id, title, assignee, status, priority, created_by, created_at, workspace_kind) \
         VALUES ('t_' || lower(hex(randomblob(4))), ?1, 'anyone', 'ready', ?2, 'sql', unixepoch(), 'scratch') RETURNING id",
        params![token, priority],
        |row| row.get(0),
    )?;
    let payload = r#"{"assignee": "anyone", "status": "ready", "parents": [], "tenant": null, "branch_name": null, "skills": null, "goal_mode": null}"#;
    event(&tx, &id, None, "created", Some(payload))?;
    tx.commit()?;
    Ok(id)
}

pub(super) fn comment(db: &mut Connection, task: &str, token: &str) -> Result<bool> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute(
        "INSERT INTO task_comments (task_id, author, body, created_at) VALUES (?1, 'sql', ?2, unixepoch())",
        [task, token],
    )?;
    let payload = format!(r#"{{"author": "sql", "len": {}}}"#, token.len());
    event(&tx, task, None, "commented", Some(&payload))?;
    tx.commit()?;
    Ok(true)
}

/// running, ready or blocked -> done.
pub(super) fn complete(db: &mut Connection, task: &str, token: &str) -> Result<bool> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = tx.execute(
        &format!(
            "UPDATE tasks SET status = 'done', completed_at = unixepoch(), {UNCLAIM}, block_kind = NULL, \
             block_recurrences = 0, consecutive_failures = 0, last_failure_error = NULL \
             WHERE id = ?1 AND status IN ('running', 'ready', 'blocked')"
        ),
        [task],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    let run = end_run(&tx, task, "done", "completed", token)?;
    let payload = format!(r#"{{"result_len": 0, "summary": "{token}"}}"#);
    event(&tx, task, Some(run), "completed", Some(&payload))?;
    tx.commit()?;
    Ok(true)
}

/// running or ready -> blocked, or triage the second time.
pub(super) fn block(db: &mut Connection, task: &str, token: &str) -> Result<bool> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count: Option<i64> = tx
        .query_row(
            "SELECT CASE block_kind WHEN 'needs_input' THEN block_recurrences ELSE 0 END + 1 FROM tasks \
             WHERE id = ?1 AND status IN ('running', 'ready')",
            [task],
            |row| row.get(0),
        )
        .optional()?;
    let Some(count) = count else {
        return Ok(false);
    };
    let (status, kind, limit) = match count {
        ..2 => ("blocked", "blocked", ""),
        _ => ("triage", "block_loop_detected", r#", "limit": 2"#),
    };
    tx.execute(
        &format!("UPDATE tasks SET status = ?2, {UNCLAIM}, block_kind = 'needs_input', block_recurrences = ?3 WHERE id = ?1"),
        params![task, status, count],
    )?;
    let run = end_run(&tx, task, "blocked", "blocked", token)?;
    let payload =
        format!(r#"{{"reason": "{token}", "kind": "needs_input", "recurrences": {count}{limit}}}"#);
    event(&tx, task, Some(run), kind, Some(&payload))?;
    tx.commit()?;
    Ok(true)
}

/// blocked -> ready, or todo while a parent is not done.
pub(super) fn unblock(db: &mut Connection, task: &str) -> Result<bool> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let waits: bool = tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM task_links l JOIN tasks p ON p.id = l.parent_id \
         WHERE l.child_id = ?1 AND p.status <> 'done')",
        [task],
        |row| row.get(0),
    )?;
    let changed = tx.execute(
        "UPDATE tasks SET status = ?2, current_run_id = NULL, consecutive_failures = 0, last_failure_error = NULL \
         WHERE id = ?1 AND status = 'blocked'",
        [task, if waits { "todo" } else { "ready" }],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    let payload = waits.then_some(r#"{"status": "todo"}"#);
    event(&tx, task, None, "unblocked", payload)?;
    tx.commit()?;
    Ok(true)
}

/// Closes the open attempt, or makes one that began and ended now.
fn end_run(
    tx: &Transaction<'_>,
    task: &str,
    status: &str,
    outcome: &str,
    summary: &str,
) -> Result<i64> {
    let current: Option<i64> = tx.query_row(
        "SELECT current_run_id FROM tasks WHERE id = ?1",
        [task],
        |row| row.get(0),
    )?;
    let Some(run) = current else {
        tx.execute(
            "INSERT INTO task_runs (task_id, profile, status, outcome, summary, started_at, ended_at) \
             VALUES (?1, 'anyone', ?2, ?2, ?3, unixepoch(), unixepoch())",
            [task, outcome, summary],
        )?;
        return Ok(tx.last_insert_rowid());
    };
    tx.execute(
        &format!(
            "UPDATE task_runs SET status = ?2, outcome = ?3, summary = ?4, ended_at = unixepoch(), {UNCLAIM} \
             WHERE id = ?1 AND ended_at IS NULL"
        ),
        params![run, status, outcome, summary],
    )?;
    tx.execute(
        "UPDATE tasks SET current_run_id = NULL WHERE id = ?1",
        [task],
    )?;
    Ok(run)
}

pub(super) fn event(
    tx: &Transaction<'_>,
    task: &str,
    run: Option<i64>,
    kind: &str,
    payload: Option<&str>,
) -> Result {
    tx.execute(
        "INSERT INTO task_events (task_id, run_id, kind, payload, created_at) VALUES (?1, ?2, ?3, ?4, unixepoch())",
        params![task, run, kind, payload],
    )?;
    Ok(())
}
