//! Which tasks wait for nothing: of those to do the ones without an open parent, and of the blocked the ones that nobody holds.
//!
//! There may be many that wait, and whether they still do is most of what a turn asks. Asked of each task in a statement, SQLite opens its cursors
//! anew each time. So one statement goes over all tasks of a status with their links or words, and what these say is put together here.

use std::collections::HashMap;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Result};

use super::value::number;

/// Whether the task `t` has one. A parent that is gone is not open: its row was deleted, and no one could ever finish it.
macro_rules! open_parent {
    () => {
        "EXISTS (SELECT 1 FROM task_links l JOIN tasks p ON p.id = l.parent_id WHERE l.child_id = t.id \
         AND p.status NOT IN ('done', 'archived'))"
    };
}
pub(super) use open_parent;

/// Links that are gone over for nothing, before it is cheaper to ask about each task by itself: so many, and for each task so many more.
const IN_VAIN: usize = 64;
const IN_VAIN_EACH: usize = 4;

/// The rows of tasks to do that have no open parent.
pub(super) fn to_do(db: &Connection) -> Result<Vec<i64>> {
    let mut links = db.prepare_cached(
        "SELECT t.rowid, l.parent_id FROM tasks t LEFT JOIN task_links l ON l.child_id = t.id \
         WHERE t.status = 'todo' ORDER BY t.rowid",
    )?;
    let mut parents = Parents::new(db)?;
    let mut rows = links.query([])?;
    let mut free: Vec<i64> = Vec::new();
    let mut current = None;
    let mut waits = false;
    let mut in_vain_left = IN_VAIN;
    while let Some(row) = rows.next()? {
        let task = row.get(0)?;
        if current != Some(task) {
            // Until one of its parents is found to be open.
            free.push(task);
            (current, waits) = (Some(task), false);
            in_vain_left += IN_VAIN_EACH;
        }
        if waits {
            in_vain_left -= 1;
            if in_vain_left == 0 {
                free.extend(to_do_after(db, task)?);
                break;
            }
        } else if parents.is_open(row.get_ref(1)?)? {
            free.pop();
            waits = true;
        }
    }
    Ok(free)
}

/// The same of the tasks behind this one, where many have many parents: the first open one answers for all.
fn to_do_after(db: &Connection, task: i64) -> Result<Vec<i64>> {
    let mut statement = db.prepare_cached(concat!(
        "SELECT t.rowid FROM tasks t WHERE t.status = 'todo' AND t.rowid > ?1 AND NOT ",
        open_parent!(),
        " ORDER BY t.rowid"
    ))?;
    statement.query_map([task], |row| row.get(0))?.collect()
}

/// The rows of blocked tasks whose newest word about that is not that they are blocked.
pub(super) fn blocked(db: &Connection) -> Result<Vec<i64>> {
    let mut words = db.prepare_cached(
        "SELECT t.rowid, e.id, e.kind = 'blocked' FROM tasks t LEFT JOIN task_events e \
         ON e.task_id = t.id AND e.kind IN ('blocked', 'unblocked') WHERE t.status = 'blocked' ORDER BY t.rowid",
    )?;
    let mut rows = words.query([])?;
    let mut free = Vec::new();
    let mut newest: Option<Word> = None;
    while let Some(row) = rows.next()? {
        let word = Word {
            task: row.get(0)?,
            event: number(row, 1)?,
            is_held: row.get::<_, Option<bool>>(2)?.unwrap_or(false),
        };
        newest = match newest {
            Some(newest) if newest.task == word.task && newest.event > word.event => Some(newest),
            Some(last) if last.task != word.task => {
                free.extend(last.free());
                Some(word)
            }
            _ => Some(word),
        };
    }
    free.extend(newest.and_then(|last| last.free()));
    Ok(free)
}

/// What was said of a blocked task; of one of which nothing was said, that it is not held.
struct Word {
    task: i64,
    event: Option<i64>,
    is_held: bool,
}

impl Word {
    fn free(&self) -> Option<i64> {
        (!self.is_held).then_some(self.task)
    }
}

/// Which parents are open. Each is asked about once: many tasks may wait for the same.
struct Parents<'a> {
    question: CachedStatement<'a>,
    known: HashMap<Vec<u8>, bool>,
}

impl<'a> Parents<'a> {
    fn new(db: &'a Connection) -> Result<Self> {
        let question = db.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?1 AND status NOT IN ('done', 'archived'))",
        )?;
        Ok(Self {
            question,
            known: HashMap::new(),
        })
    }

    fn is_open(&mut self, id: ValueRef<'_>) -> Result<bool> {
        let ValueRef::Text(text) = id else {
            return self.ask(id);
        };
        if let Some(is_open) = self.known.get(text) {
            return Ok(*is_open);
        }
        let is_open = self.ask(id)?;
        self.known.insert(text.to_vec(), is_open);
        Ok(is_open)
    }

    fn ask(&mut self, id: ValueRef<'_>) -> Result<bool> {
        self.question
            .query_row([ToSqlOutput::Borrowed(id)], |row| row.get(0))
    }
}
