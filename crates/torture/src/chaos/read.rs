//! Reads boards and diaries when all is over.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, Row};

use super::diary::Diary;
use super::history::{Board, Event, History, Run, Task};
use super::place::{Place, Spot};
use crate::Result;

pub(super) fn history(place: &Place) -> Result<History> {
    Ok(History {
        boards: place.boards.iter().map(board).collect::<Result<_>>()?,
        workers: Diary::all(&place.diaries())?,
        acks: place.acks(),
        faults: place.faults(),
        ..History::default()
    })
}

/// Tasks that the dispatcher could go on with.
pub(super) fn open_tasks(spot: &Spot) -> Result<i64> {
    let db = spot.connect(Duration::from_secs(10))?;
    let sql = "SELECT count(*) FROM tasks t WHERE status IN ('ready', 'running') OR (status = 'todo' AND NOT EXISTS \
               (SELECT 1 FROM task_links l JOIN tasks p ON p.id = l.parent_id \
                WHERE l.child_id = t.id AND p.status NOT IN ('done', 'archived')))";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

fn board(spot: &Spot) -> Result<Board> {
    let db = spot.connect(Duration::from_secs(30))?;
    let integrity: Vec<String> = all(&db, "PRAGMA integrity_check", |row| row.get(0))
        .unwrap_or_else(|error| vec![error.to_string()]);
    Ok(Board {
        slug: spot.slug().to_owned(),
        integrity: integrity.join("; "),
        tasks: read(&db, TASKS, task),
        runs: read(&db, RUNS, run),
        events: read(&db, EVENTS, event),
        comments: read(&db, "SELECT task_id, body FROM task_comments", |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .into_iter()
        .collect::<HashSet<_>>(),
    })
}

const TASKS: &str = "SELECT id, status, priority, max_runtime_seconds, EXISTS (SELECT 1 FROM task_links l \
    JOIN tasks p ON p.id = l.parent_id WHERE l.child_id = t.id AND p.status NOT IN ('done', 'archived')) FROM tasks t";
const RUNS: &str = "SELECT id, task_id, outcome, summary, error FROM task_runs";
const EVENTS: &str =
    "SELECT task_id, run_id, kind, payload, created_at FROM task_events ORDER BY id";

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: row.get(0)?,
        status: row.get(1)?,
        priority: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
        max_runtime: row.get(3)?,
        waits: row.get(4)?,
    })
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        task: row.get(1)?,
        outcome: row.get(2)?,
        summary: row.get(3)?,
        error: row.get(4)?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let payload: Option<String> = row.get(3)?;
    Ok(Event {
        task: row.get(0)?,
        run: row.get(1)?,
        kind: row.get(2)?,
        payload: payload
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        created_at: row.get(4)?,
    })
}

/// What of it can be read: on a damaged board the rest counts as missing.
fn read<T>(db: &Connection, sql: &str, get: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    all(db, sql, get).unwrap_or_default()
}

fn all<T>(
    db: &Connection,
    sql: &str,
    get: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    Ok(db
        .prepare(sql)?
        .query_map([], get)?
        .collect::<rusqlite::Result<_>>()?)
}
