//! Which tasks wait for nothing: of those to do the ones without an open parent, and of the blocked the ones that nobody holds.
//!
//! There may be many that wait, and whether they still do is most of what a turn asks. So all are gone through in one pass for each
//! status, and what only many of them together tell is put together here: in a question for each, SQLite opens its cursors anew.

use std::collections::HashMap;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Result};

/// So many more parents of a task are passed over one by one, once it is known to wait; of more than that, all at once.
const PASSED: usize = 8;

/// The rows of tasks to do that have no open parent.
pub(super) fn to_do(db: &Connection) -> Result<Vec<i64>> {
    let mut links = db.prepare_cached(
        "SELECT t.rowid, l.parent_id FROM tasks t LEFT JOIN task_links l ON l.child_id = t.id \
         WHERE t.status = 'todo' AND t.rowid >= ?1 ORDER BY t.rowid",
    )?;
    let mut parents = Parents::new(db)?;
    let mut free: Vec<i64> = Vec::new();
    let mut from = Some(i64::MIN);
    while let Some(first) = from.take() {
        let mut rows = links.query([first])?;
        // The newest task that may be free stands last; of one that waits, how many of its parents were passed over.
        let mut current = None;
        let mut passed = None;
        while let Some(row) = rows.next()? {
            let task = row.get(0)?;
            if current != Some(task) {
                free.push(task);
                (current, passed) = (Some(task), None);
            }
            match &mut passed {
                None if parents.is_open(row.get_ref(1)?)? => {
                    free.pop();
                    passed = Some(0);
                }
                None => {}
                Some(PASSED) => {
                    from = task.checked_add(1);
                    break;
                }
                Some(passed) => *passed += 1,
            }
        }
    }
    Ok(free)
}

/// The rows of blocked tasks whose newest word about that is not that they are blocked.
pub(super) fn blocked(db: &Connection) -> Result<Vec<i64>> {
    let mut words = db.prepare_cached(
        "SELECT t.rowid, e.id, e.kind = 'blocked' FROM tasks t LEFT JOIN task_events e \
         ON e.task_id = t.id AND e.kind IN ('blocked', 'unblocked') WHERE t.status = 'blocked' ORDER BY t.rowid",
    )?;
    let mut rows = words.query([])?;
    let mut free = Vec::new();
    let mut newest: Option<(i64, Option<i64>, bool)> = None;
    while let Some(row) = rows.next()? {
        let (task, event) = (row.get(0)?, row.get(1)?);
        let is_held = row.get::<_, Option<bool>>(2)?.unwrap_or(false);
        newest = match newest {
            Some(word) if word.0 == task && word.1 > event => Some(word),
            Some(word) => {
                free.extend((word.0 != task && !word.2).then_some(word.0));
                Some((task, event, is_held))
            }
            None => Some((task, event, is_held)),
        };
    }
    free.extend(newest.filter(|word| !word.2).map(|word| word.0));
    Ok(free)
}

/// Who is open of the parents, each asked about once: many tasks may wait for the same.
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

    /// A parent that is gone is not open: its row was deleted, and no one could ever finish it.
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
