//! What a board remembers of its unfinished tasks: how attempts ended, what was said, when they were given up.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::value::{exact_of, number, text, time};
use crate::view::{Status, Task};
use crate::words::{is_refusal, names_pull_request};

/// How far back a streak of attempts is looked for.
const STREAK_MAX: usize = 50;

/// So many tasks are asked about one by one; more by one statement for all that are unfinished.
const FEW: usize = 64;

/// Fills in the pasts of tasks that may start in this tick, of those that may end, and of the blocked.
pub(super) fn read(db: &Connection, tasks: &mut [Task]) -> Result<()> {
    let mut words = gather(db, tasks, is_blocked, &WORDS, word)?;
    words.sort_by_key(|(task, word)| (*task, Reverse(word.event)));
    for words in words.chunk_by(|a, b| a.0 == b.0) {
        blocks(&mut tasks[words[0].0], words);
    }
    // Those that wait whatever their past is need none; now it is known which of the blocked do.
    let mut ends = gather(db, tasks, may_move, &ENDS, end)?;
    let requests = gather(db, tasks, may_move, &PULL_REQUESTS, pull_request)?;
    ends.sort_by_key(|(task, end)| (*task, Reverse(end.run)));
    for ends in ends.chunk_by(|a, b| a.0 == b.0) {
        attempts(db, &mut tasks[ends[0].0], ends)?;
    }
    for (task, at) in requests {
        let newest = &mut tasks[task].past.pull_request_at;
        *newest = (*newest).max(Some(at));
    }
    for task in tasks.iter_mut().filter(|task| may_move(task)) {
        if may_be_guarded(task) {
            task.past.told = told(db, &task.id)?;
        }
    }
    Ok(())
}

/// Blocked, and by nothing that is known yet.
fn is_blocked(task: &Task) -> bool {
    task.status == Status::Blocked && !task.has_open_parent
}

/// Whether this tick may do something with it, as far as its past has a say in that.
fn may_move(task: &Task) -> bool {
    match task.status {
        Status::Todo => !task.has_open_parent,
        Status::Blocked => is_blocked(task) && !task.is_sticky,
        Status::Ready | Status::Running => true,
        Status::Review => false,
    }
}

/// What is asked of the pasts of many tasks, or of one; the first column is the task's id, and the rows come task by task.
struct Question {
    all: &'static str,
    one: &'static str,
}

macro_rules! question {
    ($select:literal, of $of:literal, where $which:literal) => {
        Question {
            all: concat!($select, " WHERE ", $of, " AND ", $which),
            one: concat!($select, " WHERE t.id = ?1 AND ", $which),
        }
    };
}

