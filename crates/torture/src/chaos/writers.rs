//! Three kinds of programs that write to the boards all the time: our own command line, the peer's module, and plain SQL. What each is
//! told to be written is noted; all of it must be there in the end.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::history::{Ack, What};
use super::place::{Place, Spot};
use crate::Result;
use crate::daemon::pause;
use crate::seed::Seed;

/// Fewer ready tasks than the first are not left to the dispatcher, and more than the second are not made.
const READY: (i64, i64) = (6, 12);

pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Whoever can write.
pub(super) trait Writer {
    fn name(&self) -> String;

    /// Makes a task; its id if that was acknowledged.
    fn create(&mut self, at: usize, task: &NewTask<'_>) -> Result<Option<String>>;

    /// Writes something about a task; whether that was acknowledged.
    fn write(&mut self, at: usize, deed: &Deed<'_>) -> Result<bool>;
}

/// A task to be made.
pub(super) struct NewTask<'a> {
    pub(super) token: &'a str,
    pub(super) priority: i64,
    pub(super) max_runtime: Option<i64>,
    pub(super) parent: Option<&'a str>,
}

/// Something to be written about a task.
pub(super) struct Deed<'a> {
    pub(super) what: What,
    pub(super) task: &'a str,
    /// The attempt that is over.
    pub(super) run: Option<i64>,
    pub(super) token: &'a str,
}

/// Writes to all boards until it is over.
pub(super) fn write_on(place: &Place, writer: &mut dyn Writer, mut seed: Seed) -> Result {
    let readers: Vec<Connection> = place
        .boards
        .iter()
        .map(|spot| spot.connect(BUSY))
        .collect::<Result<_>>()?;
    let mut count = 0_u64;
    while !place.is_over() {
        let at = usize::try_from(seed.below(place.boards.len() as u64))?;
        let spot = &place.boards[at];
        let here = spot.stay();
        count += 1;
        let token = format!("{} {count}", writer.name());
        // A write that fails was not acknowledged, and nothing follows from it.
        if let Ok(Some(ack)) = step(writer, (at, spot), &readers[at], &mut seed, &token) {
            place.acknowledge(ack);
        }
        drop(here);
        pause(seed.between_ms(20, 100));
    }
    Ok(())
}

fn step(
    writer: &mut dyn Writer,
    (at, spot): (usize, &Spot),
    db: &Connection,
    seed: &mut Seed,
    token: &str,
) -> Result<Option<Ack>> {
    let ready: i64 = db.query_row(
        "SELECT count(*) FROM tasks WHERE status = 'ready'",
        [],
        |row| row.get(0),
    )?;
    let (what, status) = match seed.below(100) {
        _ if ready < READY.0 => (What::Created, ""),
        0..25 => (What::Commented, "running"),
        25..30 => (What::Completed, "ready"),
        30..35 => (What::Completed, "running"),
        35..38 => (What::Blocked, "ready"),
        38..44 => (What::Blocked, "running"),
        44..64 => (What::Unblocked, "blocked"),
        64..72 => (What::Reclaimed, "running"),
        72..84 => (What::Stale, ""),
        _ if ready < READY.1 => (What::Created, ""),
        _ => return Ok(None),
    };
    let ack = |task: String| Ack {
        board: spot.slug().to_owned(),
        task,
        what,
        token: token.to_owned(),
    };
    if what == What::Created {
        let parent = match seed.below(8) {
            0 => pick(db, seed, "status = 'ready'")?,
            _ => None,
        };
        let task = NewTask {
            token,
            priority: i64::try_from(seed.below(10))?,
            max_runtime: (seed.below(6) == 0).then_some(3),
            parent: parent.as_ref().map(|(task, _)| task.as_str()),
        };
        return Ok(writer.create(at, &task)?.map(ack));
    }
    let picked = match what {
        What::Stale => pick(
            db,
            seed,
            "status IN ('running', 'ready', 'blocked') AND old IS NOT NULL",
        )?,
        // A claim with an innocent's pid: the peer's reclaim, by hand, signals it, and no dispatcher is to blame.
        What::Reclaimed => pick(db, seed, "status = 'running' AND made_by IS NOT 'nemesis'")?,
        _ => pick(db, seed, &format!("status = '{status}'"))?,
    };
    let Some((task, run)) = picked else {
        return Ok(None);
    };
    let deed = Deed {
        what,
        task: &task,
        run,
        token,
    };
    Ok(writer.write(at, &deed)?.then(|| ack(task)))
}

/// One of the tasks of which `condition` is true, and the newest of its attempts that is over.
fn pick(
    db: &Connection,
    seed: &mut Seed,
    condition: &str,
) -> Result<Option<(String, Option<i64>)>> {
    let sql = format!(
        "SELECT id, old FROM (SELECT id, status, created_by AS made_by, (SELECT max(r.id) FROM task_runs r WHERE r.task_id = t.id \
         AND r.ended_at IS NOT NULL) AS old FROM tasks t WHERE status NOT IN ('done', 'triage')) \
         WHERE {condition} ORDER BY id LIMIT 1 OFFSET ?1"
    );
    let skip = seed.below(8);
    let mut statement = db.prepare_cached(&sql)?;
    let mut at = |skip: u64| {
        statement
            .query_row([i64::try_from(skip).unwrap_or(0)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
    };
    Ok(match at(skip)? {
        Some(found) => Some(found),
        None => at(skip / 4)?,
    })
}
