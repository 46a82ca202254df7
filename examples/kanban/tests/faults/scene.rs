//! What each fault strikes: two boards with work to do, made once and copied; and what must hold afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::house::{House, Result, is_alive};

/// The board whose files are struck, and the one whose files are not.
pub(crate) const STRUCK: &str = "struck";
pub(crate) const OTHER: &str = "other";

/// Ticks without a fault until everything is done: what the fault left undone, and what that had held up.
const CLEAN_TICKS: usize = 3;

/// Notes that it ran, and completes its task.
const WORKER: &str = "echo \"$HERMES_KANBAN_RUN_ID\" >>\"$1/../ran.$HERMES_KANBAN_TASK\"\n\
     exec \"$2\" complete \"$HERMES_KANBAN_TASK\" --summary reported";

/// An installation before its tick.
pub(crate) struct Scene {
    house: House,
}

impl Scene {
    /// Two boards: each with a ready task, the struck one with two, a task whose parent is done, and what was acknowledged before.
    pub(crate) fn new() -> Result<Self> {
        Self::with(WORKER)
    }

    pub(crate) fn with(worker: &str) -> Result<Self> {
        let house = House::new()?;
        house.settings_with(worker, "workers_max = 8\nclaim_ttl_seconds = 60")?;
        for slug in [STRUCK, OTHER] {
            house.ok(&["init", slug])?;
            add(&house, slug, &["ready"])?;
        }
        add(&house, STRUCK, &["ready, too"])?;
        let parent = add(&house, STRUCK, &["acknowledged"])?;
        house.ok(&["--board", STRUCK, "comment", &parent, "acknowledged"])?;
        add(&house, STRUCK, &["waits", "--parent", &parent])?;
        house.ok(&[
            "--board",
            STRUCK,
            "complete",
            &parent,
            "--summary",
            "acknowledged",
        ])?;
        Ok(Self { house })
    }

    /// The same once more. Nobody has a file of it open.
    pub(crate) fn copy(&self) -> Result<Self> {
        let house = House::new()?;
        let from = self.house.root();
        let status = Command::new("cp")
            .arg("-a")
            .arg(from.join("."))
            .arg(house.root())
            .status()?;
        match status.success() {
            true => Ok(Self { house }),
            false => Err("cp".into()),
        }
    }

    /// The tick that is struck.
    pub(crate) fn tick(&self) -> Command {
        self.house.command(&["tick", "--json"])
    }

    pub(crate) fn control(&self) -> std::path::PathBuf {
        self.house.beside("control")
    }

    /// What lies beside the installation, where a worker's `$1/..` is.
    pub(crate) fn beside(&self, name: &str) -> std::path::PathBuf {
        self.house.beside(name)
    }

    pub(crate) fn board_dir(&self, slug: &str) -> std::path::PathBuf {
        self.house.root().join("kanban/boards").join(slug)
    }

    /// Waits for the workers that were started.
    pub(crate) fn let_workers_end(&self) -> Result {
        self.house.until("the workers' ends", || {
            for slug in [STRUCK, OTHER] {
                let db = self.db(slug)?;
                let mut running = db.prepare(
                    "SELECT worker_pid FROM tasks WHERE status = 'running' AND worker_pid > 0",
                )?;
                let pids = running.query_map([], |row| row.get::<_, u32>(0))?;
                for pid in pids {
                    let pid = pid?;
                    if is_alive(pid) {
                        return Err(format!("{pid} works").into());
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether the board that was not struck was served.
    pub(crate) fn other_was_served(&self) -> Result {
        self.let_workers_end()?;
        let done = "SELECT count(*) FROM tasks WHERE status = 'done'";
        match self.db(OTHER)?.query_row(done, [], |row| row.get(0))? {
            1 => Ok(()),
            n => Err(format!("{n} of 1 done on the other board").into()),
        }
    }

    /// Ticks without a fault until everything is done, and then asks whether all is as if nothing had been.
    pub(crate) fn is_well_after_all(&self) -> Result {
        for _ in 0..CLEAN_TICKS {
            self.let_workers_end()?;
            self.house.ok(&["tick"])?;
        }
        self.let_workers_end()?;
        for slug in [STRUCK, OTHER] {
            self.board_is_well(slug)?;
        }
        Ok(())
    }

    fn board_is_well(&self, slug: &str) -> Result {
        let db = self.db(slug)?;
        let says: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if says != "ok" {
            return Err(format!("{slug}: {says}").into());
        }
        let tasks = rows(
            &db,
            "SELECT id, title || ' ' || status || ' ' || consecutive_failures FROM tasks",
        )?;
        let expected = if slug == STRUCK { 4 } else { 1 };
        if tasks.len() != expected {
            return Err(format!("{slug}: {tasks:?}").into());
        }
        for (id, task) in &tasks {
            let ran =
                fs::read_to_string(self.house.beside(&format!("ran.{id}"))).unwrap_or_default();
            let runs = if task.starts_with("acknowledged") {
                0
            } else {
                1
            };
            if !task.ends_with("done 0") || ran.lines().count() != runs {
                let history = rows(
                    &db,
                    "SELECT r.id, task_id || ' ' || COALESCE(outcome, 'open') || ' ' || COALESCE(error, '') FROM task_runs r",
                )?;
                return Err(format!("{slug} {id}: {task}, ran {ran:?}; {history:?}").into());
            }
        }
        if slug == STRUCK {
            let kept = "SELECT count(*) FROM task_comments WHERE body = 'acknowledged'";
            if db.query_row(kept, [], |row| row.get::<_, i64>(0))? != 1 {
                return Err("the acknowledged comment is gone".into());
            }
        }
        let bad = "SELECT r.id, outcome || ': ' || COALESCE(error, '') FROM task_runs r WHERE outcome NOT IN ('completed', 'reclaimed')";
        match rows(&db, bad)? {
            bad if bad.is_empty() => Ok(()),
            bad => Err(format!("{slug}: charged: {bad:?}").into()),
        }
    }

    fn db(&self, slug: &str) -> Result<Connection> {
        open(&self.board_dir(slug).join("kanban.db"))
    }
}

fn add(house: &House, slug: &str, words: &[&str]) -> Result<String> {
    let args = [&["--board", slug, "add"], words, &["--assignee", "anyone"]].concat();
    Ok(house.ok(&args)?.out.trim().to_owned())
}

pub(crate) fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::from_secs(10))?;
    Ok(db)
}

fn rows(db: &Connection, sql: &str) -> Result<BTreeMap<String, String>> {
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let id: rusqlite::types::Value = row.get(0)?;
        let id = match id {
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        Ok((id, row.get::<_, String>(1)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
