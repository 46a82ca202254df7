//! Boards for ticks whose cost is counted. Time stands still, so that nothing falls due in the middle of it.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, io, thread};

use kanban_dispatcher::{
    Clock, Config, Dispatcher, Job, NewTask, Policy, Process, Processes, Root, Slug, Store, Task,
    TaskStatus, View, WorkerCommand,
};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

const NOW: i64 = 1_700_000_000;

/// One lane: what is counted must not depend on who is first. No task is given up, and no board rests.
const SETTINGS: &str = "worker.require_profile = false\nlanes = 1\ncheck.interval_seconds = 0\nworkers_max = 500\n\
                        failure_limit = 1000\nbreaker.deaths = 0\n";

/// A dispatcher over its boards.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) dispatcher: Dispatcher,
    root: Root,
    _dir: TempDir,
}

impl Fleet {
    /// So many boards, with a dispatcher that has found out that nothing is to be done.
    pub(crate) fn quiet(boards: usize, settings: &str) -> Self {
        let config = Config::from_toml(&format!("{settings}{SETTINGS}")).expect("settings");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = Root::at(dir.path());
        let clock = Clock::manual(NOW);
        let first = root.board(&Slug::default());
        let mut store = Store::init(&first, &clock).expect("a new board");
        for n in 0..10 {
            let title = format!("task {n}");
            let task = NewTask {
                title,
                ..NewTask::default()
            };
            store.create(&task).expect("a new task");
        }
        drop(store);
        // Closing this one moves the log into the file.
        drop(connect(first.db()));
        for n in 1..boards {
            let board = root.board(&format!("board-{n:04}").parse().expect("a name"));
            fs::create_dir_all(board.dir()).expect("a directory");
            fs::copy(first.db(), board.db()).expect("a copy");
        }
        let refuse =
            |_: &Job<'_>| -> io::Result<WorkerCommand> { Err(io::Error::other("refused")) };
        let builder = Dispatcher::builder(root.clone(), config);
        let mut fleet = Self {
            dispatcher: builder.clock(clock).launcher(refuse).build(),
            root,
            _dir: dir,
        };
        fleet.settle(boards);
        fleet
    }

    /// Ticks until every board has been quiet for a while: a file must have an age before it counts as unchanged, and the ledger's
    /// is written after the last turn of a board. It is too short a while for a file system that keeps whole seconds.
    fn settle(&mut self, boards: usize) {
        let (mut left, mut quiet) = (500, 0);
        while quiet < 10 {
            left -= 1;
            assert!(left > 0, "the boards do not become quiet");
            let is_quiet = self.dispatcher.tick().quiet == boards;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Another program makes so many tasks of the default board ready.
    pub(crate) fn feed(&self, ready: usize) {
        let db = connect(self.root.board(&Slug::default()).db());
        let mut sql = String::from("BEGIN;");
        for n in 0..ready {
            let _ = write!(
                sql,
                "INSERT INTO tasks (id, title, assignee, status, created_at) VALUES ('t_new{n:03}', 'task', 'coder', 'ready', 1);"
            );
        }
        db.execute_batch(&format!("{sql} COMMIT"))
            .expect("new tasks");
    }
}

/// How a quiet board is known, and the settings for it; the watch only in versions that have one.
pub(crate) fn modes() -> Vec<(&'static str, &'static str)> {
    match Config::from_toml("watch = true") {
        Ok(_) => vec![("sweep", "watch = false\n"), ("watch", "watch = true\n")],
        Err(_) => vec![("sweep", "")],
    }
}

fn connect(db: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(db, flags).expect("a board");
    let count: i64 = db
        .query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))
        .expect("its tasks");
    assert!(count > 0);
    db
}

/// What the pure decision is asked about: so many live tasks, of each kind that a tick meets, and nothing to do about most of them.
pub(crate) fn view(size: usize) -> (View, Processes, Policy) {
    let (mut view, mut processes) = (View::default(), Processes::new());
    for n in 0..size {
        let mut task = Task {
            id: format!("t_{n:06}"),
            assignee: Some("coder".to_owned()),
            created_at: NOW - 10_000,
            workspace_kind: "scratch".to_owned(),
            ..Task::default()
        };
        match n % 4 {
            0 => task.status = TaskStatus::Ready,
            1 => {
                task.status = TaskStatus::Running;
                task.claim_lock = Some("rs.host:1:a".to_owned());
                task.claim_expires = Some(NOW + 600);
                task.worker_pid = Some(1_000);
                task.started_at = Some(NOW - 60);
                task.run = Some(1);
                task.run_started_at = Some(NOW - 60);
                let alive = Process::Alive { stopping: None };
                processes.insert(task.id.clone(), alive);
            }
            _ => task.has_open_parent = true,
        }
        view.tasks.push(task);
    }
    let policy = Policy {
        lock: "rs.host:1:b".to_owned(),
        our_prefix: "rs.host:".to_owned(),
        peer_prefix: "host:".to_owned(),
        spawnable: ["coder".to_owned()].into(),
        ..Policy::default()
    };
    (view, processes, policy)
}

/// The instant of that decision.
pub(crate) const fn now() -> i64 {
    NOW
}

/// Leaves the counts for `cargo xtask gate`, if that has asked for them.
pub(crate) fn leave(bench: &str, counts: &BTreeMap<String, u64>) {
    let Some(dir) = env::var_os("GATE_DIR") else {
        return;
    };
    let mut text = String::new();
    for (name, count) in counts {
        let _ = writeln!(text, "{name:?} = {count}");
    }
    fs::write(Path::new(&dir).join(bench).with_extension("toml"), text).expect("a directory");
}
