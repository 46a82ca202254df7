//! The nemesis at work on boards and workers; `host.rs` has the dispatcher's own.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kanban_dispatcher::FileLock;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::diary::{now, start_of};
use super::history::Fault;
use super::place::{Place, Spot};
use super::schedule::{Deed, Lane, Step, steps};
use crate::Result;
use crate::daemon::{Deadline, pause};

/// Columns that a migration can add again, and that nothing here keeps anything in.
const COLUMNS: [&str; 4] = [
    "model_override",
    "goal_max_turns",
    "branch_name",
    "project_id",
];

/// Processes that have nothing to do with any board.
pub(super) struct Sentinels {
    children: Mutex<Vec<Child>>,
    dead: Mutex<Vec<String>>,
}

// ===== impl Sentinels =====

impl Sentinels {
    pub(super) fn post(count: usize) -> Result<Self> {
        let children = (0..count).map(|_| sentinel()).collect::<Result<_>>()?;
        Ok(Self {
            children: Mutex::new(children),
            dead: Mutex::default(),
        })
    }

    /// The pid of one that is alive; those that are not have been signalled, since nobody else knows of them.
    fn one(&self, chance: u64) -> Result<u32> {
        self.look()?;
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(children[usize::try_from(chance)? % children.len()].id())
    }

    fn look(&self) -> Result {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        for child in children.iter_mut() {
            if let Some(status) = child.try_wait()? {
                let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
                dead.push(format!("sentinel {} ended: {status}", child.id()));
                *child = sentinel()?;
            }
        }
        Ok(())
    }

    pub(super) fn dead(&self) -> Result<Vec<String>> {
        self.look()?;
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(dead.clone())
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        for child in children.iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn sentinel() -> Result<Child> {
    use std::os::unix::process::CommandExt;
    let mut sleep = Command::new("sleep");
    sleep.arg("1000000").process_group(0).stdin(Stdio::null());
    Ok(sleep.spawn()?)
}

// ===== boards =====

/// Strikes one board until it is over.
pub(super) fn strike_board(
    place: &Place,
    at: usize,
    sentinels: &Sentinels,
    seed: u64,
    resurrected: &Mutex<Vec<String>>,
) -> Result {
    let spot = &place.boards[at];
    let db = spot.connect(Duration::from_secs(2))?;
    for step in steps(seed, Lane::Board(at)) {
        pause(step.gap);
        if place.is_over() {
            break;
        }
        let from = now();
        // What could not be done, because the moment was not right for it, is no fault.
        let done = match step.deed {
            Deed::WriteLock => hold_write_lock(&db, step.time).is_ok(),
            Deed::TickLock => hold(&spot.board.tick_lock(), step.time),
            Deed::InitLock => hold(&spot.board.init_lock(), step.time),
            Deed::Drop => drop_column(&db, step.chance).is_ok(),
            Deed::Pid => write_pid(&db, sentinels.one(step.chance)?, step.chance).unwrap_or(false),
            Deed::Row => write_row(&db, sentinels.one(step.chance)?).is_ok(),
            _ => {
                let found = take_away(place, spot, step.time)?;
                let mut all = resurrected.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend(found);
                true
            }
        };
        if done {
            place.note(fault(step, Some(spot), from));
        }
    }
    Ok(())
}

pub(super) fn fault(step: Step, spot: Option<&Spot>, from: u64) -> Fault {
    Fault {
        kind: step.deed.name(),
        board: spot.map(|spot| spot.slug().to_owned()),
        from,
        until: now(),
        killed: None,
    }
}

fn hold_write_lock(db: &Connection, time: Duration) -> Result {
    db.execute_batch("BEGIN IMMEDIATE")?;
    pause(time);
    Ok(db.execute_batch("COMMIT")?)
}

fn hold(path: &Path, time: Duration) -> bool {
    let deadline = Deadline::after(Duration::from_millis(500));
    while !deadline.is_over() {
        if let Ok(Some(lock)) = FileLock::try_acquire(path) {
            pause(time);
            drop(lock);
            return true;
        }
        pause(Duration::from_millis(3));
    }
    false
}

fn drop_column(db: &Connection, chance: u64) -> Result {
    let column = COLUMNS[usize::try_from(chance)? % COLUMNS.len()];
    Ok(db.execute_batch(&format!("ALTER TABLE tasks DROP COLUMN {column}"))?)
}

/// Some tool writes a wrong pid; the row keeps it.
fn write_pid(db: &Connection, pid: u32, chance: u64) -> Result<bool> {
    let skip = i64::try_from(chance % 3)?;
    let rows = db.execute(
        "UPDATE tasks SET worker_pid = ?1 WHERE id = (SELECT id FROM tasks WHERE status = 'running' \
         AND worker_pid IS NOT NULL ORDER BY id LIMIT 1 OFFSET ?2)",
        (pid, skip),
    )?;
    Ok(rows == 1)
}

/// The task of a program of this host that died long ago, and whose pid has an innocent owner by now.
fn write_row(db: &Connection, pid: u32) -> Result {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TEMP TABLE IF NOT EXISTS new (id TEXT);
         DELETE FROM new;
         INSERT INTO new VALUES ('t_' || lower(hex(randomblob(4))));
         INSERT INTO tasks (id, title, assignee, status, priority, created_by, created_at, started_at, workspace_kind,
             claim_lock, claim_expires, worker_pid, last_heartbeat_at)
         SELECT id, 'left behind', 'anyone', 'running', 1, 'nemesis', unixepoch() - 9000, unixepoch() - 9000, 'scratch',
             '{host}:999999', unixepoch() - 5, {pid}, unixepoch() - 8000 FROM new;
         INSERT INTO task_runs (task_id, profile, status, claim_lock, claim_expires, worker_pid, started_at)
         SELECT id, 'anyone', 'running', '{host}:999999', unixepoch() - 5, {pid}, unixepoch() - 9000 FROM new;
         UPDATE tasks SET current_run_id = last_insert_rowid() WHERE id = (SELECT id FROM new);
         COMMIT"
    ))
    .inspect_err(|_| {
        let _ = db.execute_batch("ROLLBACK");
    })?;
    Ok(())
}

