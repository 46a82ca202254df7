//! Reads one board into plain data, in one read transaction.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Row, Rows};

use super::free::{self, open_parent};
use super::lull::data_version;
use super::past;
use super::schema::{Drift, drift};
use super::txn::Txn;
use super::value::{exact, exact_of, integer, number_of, text, time_of};
use super::version::refuse_newer;
use crate::error::Error;
use crate::past::Past;
use crate::view::{BadRow, Status, Task, View};

/// Times and counts outside this range are as good as its ends, and arithmetic on them cannot overflow.
const NUMBER_MAX: i64 = 1 << 53;

/// One look at a board: whatever is asked of it is answered as of the same moment.
#[derive(Debug)]
pub(crate) struct Look<'a>(Txn<'a>);

impl<'a> Look<'a> {
    pub(crate) fn begin(db: &'a Connection) -> Result<Self> {
        Txn::read(db).map(Self)
    }

    /// The schema's version, which SQLite counts up with every change of it, whoever makes it.
    ///
    /// # Errors
    /// [`ErrorKind::Newer`](crate::ErrorKind::Newer), or what SQLite says.
    pub(crate) fn schema_version(&self) -> std::result::Result<i64, Error> {
        refuse_newer(&self.0)?;
        let mut statement = self.0.prepare_cached("PRAGMA schema_version")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// SQLite's count of what other connections have committed, as of this look.
    pub(crate) fn data_version(&self) -> Result<i64> {
        data_version(&self.0)
    }

    /// What the schema lacks.
    pub(crate) fn drift(&self) -> Result<Vec<Drift>> {
        drift(&self.0)
    }

    /// The tasks that a tick may act on. A row that cannot be read is set aside, not an error.
    pub(crate) fn view(self) -> Result<View> {
        let view = movable(&self.0)?;
        self.0.commit()?;
        Ok(view)
    }
}

/// A look at all unfinished tasks, also those that wait.
pub(crate) fn observe(db: &Connection) -> Result<View> {
    let look = Look::begin(db)?;
    let view = all(&look.0)?;
    look.0.commit()?;
    Ok(view)
}

fn all(db: &Connection) -> Result<View> {
    touch(db)?;
    let mut view = View::default();
    tasks(db.prepare_cached(UNFINISHED)?.query([])?, &mut view)?;
    past::read(db, &mut view.tasks)?;
    Ok(view)
}

/// The tasks that may move, inside a transaction of the caller's: all but those that wait for a parent, or for whoever blocked them, as the
/// newest word about that says.
pub(super) fn movable(db: &Connection) -> Result<View> {
    touch(db)?;
    let mut view = View::default();
    tasks(db.prepare_cached(ACTIVE)?.query([])?, &mut view)?;
    let mut one = db.prepare_cached(FREE)?;
    for row in free::to_do(db)?.into_iter().chain(free::blocked(db)?) {
        tasks(one.query([row])?, &mut view)?;
    }
    past::read(db, &mut view.tasks)?;
    Ok(view)
}

/// From the first page of the tasks to the last one, also where no task is unfinished and an index says so: a table that was overwritten is
/// noticed by the turn that the change of its file brings.
fn touch(db: &Connection) -> Result<()> {
    db.prepare_cached("SELECT max(rowid) FROM tasks")?
        .query_row([], |_| Ok(()))
}

/// What is read of each task, in the order of [`at`], and whether it has an open parent. One that is gone is not open.
macro_rules! select {
    ($has_open_parent:expr, where $which:expr) => {
        concat!(
            "SELECT t.id, t.status, t.assignee, t.priority, t.created_at, t.started_at, t.claim_lock, t.claim_expires, \
             t.worker_pid, t.last_heartbeat_at, t.consecutive_failures, t.max_retries, t.max_runtime_seconds, \
             t.current_run_id, t.workspace_kind, t.last_failure_error, t.title, t.skills, r.started_at AS run_started_at, \
             r.max_runtime_seconds AS run_limit, ",
            $has_open_parent,
            " FROM tasks t LEFT JOIN task_runs r ON r.id = t.current_run_id WHERE ",
            $which
        )
    };
}

/// All that are unfinished.
const UNFINISHED: &str = select!(
    concat!("t.status <> 'review' AND ", open_parent!()),
    where "t.status IN ('todo', 'ready', 'running', 'blocked', 'review')"
);

/// Those of them that are looked at in any case: a ready one may have got an open parent.
const ACTIVE: &str = select!(
    concat!("t.status <> 'review' AND ", open_parent!()),
    where "t.status IN ('ready', 'running', 'review')"
);

/// One that may be free, by its row; a parent may hold back one that nobody blocks.
const FREE: &str = select!("0", where concat!("t.rowid = ?1 AND NOT ", open_parent!()));

/// Where a row has what. To ask by name costs more than to read: SQLite compares it with every name before it.
mod at {
    pub(super) const ID: usize = 0;
    pub(super) const STATUS: usize = 1;
    pub(super) const ASSIGNEE: usize = 2;
    pub(super) const PRIORITY: usize = 3;
    pub(super) const CREATED_AT: usize = 4;
    pub(super) const STARTED_AT: usize = 5;
    pub(super) const CLAIM_LOCK: usize = 6;
    pub(super) const CLAIM_EXPIRES: usize = 7;
    pub(super) const WORKER_PID: usize = 8;
    pub(super) const LAST_HEARTBEAT_AT: usize = 9;
    pub(super) const FAILURES: usize = 10;
    pub(super) const MAX_RETRIES: usize = 11;
    pub(super) const MAX_RUNTIME: usize = 12;
    pub(super) const RUN: usize = 13;
    pub(super) const WORKSPACE_KIND: usize = 14;
    pub(super) const ERROR: usize = 15;
    pub(super) const TITLE: usize = 16;
    pub(super) const SKILLS: usize = 17;
    pub(super) const RUN_STARTED_AT: usize = 18;
    pub(super) const RUN_LIMIT: usize = 19;
    pub(super) const HAS_OPEN_PARENT: usize = 20;
}

fn tasks(mut rows: Rows<'_>, view: &mut View) -> Result<()> {
    while let Some(row) = rows.next()? {
        match task(row) {
            Ok(task) => view.tasks.push(task),
            Err(Unreadable::Row(bad)) => view.bad_rows.push(bad),
            Err(Unreadable::Sqlite(error)) => return Err(error),
        }
    }
    Ok(())
}

enum Unreadable {
    Row(BadRow),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn task(row: &Row<'_>) -> std::result::Result<Task, Unreadable> {
    let id = exact(row, at::ID)?.filter(|id| !id.is_empty());
    let Some(id) = id else {
        let reason = "the id is not text".to_owned();
        return Err(Unreadable::Row(BadRow {
            id: String::new(),
            reason,
            status: None,
        }));
    };
    let status = match row.get_ref(at::STATUS)? {
        ValueRef::Text(status) => std::str::from_utf8(status).ok().and_then(Status::parse),
        _ => None,
    };
    let Some(status) = status else {
        return Err(Unreadable::Row(BadRow {
            id,
            reason: "the status is unknown".to_owned(),
            status: None,
        }));
    };
    let has_open_parent = row.get(at::HAS_OPEN_PARENT)?;
    if has_open_parent && matches!(status, Status::Todo | Status::Blocked) {
        // A turn does not even see it: whoever reads all must not find fault with it either.
        return Ok(Task {
            id,
            status,
            has_open_parent,
            ..Task::default()
        });
    }
    let field = Fields {
        row,
        id: &id,
        status,
    };
    if status == Status::Ready {
        // What a worker would be told. One that runs was told something already, and is watched whatever its row says now.
        field.title()?;
        field.skills()?;
    }
    Ok(Task {
        status,
        assignee: field.text(at::ASSIGNEE)?,
        // Without one it comes last, as for the peer.
        priority: field.number(at::PRIORITY)?.unwrap_or(i64::MIN),
        created_at: field.time(at::CREATED_AT).ok().flatten().unwrap_or(0),
        started_at: field.time(at::STARTED_AT)?,
        claim_lock: field.lock(at::CLAIM_LOCK)?,
        claim_expires: field.time(at::CLAIM_EXPIRES)?,
        worker_pid: field.number(at::WORKER_PID)?,
        last_heartbeat_at: field.time(at::LAST_HEARTBEAT_AT)?,
        failures: field.number(at::FAILURES)?.unwrap_or(0),
        max_retries: field.number(at::MAX_RETRIES)?,
        max_runtime: field
            .number(at::RUN_LIMIT)?
            .or(field.number(at::MAX_RUNTIME)?),
        run: integer(row, at::RUN)?,
        run_started_at: field.time(at::RUN_STARTED_AT)?,
        workspace_kind: field
            .text(at::WORKSPACE_KIND)?
            .unwrap_or_else(|| "scratch".to_owned()),
        has_open_parent,
        is_sticky: false,
        rate_limited_at: None,
        violations: 0,
        past: Past {
            error: field.text(at::ERROR)?,
            ..Past::default()
        },
        id,
    })
}

/// Reads fields of one row and names the field that cannot be read.
struct Fields<'a> {
    row: &'a Row<'a>,
    id: &'a str,
    status: Status,
}

impl Fields<'_> {
    fn text(&self, column: usize) -> std::result::Result<Option<String>, Unreadable> {
        Ok(text(self.row, column)?)
    }