/// What is found of the tasks that `matter`, each with its task's place in the view.
fn gather<T>(
    db: &Connection,
    tasks: &[Task],
    matters: impl Fn(&Task) -> bool,
    question: &Question,
    read: impl Fn(&Row<'_>) -> Result<Option<T>>,
) -> Result<Vec<(usize, T)>> {
    let mut found = Vec::new();
    let those = || tasks.iter().zip(0..).filter(|(task, _)| matters(task));
    if those().count() <= FEW {
        let mut statement = db.prepare_cached(question.one)?;
        for (task, place) in those() {
            let mut rows = statement.query([&*task.id])?;
            while let Some(row) = rows.next()? {
                found.extend(read(row)?.map(|it| (place, it)));
            }
        }
        return Ok(found);
    }
    let places: HashMap<&str, usize> = those().map(|(task, place)| (&*task.id, place)).collect();
    let mut statement = db.prepare_cached(question.all)?;
    let mut rows = statement.query([])?;
    let mut last = ("", 0);
    while let Some(row) = rows.next()? {
        let id = match row.get_ref(0)? {
            ValueRef::Text(id) => str::from_utf8(id).ok().map(Cow::from),
            other => exact_of(other).map(Cow::from),
        };
        // One that cannot be read is of a row that is not in the view.
        let Some(id) = id else { continue };
        if id != last.0 {
            let Some((id, place)) = places.get_key_value(&*id) else {
                continue;
            };
            last = (*id, *place);
        }
        found.extend(read(row)?.map(|it| (last.1, it)));
    }
    Ok(found)
}

/// One attempt's end.
struct End {
    run: i64,
    outcome: String,
    at: Option<i64>,
    is_violation: bool,
    is_infrastructure: bool,
}

/// The ends of attempts. Of a kind are only crashes: no other end's texts are looked through.
const ENDS: Question = question!(
    "SELECT t.id, r.id, r.outcome, r.ended_at, r.outcome IS 'crashed' AND ( \
     COALESCE(r.metadata, '') LIKE '%\"protocol_violation\": true%' \
     OR COALESCE(r.error, '') LIKE '%protocol violation%'), \
     r.outcome IS 'crashed' AND COALESCE(r.metadata, '') LIKE '%\"infrastructure\": true%' \
     FROM tasks t CROSS JOIN task_runs r ON r.task_id = t.id",
    of "t.status IN ('todo', 'ready', 'running', 'blocked')",
    where "r.ended_at IS NOT NULL"
);

fn end(row: &Row<'_>) -> Result<Option<End>> {
    Ok(Some(End {
        run: row.get(1)?,
        outcome: text(row, 2)?.unwrap_or_default(),
        at: time(row, 3)?,
        is_violation: row.get(4)?,
        is_infrastructure: row.get(5)?,
    }))
}

/// One task's, the newest first.
fn attempts(db: &Connection, task: &mut Task, ends: &[(usize, End)]) -> Result<()> {
    let ends = || ends.iter().map(|(_, end)| end);
    task.violations = streak(ends(), |end| end.is_violation);
    task.past.infrastructure = streak(ends(), |end| end.is_infrastructure);
    if let Some(newest) = ends().max_by_key(|end| (end.at, end.run)) {
        task.past.ended_at = newest.at;
        task.rate_limited_at = newest.at.filter(|_| newest.outcome == "rate_limited");
    }
    let completed = ends().filter(|end| end.outcome == "completed");
    let success = completed.filter_map(|end| end.at).max();
    task.past.succeeded_at = match success {
        Some(at) if !is_wanted_again(db, &task.id, at)? => Some(at),
        _ => None,
    };
    Ok(())
}

/// How many of the newest crashes in a row are of a kind; those that said "try later" are passed over.
fn streak<'a>(newest_first: impl Iterator<Item = &'a End>, is_such: impl Fn(&End) -> bool) -> i64 {
    let looked_at = newest_first.take(STREAK_MAX);
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

/// Comments that may name a pull request.
const PULL_REQUESTS: Question = question!(
    "SELECT t.id, c.body, c.created_at FROM tasks t CROSS JOIN task_comments c ON c.task_id = t.id",
    of "t.status IN ('todo', 'ready', 'running', 'blocked')",
    where "c.body LIKE '%github.com/%/pull/%'"
);

/// When one was named.
fn pull_request(row: &Row<'_>) -> Result<Option<i64>> {
    let names_one = text(row, 1)?.is_some_and(|body| names_pull_request(&body));
    Ok(time(row, 2)?.filter(|_| names_one))
}

/// What was said of a blocked task: that it was blocked, unblocked, given up or completed.
struct Word {
    event: Option<i64>,
    kind: String,
    at: Option<i64>,
}

const WORDS: Question = question!(
    "SELECT t.id, e.id, e.kind, e.created_at FROM tasks t CROSS JOIN task_events e ON e.task_id = t.id",
    of "t.status = 'blocked'",
    where "e.kind IN ('blocked', 'unblocked', 'gave_up', 'completed')"
);

fn word(row: &Row<'_>) -> Result<Option<Word>> {
    Ok(Some(Word {
        event: number(row, 1)?,
        kind: text(row, 2)?.unwrap_or_default(),
        at: time(row, 3)?,
    }))
}

/// Whether a person blocked it (the newest of its block and unblock events is a block), and how often it was given up since. The newest
/// word comes first.
fn blocks(task: &mut Task, words: &[(usize, Word)]) {
    let (mut is_answered, mut is_fresh) = (false, true);
    for (_, word) in words {
        match &*word.kind {
            "gave_up" if is_fresh => {
                task.past.give_ups += 1;
                task.past.gave_up_at = task.past.gave_up_at.or(word.at);
            }
            "completed" => is_fresh = false,
            "blocked" | "unblocked" if is_answered => is_fresh = false,
            kind @ ("blocked" | "unblocked") => {
                task.is_sticky = kind == "blocked";
                (is_answered, is_fresh) = (true, is_fresh && kind == "blocked");
            }
            _ => {}
        }
        if is_answered && !is_fresh {
            break;
        }
    }
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
