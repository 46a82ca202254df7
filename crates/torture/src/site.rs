//! A root of its own with boards on it, and what a torture reads from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kanban_dispatcher::{Board, Clock, NewTask, Root, Store};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::Result;

/// How often a worker's program is given out at the same time; more would only load the machine.
const WORKERS_MAX: usize = 16;

/// The interval of the dispatcher's ticks.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Site {
    pub(crate) root: Root,
    pub(crate) boards: Vec<Board>,
    dir: TempDir,
}

// ===== impl Site =====

impl Site {
    /// A root with so many boards, and settings whose workers run `worker`.
    pub(crate) fn new(boards: usize, worker: &[String]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = Root::at(dir.path().join("root"));
        fs::create_dir_all(root.dir().join("kanban"))?;
        fs::create_dir_all(dir.path().join("witnesses"))?;
        let settings = format!(
            "dispatch_interval_seconds = {}\nworkers_max = {WORKERS_MAX}\n\
             [worker]\nrequire_profile = false\ncommand = {worker:?}\n",
            INTERVAL.as_secs()
        );
        fs::write(root.dir().join("kanban/dispatcher.toml"), settings)?;
        let clock = Clock::system();
        let mut made = Vec::new();
        for n in 0..boards {
            let board = root.board(&format!("board-{n}").parse()?);
            Store::init(&board, &clock)?;
            made.push(board);
        }
        Ok(Self {
            root,
            boards: made,
            dir,
        })
    }

    /// Where the workers write down when they began and ended.
    pub(crate) fn witnesses(&self) -> PathBuf {
        self.dir.path().join("witnesses")
    }

    /// Leaves everything behind for whoever looks for the cause.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Sees to it that so many tasks of each board are ready.
    pub(crate) fn feed(&self, ready: i64) -> Result {
        for board in &self.boards {
            let there: i64 = value(
                &connect(board)?,
                "SELECT count(*) FROM tasks WHERE status = 'ready'",
            )?;
            let mut store = Store::open(board, &Clock::system())?;
            for _ in there..ready {
                store.create(&NewTask {
                    title: "work".to_owned(),
                    assignee: Some("anyone".to_owned()),
                    ..NewTask::default()
                })?;
            }
        }
        Ok(())
    }

    /// How many tasks are not done.
    pub(crate) fn undone(&self) -> Result<i64> {
        self.boards.iter().try_fold(0, |sum, board| {
            let sql = "SELECT count(*) FROM tasks WHERE status <> 'done'";
            Ok(sum + value::<i64>(&connect(board)?, sql)?)
        })
    }

    /// Every process that was started for a task of this root, with the task's attempt.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| self.process(pid))
            .collect()
    }

    fn process(&self, pid: i32) -> Option<Process> {
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let get = |name: &str| {
            let entries = environ.split(|byte| *byte == 0);
            let mut values = entries.filter_map(|entry| {
                let rest = entry.strip_prefix(name.as_bytes())?;
                rest.strip_prefix(b"=")
            });
            values.next().map(String::from_utf8_lossy)
        };
        let home = get("HERMES_KANBAN_HOME")?;
        if Path::new(&*home) != self.root.dir() {
            return None;
        }
        Some(Process {
            board: get("HERMES_KANBAN_BOARD")?.into_owned(),
            run: get("HERMES_KANBAN_RUN_ID")?.parse().ok()?,
        })
    }
}

/// A live process that works on an attempt, or waits at its gate.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) board: String,
    pub(crate) run: i64,
}

pub(crate) fn connect(board: &Board) -> Result<Connection> {
    let db = Connection::open_with_flags(board.db(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::from_secs(30))?;
    Ok(db)
}

pub(crate) fn value<T: rusqlite::types::FromSql>(db: &Connection, sql: &str) -> Result<T> {
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}