/// Moves a board away and back; what was made at its place meanwhile is put aside and told.
fn take_away(place: &Place, spot: &Spot, time: Duration) -> Result<Option<String>> {
    let alone = spot.take_away();
    let (home, aside) = (
        spot.board.dir(),
        place.path().join("aside").join(spot.slug()),
    );
    fs::rename(home, &aside)?;
    pause(time);
    let mut found = None;
    loop {
        // An empty directory at the place would be replaced without a word.
        if fs::symlink_metadata(home).is_err() && fs::rename(&aside, home).is_ok() {
            break;
        }
        let other = format!("{}-{}", aside.display(), now());
        fs::rename(home, &other)?;
        let has_board = Path::new(&other).join("kanban.db").exists();
        let slug = spot.slug();
        found = Some(format!(
            "{slug} was made anew while it was away, with a database: {has_board}"
        ));
    }
    drop(alone);
    Ok(found)
}

// ===== workers =====

/// Strikes workers until it is over.
pub(super) fn strike_workers(place: &Place, lane: usize, seed: u64) -> Result {
    let patience = Duration::from_millis(500);
    let dbs: Vec<Connection> = place
        .boards
        .iter()
        .map(|spot| spot.connect(patience))
        .collect::<Result<_>>()?;
    for step in steps(seed, Lane::Workers(lane)) {
        pause(step.gap);
        if place.is_over() {
            break;
        }
        let at = usize::try_from(step.chance)? % dbs.len();
        let Some((pid, start)) = worker(place, &dbs[at], step.chance / 16) else {
            continue;
        };
        let (from, id) = (now(), Pid::from_raw(i32::try_from(pid)?));
        let Some(id) = id else { continue };
        let is_kill = step.deed == Deed::KillWorker;
        let signal = if is_kill { Signal::KILL } else { Signal::STOP };
        if kill_process(id, signal).is_err() {
            continue;
        }
        if !is_kill {
            pause(step.time);
            // A process that ended in the meantime is a zombie or somebody else.
            if start_of(pid) == Some(start) {
                let _ = kill_process(id, Signal::CONT);
            }
        }
        let mut fault = fault(step, Some(&place.boards[at]), from);
        fault.killed = is_kill.then_some((pid, start));
        place.note(fault);
    }
    Ok(())
}

/// A worker at work, known by its own diary.
fn worker(place: &Place, db: &Connection, chance: u64) -> Option<(i64, u64)> {
    let mut statement = db
        .prepare_cached("SELECT worker_pid FROM tasks WHERE status = 'running' AND worker_pid IS NOT NULL ORDER BY id")
        .ok()?;
    let pids = statement.query_map([], |row| row.get::<_, i64>(0)).ok()?;
    let workers: Vec<(i64, u64)> = pids
        .flatten()
        .filter_map(|pid| Some((pid, start_of(pid)?)))
        .filter(|(pid, start)| place.diaries().join(format!("{pid}-{start}")).exists())
        .collect();
    let at = usize::try_from(chance).ok()? % workers.len().max(1);
    workers.get(at).copied()
}
