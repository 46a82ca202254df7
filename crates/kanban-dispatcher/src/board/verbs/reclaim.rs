//! Taking a task back from whoever has claimed it.

use rusqlite::Transaction;

use super::super::event::{self, Payload, RunEnd};
use super::super::store::Store;
use super::super::value;
use super::{Asked, Result};
use crate::site;

/// A claim that was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// Its text; an attempt may have had none.
    pub lock: Option<String>,
    /// The process that was at it, as recorded. It is not signalled here: only its dispatcher knows it for certain.
    pub pid: Option<i64>,
}

// ===== impl Released =====

impl Released {
    /// The claim that a task has now.
    pub(super) fn of(tx: &Transaction<'_>, id: &str) -> Result<Option<Self>> {
        let (status, lock, pid) = tx.query_row(
            "SELECT status, claim_lock, worker_pid FROM tasks WHERE id = ?1",
            [id],
            |row| {
                let (status, lock) = (value::text(row, 0)?, value::shown(row, 1)?);
                Ok((status, lock, value::integer(row, 2)?))
            },
        )?;
        let is_claimed = lock.is_some() || status.as_deref() == Some("running");
        Ok(is_claimed.then_some(Self { lock, pid }))
    }

    /// Whether a dispatcher of this kind on this host made the claim: that one stops the worker.
    #[must_use]
    pub fn is_of_this_host(&self) -> bool {
        self.begins_with(&site::our_prefix())
    }

    fn begins_with(&self, prefix: &str) -> bool {
        self.lock
            .as_deref()
            .is_some_and(|lock| lock.starts_with(prefix))
    }

    /// What the peer tells about the end of a process, with nothing done to it.
    fn told(&self) -> Payload {
        let is_local = self.is_of_this_host() || self.begins_with(&site::peer_prefix());
        Payload::new()
            .with("prev_pid", self.pid)
            .with("host_local", is_local && self.pid.is_some())
            .with("termination_attempted", false)
            .with("terminated", false)
            .with("sigkill", false)
    }
}

// ===== impl Store =====

impl Store {
    /// A claimed task -> ready; its failure count starts anew. No process is signalled here: its dispatcher finds the claim
    /// lost and stops its worker.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`ErrorKind::Refused`](crate::ErrorKind::Refused) when nobody has claimed it.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, ErrorKind, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "first".into(), ..NewTask::default() })?;
    /// assert_eq!(store.reclaim(&id, None, None).unwrap_err().kind(), ErrorKind::Refused);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reclaim(
        &mut self,
        id: &str,
        run: Option<i64>,
        reason: Option<&str>,
    ) -> Result<Released> {
        self.write(|tx, now| reclaim(tx, id, run, reason, now))
    }
}

/// The same as a part of another verb.
pub(super) fn reclaim(
    tx: &Transaction<'_>,
    id: &str,
    run: Option<i64>,
    reason: Option<&str>,
    now: i64,
) -> Result<Released> {
    let asked = Asked {
        verb: "reclaim",
        allowed: &["running", "ready", "blocked"],
        run,
    };
    asked.of(tx, id)?;
    let Some(released) = Released::of(tx, id)? else {
        return Err(asked.refused(id, "nobody has claimed it"));
    };
    tx.execute(
        "UPDATE tasks SET status = 'ready', claim_lock = NULL, claim_expires = NULL, worker_pid = NULL, \
         consecutive_failures = 0, last_failure_error = NULL WHERE id = ?1",
        [id],
    )?;
    let error = match (reason, &released.lock) {
        (Some(reason), _) => format!("manual_reclaim: {reason}"),
        (None, Some(lock)) => format!("manual_reclaim lock={lock}"),
        (None, None) => "manual_reclaim lock=None".to_owned(),
    };
    let end = RunEnd {
        status: "reclaimed",
        outcome: "reclaimed",
        error: Some(&error),
        metadata: released.told(),
        ..RunEnd::default()
    };
    let run = event::end_run(tx, id, &end, now)?;
    let payload = Payload::new()
        .with("manual", true)
        .with("reason", reason)
        .with("prev_lock", released.lock.as_deref())
        .and(released.told());
    event::append(tx, id, "reclaimed", &payload, run, now)?;
    Ok(released)
}
