//! Which task waits for which.

use rusqlite::Transaction;

use super::super::event::{self, Payload};
use super::super::query::no_task;
use super::super::store::Store;
use super::{Result, promote, status};
use crate::error::{Error, ErrorKind};

impl Store {
    /// Lets `child` wait for `parent`: one that is ready goes back to todo unless the parent is done. The child's status then.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Refused`] when the child would wait for itself, directly or around a ring;
    /// [`ErrorKind::Sqlite`].
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, ErrorKind, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let mut make = || store.create(&NewTask { title: "work".into(), ..NewTask::default() });
    /// let (cut, sew) = (make()?, make()?);
    /// assert_eq!(store.link(&cut, &sew)?, "todo");
    /// assert_eq!(store.link(&sew, &cut).unwrap_err().kind(), ErrorKind::Refused);
    /// assert_eq!(store.unlink(&cut, &sew)?, "ready");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn link(&mut self, parent: &str, child: &str) -> Result<String> {
        self.write(|tx, now| {
            let parent_status = status(tx, parent)?.ok_or_else(|| no_task(parent))?;
            status(tx, child)?.ok_or_else(|| no_task(child))?;
            let refused = |why: &str| {
                let what = format!("let task {child} wait for {parent}: {why}");
                Err(Error::new(ErrorKind::Refused, what))
            };
            if parent == child {
                return refused("a task cannot wait for itself");
            }
            if waits_for(tx, parent, child)? {
                return refused("that one waits for it already, directly or through others");
            }
            tx.execute(
                "INSERT OR IGNORE INTO task_links (parent_id, child_id) VALUES (?1, ?2)",
                (parent, child),
            )?;
            if parent_status != "done" {
                tx.execute(
                    "UPDATE tasks SET status = 'todo' WHERE id = ?1 AND status = 'ready'",
                    [child],
                )?;
            }
            event::append(tx, child, "linked", &ends(parent, child), None, now)?;
            status(tx, child)?.ok_or_else(|| no_task(child))
        })
    }

    /// Lets `child` no longer wait for `parent`; what waited for nothing else becomes ready. The child's status then.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown task or no such link; [`ErrorKind::Sqlite`].
    pub fn unlink(&mut self, parent: &str, child: &str) -> Result<String> {
        self.write(|tx, now| {
            let rows = tx.execute(
                "DELETE FROM task_links WHERE parent_id = ?1 AND child_id = ?2",
                (parent, child),
            )?;
            if rows == 0 {
                let what = format!(
                    "find a link from {parent} to {child}: `kanban show {child}` shows its parents"
                );
                return Err(Error::new(ErrorKind::NotFound, what));
            }
            event::append(tx, child, "unlinked", &ends(parent, child), None, now)?;
            promote(tx, now)?;
            // A link may have outlived its child.
            Ok(status(tx, child)?.unwrap_or_else(|| "gone".to_owned()))
        })
    }
}

pub(super) fn ends(parent: &str, child: &str) -> Payload {
    Payload::new().with("parent", parent).with("child", child)
}

/// Whether `task` waits for `other`, directly or through others. A ring that is there already ends no search.
fn waits_for(tx: &Transaction<'_>, task: &str, other: &str) -> Result<bool> {
    Ok(tx.query_row(
        "WITH RECURSIVE below(id) AS (SELECT ?2 UNION \
         SELECT l.child_id FROM task_links l JOIN below ON l.parent_id = below.id) \
         SELECT EXISTS (SELECT 1 FROM below WHERE id = ?1)",
        (task, other),
        |row| row.get(0),
    )?)
}
