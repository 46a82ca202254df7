//! What a board remembers of its unfinished tasks: how attempts ended, what was said, when they were given up.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Result};

use super::value::{exact, text, time};
use crate::view::{Status, Task};
use crate::words::{is_refusal, names_pull_request};

/// How far back a streak of attempts is looked for.
const STREAK_MAX: usize = 50;

/// Fills in the pasts of tasks that may start in this tick, of those that may end, and of the blocked.
pub(super) fn read(db: &Connection, tasks: &mut [Task]) -> Result<()> {
    let mut ends = ends(db)?;
    let mut requests = pull_requests(db)?;
    for task in tasks
        .iter_mut()
        .filter(|task| task.status != Status::Review)
    {
        if task.status == Status::Blocked {
            blocks(db, task)?;
        }
        if let Some(ends) = ends.get_mut(&task.id) {
            attempts(db, task, ends)?;
        }
        task.past.pull_request_at = requests.remove(&task.id);
        if may_be_guarded(task) {
            task.past.told = told(db, &task.id)?;
        }
    }
    Ok(())
}

/// One attempt's end.
struct End {
    run: i64,
    outcome: String,
    at: Option<i64>,
    is_violation: bool,
    is_infrastructure: bool,
}

/// The ends of all attempts at unfinished tasks; the index on attempts is asked task by task.
fn ends(db: &Connection) -> Result<HashMap<String, Vec<End>>> {
    let mut statement = db.prepare_cached(
        "SELECT t.id, r.id, r.outcome, r.ended_at, COALESCE(r.metadata, '') LIKE '%\"protocol_violation\": true%' \
         OR COALESCE(r.error, '') LIKE '%protocol violation%', \
         COALESCE(r.metadata, '') LIKE '%\"infrastructure\": true%' \
         FROM tasks t CROSS JOIN task_runs r ON r.task_id = t.id \
         WHERE t.status IN ('todo', 'ready', 'running', 'blocked') AND r.ended_at IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut ends: HashMap<String, Vec<End>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let Some(task) = exact(row, 0)? else { continue };
        ends.entry(task).or_default().push(End {
            run: row.get(1)?,
            outcome: text(row, 2)?.unwrap_or_default(),
            at: time(row, 3)?,
            is_violation: row.get(4)?,
            is_infrastructure: row.get(5)?,
        });
    }
    Ok(ends)
}

fn attempts(db: &Connection, task: &mut Task, ends: &mut [End]) -> Result<()> {
    ends.sort_by_key(|end| std::cmp::Reverse(end.run));
    task.violations = streak(ends, |end| end.is_violation);
    task.past.infrastructure = streak(ends, |end| end.is_infrastructure);
    if let Some(newest) = ends.iter().max_by_key(|end| (end.at, end.run)) {
        task.past.ended_at = newest.at;
        task.rate_limited_at = newest.at.filter(|_| newest.outcome == "rate_limited");
    }
    let completed = ends.iter().filter(|end| end.outcome == "completed");
    let success = completed.filter_map(|end| end.at).max();
    task.past.succeeded_at = match success {
        Some(at) if !is_wanted_again(db, &task.id, at)? => Some(at),
        _ => None,
    };
    Ok(())
}

/// How many of the newest crashes in a row are of a kind; those that said "try later" are passed over.
fn streak(newest_first: &[End], is_such: impl Fn(&End) -> bool) -> i64 {
    let looked_at = newest_first.iter().take(STREAK_MAX);
    let counted = looked_at.filter(|end| end.outcome != "rate_limited");
    let such = counted.take_while(|end| end.outcome == "crashed" && is_such(end));
    i64::try_from(such.count()).unwrap_or(i64::MAX)
}

/// Somebody or something asked for another attempt at or after `at`.
fn is_wanted_again(db: &Connection, task: &str, at: i64) -> Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM task_events WHERE task_id = ?1 AND created_at >= ?2 \
         AND kind IN ('status', 'promoted', 'unblocked', 'reclaimed'))",
    )?
    .query_row((task, at), |row| row.get(0))
}

