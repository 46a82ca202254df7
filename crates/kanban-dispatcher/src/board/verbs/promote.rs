//! Letting a task start that waits, by a person's word.

use rusqlite::Transaction;

use super::super::event::{self, Payload};
use super::super::store::Store;
use super::{Asked, Result};
use crate::error::Error;

impl Store {
    /// todo or blocked -> ready. While a parent is open only with `force`, and then the next claim puts it back.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`ErrorKind::Refused`](crate::ErrorKind::Refused) names the open parents.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "held".into(), blocked: true, ..NewTask::default() })?;
    /// store.promote(&id, None, "ann", Some("looked at it"), false)?;
    /// assert_eq!(store.show(&id)?.task.status, "ready");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn promote(
        &mut self,
        id: &str,
        run: Option<i64>,
        actor: &str,
        reason: Option<&str>,
        force: bool,
    ) -> Result {
        self.write(|tx, now| {
            may_start(tx, id, run, force)?;
            tx.execute("UPDATE tasks SET status = 'ready' WHERE id = ?1", [id])?;
            let payload = Payload::new()
                .with("actor", actor)
                .with("reason", reason)
                .with("forced", force);
            event::append(tx, id, "promoted_manual", &payload, None, now)?;
            Ok(())
        })
    }

    /// Whether [`promote`](Self::promote) would do it now; writes nothing.
    ///
    /// # Errors
    /// Why it would not, as there.
    pub fn can_promote(&self, id: &str, run: Option<i64>, force: bool) -> Result {
        let look = || {
            let tx = self.db.unchecked_transaction()?;
            may_start(&tx, id, run, force)
        };
        look().map_err(|error: Error| error.on(self.slug()))
    }
}

fn may_start(tx: &Transaction<'_>, id: &str, run: Option<i64>, force: bool) -> Result {
    let asked = Asked {
        verb: "promote",
        allowed: &["todo", "blocked"],
        run,
    };
    asked.of(tx, id)?;
    let open = open_parents(tx, id)?;
    if !force && !open.is_empty() {
        let why = format!("it waits for {}; --force starts it anyway", open.join(", "));
        return Err(asked.refused(id, why));
    }
    Ok(())
}

fn open_parents(tx: &Transaction<'_>, id: &str) -> Result<Vec<String>> {
    let mut statement = tx.prepare_cached(
        "SELECT p.id FROM task_links l JOIN tasks p ON p.id = l.parent_id \
         WHERE l.child_id = ?1 AND p.status NOT IN ('done', 'archived') ORDER BY p.id",
    )?;
    let parents = statement.query_map([id], |row| row.get(0))?;
    Ok(parents.collect::<rusqlite::Result<_>>()?)
}
