//! Deleting what is archived, for good.

use rusqlite::OptionalExtension;

use super::super::store::Store;
use super::{Asked, Result};

/// What a board keeps about a task besides its row. Attachments and their files stay, as they do for the peer.
const KEPT: [(&str, &str); 5] = [
    ("task_links", "parent_id = ?1 OR child_id = ?1"),
    ("task_comments", "task_id = ?1"),
    ("task_events", "task_id = ?1"),
    ("task_runs", "task_id = ?1"),
    ("kanban_notify_subs", "task_id = ?1"),
];

impl Store {
    /// Deletes an archived task, its links, comments, events and attempts. Nothing brings them back; attachments and their
    /// files stay.
    ///
    /// # Errors
    /// As [`complete`](Self::complete): only what is archived can be deleted.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, ErrorKind, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "no longer".into(), ..NewTask::default() })?;
    /// assert_eq!(store.purge(&id, None).unwrap_err().kind(), ErrorKind::Refused);
    /// store.archive(&id, None)?;
    /// store.purge(&id, None)?;
    /// assert_eq!(store.show(&id).unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn purge(&mut self, id: &str, run: Option<i64>) -> Result {
        self.write(|tx, _now| {
            let asked = Asked {
                verb: "delete",
                allowed: &["archived"],
                run,
            };
            asked.of(tx, id)?;
            for (table, whose) in KEPT {
                // A board of an older program may lack some of them.
                let is_there = tx
                    .prepare_cached(
                        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1",
                    )?
                    .query_row([table], |_| Ok(()))
                    .optional()?;
                if is_there.is_some() {
                    tx.execute(&format!("DELETE FROM {table} WHERE {whose}"), [id])?;
                }
            }
            tx.execute("DELETE FROM tasks WHERE id = ?1", [id])?;
            Ok(())
        })
    }
}
