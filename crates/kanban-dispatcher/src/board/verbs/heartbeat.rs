//! A sign of life.

use super::super::event::{self, Payload};
use super::super::store::Store;
use super::{Asked, Result};

impl Store {
    /// A sign of life of a running task; with its claim's text the claim is renewed for `ttl` seconds too.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); the task must be running.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, ErrorKind, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "first".into(), ..NewTask::default() })?;
    /// let refused = store.heartbeat(&id, None, Some("page 3"), None).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Refused, "nobody is at it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn heartbeat(
        &mut self,
        id: &str,
        run: Option<i64>,
        note: Option<&str>,
        claim: Option<(&str, i64)>,
    ) -> Result {
        self.write(|tx, now| {
            let asked = Asked {
                verb: "record a heartbeat of",
                allowed: &["running"],
                run,
            };
            asked.of(tx, id)?;
            tx.execute(
                "UPDATE tasks SET last_heartbeat_at = ?2 WHERE id = ?1",
                (id, now),
            )?;
            tx.execute(
                "UPDATE task_runs SET last_heartbeat_at = ?2 WHERE ended_at IS NULL \
                 AND id = (SELECT current_run_id FROM tasks WHERE id = ?1)",
                (id, now),
            )?;
            if let Some((lock, ttl)) = claim {
                let expires = now.saturating_add(ttl);
                let rows = tx.execute(
                    "UPDATE tasks SET claim_expires = ?3 WHERE id = ?1 AND claim_lock = ?2",
                    (id, lock, expires),
                )?;
                if rows == 1 {
                    tx.execute(
                        "UPDATE task_runs SET claim_expires = ?2 WHERE ended_at IS NULL \
                         AND id = (SELECT current_run_id FROM tasks WHERE id = ?1)",
                        (id, expires),
                    )?;
                }
            }
            let current = event::current_run(tx, id)?;
            let payload = Payload::new().with_some("note", note);
            event::append(tx, id, "heartbeat", &payload, current, now)?;
            Ok(())
        })
    }
}
