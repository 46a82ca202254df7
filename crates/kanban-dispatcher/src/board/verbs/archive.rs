//! Taking a task off the board.

use super::super::event::{self, Payload, RunEnd};
use super::super::query::no_task;
use super::super::store::Store;
use super::reclaim::Released;
use super::{Asked, Result, promote, status};

impl Store {
    /// Any status -> archived; what waited for it may go on. A worker that was at it has lost its claim: the dispatcher that
    /// started it stops it, and `Some` says whose claim it was.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`ErrorKind::Refused`](crate::ErrorKind::Refused) for one that is archived already.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "no longer".into(), ..NewTask::default() })?;
    /// assert_eq!(store.archive(&id, None)?, None, "nobody was at it");
    /// assert!(store.list(None)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn archive(&mut self, id: &str, run: Option<i64>) -> Result<Option<Released>> {
        self.write(|tx, now| {
            let asked = Asked {
                verb: "archive",
                allowed: &[],
                run,
            };
            if status(tx, id)?.ok_or_else(|| no_task(id))? == "archived" {
                return Err(asked.refused(id, "it is archived"));
            }
            asked.is_current(tx, id)?;
            let released = Released::of(tx, id)?;
            tx.execute(
                "UPDATE tasks SET status = 'archived', claim_lock = NULL, claim_expires = NULL, worker_pid = NULL \
                 WHERE id = ?1",
                [id],
            )?;
            let end = RunEnd {
                status: "reclaimed",
                outcome: "reclaimed",
                summary: Some("archived while this attempt was open"),
                ..RunEnd::default()
            };
            let run = event::end_run(tx, id, &end, now)?;
            event::append(tx, id, "archived", &Payload::new(), run, now)?;
            promote(tx, now)?;
            Ok(released)
        })
    }
}