    /// A lock that cannot be compared can be neither taken nor ended.
    fn lock(&self, column: usize) -> std::result::Result<Option<String>, Unreadable> {
        self.read(column, exact_of, "text")
    }

    fn title(&self) -> std::result::Result<(), Unreadable> {
        match self.row.get_ref(at::TITLE)? {
            ValueRef::Null | ValueRef::Blob(_) => Err(self.unreadable(at::TITLE, "text")),
            _ => Ok(()),
        }
    }

    /// Without its skills a worker would do something else than was asked for.
    fn skills(&self) -> std::result::Result<(), Unreadable> {
        let names: Option<Option<Vec<String>>> = match self.row.get_ref(at::SKILLS)? {
            ValueRef::Null => Some(None),
            ValueRef::Text(b"") => Some(None),
            ValueRef::Text(json) => serde_json::from_slice(json).ok(),
            _ => None,
        };
        match names {
            Some(_) => Ok(()),
            None => Err(self.unreadable(at::SKILLS, "a JSON array of names")),
        }
    }

    fn number(&self, column: usize) -> std::result::Result<Option<i64>, Unreadable> {
        let number = self.read(column, number_of, "a number")?;
        Ok(number.map(|value| value.clamp(-NUMBER_MAX, NUMBER_MAX)))
    }

    fn time(&self, column: usize) -> std::result::Result<Option<i64>, Unreadable> {
        let time = self.read(column, time_of, "a time")?;
        Ok(time.map(|value| value.clamp(-NUMBER_MAX, NUMBER_MAX)))
    }

    /// A value that is there and cannot be read is not the same as none.
    fn read<T>(
        &self,
        column: usize,
        read: impl Fn(ValueRef<'_>) -> Option<T>,
        expected: &str,
    ) -> std::result::Result<Option<T>, Unreadable> {
        match self.row.get_ref(column)? {
            ValueRef::Null => Ok(None),
            value => match read(value) {
                None => Err(self.unreadable(column, expected)),
                value => Ok(value),
            },
        }
    }

    fn unreadable(&self, column: usize, expected: &str) -> Unreadable {
        let name = self.row.as_ref().column_name(column).unwrap_or_default();
        Unreadable::Row(BadRow {
            id: self.id.to_owned(),
            reason: format!("{name} is not {expected}"),
            status: Some(self.status),
        })
    }
}

#[cfg(test)]
mod tests;