/// The newest comment on each unfinished task that names a pull request.
fn pull_requests(db: &Connection) -> Result<HashMap<String, i64>> {
    let mut statement = db.prepare_cached(
        "SELECT t.id, c.body, c.created_at FROM tasks t CROSS JOIN task_comments c ON c.task_id = t.id \
         WHERE t.status IN ('todo', 'ready', 'running', 'blocked') AND c.body LIKE '%github.com/%/pull/%'",
    )?;
    let mut rows = statement.query([])?;
    let mut newest = HashMap::new();
    while let Some(row) = rows.next()? {
        let names_one = text(row, 1)?.is_some_and(|body| names_pull_request(&body));
        if let Some((task, at)) = exact(row, 0)?.zip(time(row, 2)?).filter(|_| names_one) {
            let known: &mut i64 = newest.entry(task).or_insert(at);
            *known = at.max(*known);
        }
    }
    Ok(newest)
}

/// Whether a person blocked it (the newest of its block and unblock events is a block), and how often it was given up since.
fn blocks(db: &Connection, task: &mut Task) -> Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT kind, created_at FROM task_events WHERE task_id = ?1 \
         AND kind IN ('blocked', 'unblocked', 'gave_up', 'completed') ORDER BY id DESC",
    )?;
    let mut rows = statement.query([&task.id])?;
    let (mut is_answered, mut is_fresh) = (false, true);
    while let Some(row) = rows.next()? {
        match text(row, 0)?.as_deref() {
            Some("gave_up") if is_fresh => {
                task.past.give_ups += 1;
                task.past.gave_up_at = task.past.gave_up_at.or(time(row, 1)?);
            }
            Some("completed") => is_fresh = false,
            Some("blocked" | "unblocked") if is_answered => is_fresh = false,
            Some(kind @ ("blocked" | "unblocked")) => {
                task.is_sticky = kind == "blocked";
                (is_answered, is_fresh) = (true, is_fresh && kind == "blocked");
            }
            _ => {}
        }
        if is_answered && !is_fresh {
            break;
        }
    }
    Ok(())
}

/// Fills in what is told already of ready tasks whose assignee has no profile here: only the policy knows which those are.
pub(crate) fn note_told(
    db: &Connection,
    tasks: &mut [Task],
    spawnable: &HashSet<String>,
) -> Result<()> {
    let has_no_profile = |task: &Task| {
        let assignee = task.assignee.as_deref().map_or("", str::trim);
        task.status == Status::Ready && !assignee.is_empty() && !spawnable.contains(assignee)
    };
    for task in tasks.iter_mut().filter(|task| has_no_profile(task)) {
        task.past.told = told(db, &task.id)?;
    }
    Ok(())
}

fn may_be_guarded(task: &Task) -> bool {
    let past = &task.past;
    task.rate_limited_at.is_some()
        || past.succeeded_at.is_some()
        || past.pull_request_at.is_some()
        || past.error.as_deref().is_some_and(is_refusal)
}

/// The reason for holding it that its history tells already, if nothing was tried since.
fn told(db: &Connection, task: &str) -> Result<Option<String>> {
    let payload = db
        .prepare_cached(
            "SELECT CASE WHEN kind = 'respawn_guarded' THEN payload END FROM task_events \
             WHERE task_id = ?1 AND kind IN ('respawn_guarded', 'claimed') ORDER BY id DESC LIMIT 1",
        )?
        .query_row([task], |row| text(row, 0))
        .optional()?
        .flatten();
    let payload: Option<serde_json::Value> =
        payload.and_then(|text| serde_json::from_str(&text).ok());
    Ok(payload.and_then(|payload| Some(payload.get("reason")?.as_str()?.to_owned())))
}
