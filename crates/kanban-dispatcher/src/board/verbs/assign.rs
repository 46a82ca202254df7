//! Saying who is to do a task.

use rusqlite::Transaction;

use super::super::event::{self, Payload};
use super::super::query::no_task;
use super::super::store::Store;
use super::super::value;
use super::create::normalised;
use super::reclaim::{Released, reclaim};
use super::{Asked, Result, status};

impl Store {
    /// Gives a task to a profile, or to nobody. A change of hands starts its failure count anew.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`ErrorKind::Refused`](crate::ErrorKind::Refused) while somebody is at it.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "first".into(), ..NewTask::default() })?;
    /// store.assign(&id, None, Some("Coder"))?;
    /// assert_eq!(store.show(&id)?.task.assignee.as_deref(), Some("coder"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn assign(&mut self, id: &str, run: Option<i64>, assignee: Option<&str>) -> Result {
        self.write(|tx, now| assign(tx, id, run, assignee, now))
    }

    /// As [`assign`](Self::assign), taking the task back first if it is claimed: both in one transaction, so nobody else gets
    /// it in between. The claim that was taken away.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn reassign(
        &mut self,
        id: &str,
        run: Option<i64>,
        assignee: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Option<Released>> {
        self.write(|tx, now| {
            status(tx, id)?.ok_or_else(|| no_task(id))?;
            let released = match Released::of(tx, id)? {
                Some(_) => {
                    let reason = reason.unwrap_or("reassign");
                    Some(reclaim(tx, id, run, Some(reason), now)?)
                }
                None => None,
            };
            // What was taken back has no attempt any more that could be current.
            let run = if released.is_some() { None } else { run };
            assign(tx, id, run, assignee, now)?;
            Ok(released)
        })
    }
}

fn assign(
    tx: &Transaction<'_>,
    id: &str,
    run: Option<i64>,
    assignee: Option<&str>,
    now: i64,
) -> Result {
    let asked = Asked {
        verb: "assign",
        allowed: &[],
        run,
    };
    status(tx, id)?.ok_or_else(|| no_task(id))?;
    asked.is_current(tx, id)?;
    let (is_running, before) = tx.query_row(
        "SELECT status = 'running' AND claim_lock IS NOT NULL, assignee FROM tasks WHERE id = ?1",
        [id],
        |row| Ok((row.get::<_, bool>(0)?, value::exact(row, 1)?)),
    )?;
    if is_running {
        let why = "somebody is at it; `kanban reassign ID PROFILE --reclaim` takes it back first";
        return Err(asked.refused(id, why));
    }
    let assignee = normalised(assignee);
    tx.execute(
        "UPDATE tasks SET assignee = ?2 WHERE id = ?1",
        (id, &assignee),
    )?;
    if assignee != before {
        tx.execute(
            "UPDATE tasks SET consecutive_failures = 0, last_failure_error = NULL WHERE id = ?1",
            [id],
        )?;
    }
    let payload = Payload::new().with("assignee", assignee);
    event::append(tx, id, "assigned", &payload, None, now)?;
    Ok(())
}
