//! What people and workers do to a board: one file per theme. Each verb is one transaction, and nothing but that: files and
//! processes are touched after it, if at all.

mod archive;
mod artifacts;
mod assign;
mod block;
mod comment;
mod complete;
mod create;
mod decompose;
mod edit;
mod heartbeat;
mod links;
mod promote;
mod purge;
mod reclaim;
mod scratch;
mod specify;

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior};

use super::event;
use super::query::no_task;
use super::store::Store;
use super::{apply, observe, value};
use crate::decide::promotions;
use crate::error::{Error, ErrorKind};

pub use self::block::Block;
pub use self::complete::Complete;
pub use self::create::{NewTask, Workspace};
pub use self::decompose::{Decompose, Part};
pub use self::edit::Edit;
pub use self::reclaim::Released;
pub use self::specify::Specify;

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// The breaker limit that every program other than a dispatcher assumes when it promotes.
const DEFAULT_FAILURE_LIMIT: i64 = 2;

/// Every status that is not an end, for what waits for the end of others; the format knows two ends that nothing writes.
const OPEN: &str = "status NOT IN ('done', 'archived', 'failed', 'cancelled')";

impl Store {
    /// Runs one verb: everything it writes, in one transaction that is given the present second, or nothing.
    fn write<T>(&mut self, verb: impl FnOnce(&mut Transaction<'_>, i64) -> Result<T>) -> Result<T> {
        let now = self.clock.unix();
        let slug = self.slug().clone();
        let in_one_transaction = || {
            let mut tx = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = verb(&mut tx, now)?;
            tx.commit()?;
            Ok(done)
        };
        in_one_transaction().map_err(|error: Error| error.on(&slug))
    }
}

/// What a verb asks of a task before it writes: where it may stand, and whose word it is.
struct Asked<'a> {
    verb: &'a str,
    allowed: &'a [&'a str],
    /// The attempt that speaks; `None` is a person, who is not fenced.
    run: Option<i64>,
}

impl Asked<'_> {
    /// The task's status, if the verb may go on.
    fn of(&self, tx: &Transaction<'_>, id: &str) -> Result<String> {
        let status = status(tx, id)?.ok_or_else(|| no_task(id))?;
        if !self.allowed.contains(&status.as_str()) {
            let allowed = self.allowed.join(", ");
            return Err(self.refused(id, format!("it is {status}, allowed are {allowed}")));
        }
        self.is_current(tx, id)?;
        Ok(status)
    }

    /// Refuses an attempt that is no longer the task's own.
    fn is_current(&self, tx: &Transaction<'_>, id: &str) -> Result {
        let current = event::current_run(tx, id)?;
        match self.run {
            Some(run) if current != Some(run) => {
                let now = current.map_or("none is open".to_owned(), |now| format!("{now} is"));
                let why = format!("attempt {run} is no longer the current one ({now})");
                Err(self.refused(id, why))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, id: &str, why: impl std::fmt::Display) -> Error {
        let what = format!("{} task {id}: {why}", self.verb);
        Error::new(ErrorKind::Refused, what)
    }
}

fn status(tx: &Transaction<'_>, id: &str) -> Result<Option<String>> {
    let status = tx
        .query_row("SELECT status FROM tasks WHERE id = ?1", [id], |row| {
            Ok(value::text(row, 0)?.unwrap_or_else(|| "unreadable".to_owned()))
        })
        .optional()?;
    Ok(status)
}

/// Whether a parent is not exactly done; an archived one counts as open where people link and unblock.
fn waits(tx: &Transaction<'_>, id: &str) -> Result<bool> {
    Ok(tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM task_links l JOIN tasks p ON p.id = l.parent_id \
         WHERE l.child_id = ?1 AND p.status <> 'done')",
        [id],
        |row| row.get(0),
    )?)
}

/// Lets every task go on whose parents have all ended.
fn promote(tx: &mut Transaction<'_>, now: i64) -> Result {
    let promotions = promotions(&observe::movable(tx)?, DEFAULT_FAILURE_LIMIT);
    Ok(apply::promote(tx, &promotions, now)?)
}

/// The first line of a text, as far as an event keeps it; `None` for a text of nothing but blanks.
fn first_line(text: &str) -> Option<String> {
    const LENGTH_MAX: usize = 400;
    let line = text.trim().lines().next()?;
    Some(line.chars().take(LENGTH_MAX).collect())
}
