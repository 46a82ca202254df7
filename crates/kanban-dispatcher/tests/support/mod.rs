//! What the tests share: a root with real boards, the lines that were logged about it, and waiting for real processes.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

pub mod child;
pub mod daemon;
pub mod halted;
pub mod log;
pub mod sentinel;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fingerprint_quarantine::SqliteStamp;
use kanban_dispatcher::{
    Board, BoardReport, BoardStatus, Builder, Clock, Config, Detail, Dispatcher, NewTask, Root,
    Status, Store, TickReport,
};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use self::log::Line;

pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// When every manual clock starts.
pub const START: i64 = 1_700_000_000;

/// Longer than any test needs its workers, shorter than anybody would mind if one were left behind.
pub const LONG: [&str; 2] = ["sleep", "120"];

/// A root of its own in a temporary directory, with a clock of its own. Its boards' names begin with a text that no other
/// fleet of this process uses: by that its log lines are known, whatever thread wrote them.
#[derive(Debug)]
pub struct Fleet {
    pub root: Root,
    pub clock: Clock,
    prefix: String,
    dir: TempDir,
}

// ===== impl Fleet =====

impl Fleet {
    pub fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        log::capture();
        let dir = tempfile::tempdir()?;
        Ok(Self {
            root: Root::at(dir.path()),
            clock: Clock::manual(START),
            prefix: format!("f{}-", COUNT.fetch_add(1, Ordering::Relaxed)),
            dir,
        })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    // ----- boards -----

    pub fn slug(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn board(&self, name: &str) -> Result<Board> {
        Ok(self.root.board(&self.slug(name).parse()?))
    }

    pub fn db(&self, name: &str) -> Result<PathBuf> {
        Ok(self.board(name)?.db().to_owned())
    }

    /// Makes the board if it is not there, and opens it.
    pub fn store(&self, name: &str) -> Result<Store> {
        Ok(Store::init(&self.board(name)?, &self.clock)?)
    }

    /// Makes the board with `tasks` ready tasks; their ids, in the order in which they would start.
    pub fn ready(&self, name: &str, tasks: usize) -> Result<Vec<String>> {
        let mut store = self.store(name)?;
        (0..tasks)
            .map(|n| Ok(store.create(&task(i64::try_from(tasks - n)?))?))
            .collect()
    }

    /// One task with its history.
    pub fn show(&self, name: &str, id: &str) -> Result<Detail> {
        Ok(self.store(name)?.show(id)?)
    }

    /// A person takes a running task back.
    pub fn take_back(&self, name: &str, id: &str) -> Result {
        self.sql(
            name,
            &format!(
                "UPDATE task_runs SET status = 'reclaimed', outcome = 'reclaimed', ended_at = started_at \
                 WHERE id = (SELECT current_run_id FROM tasks WHERE id = '{id}'); \
                 UPDATE tasks SET status = 'ready', claim_lock = NULL, claim_expires = NULL, worker_pid = NULL, \
                 current_run_id = NULL WHERE id = '{id}'"
            ),
        )
    }

    /// Another program's connection to an existing board.
    pub fn connect(&self, name: &str) -> Result<Connection> {
        connect(&self.db(name)?)
    }

    /// Runs SQL on a board and closes the connection, which checkpoints if nobody else has the board open.
    pub fn sql(&self, name: &str, sql: &str) -> Result {
        Ok(self.connect(name)?.execute_batch(sql)?)
    }

    /// Drops a column, and first the indexes that name it.
    pub fn drop_column(&self, name: &str, table: &str, column: &str) -> Result {
        drop_column(&self.connect(name)?, table, column)
    }

    pub fn stamp(&self, name: &str) -> Result<SqliteStamp> {
        Ok(SqliteStamp::of(&self.db(name)?))
    }

    /// Waits until the board's files are old enough for their stamp to be beyond doubt.
    pub fn grow_old(&self, name: &str) -> Result {
        let db = self.db(name)?;
        until("the files are old", || Ok(!SqliteStamp::of(&db).is_young()))
    }

    /// Pages that no turn reads, to be cut off: only a look through the whole file meets that. The log, which somebody keeps open, says
    /// how long the file is.
    pub fn lengthen(&self, name: &str) -> Result {
        self.sql(
            name,
            "CREATE TABLE other (x); INSERT INTO other VALUES (zeroblob(400000)); PRAGMA wal_checkpoint(TRUNCATE); \
             INSERT INTO other VALUES (1)",
        )
    }

    /// Cuts them off. Another process does it, so that no descriptor of ours is closed.
    pub fn cut(&self, name: &str) -> Result {
        let db = self.db(name)?;
        let len = db.metadata()?.len() - 20 * 4096;
        let mut truncate = Command::new("truncate");
        let done = truncate.arg("-s").arg(len.to_string()).arg(&db).status()?;
        match done.success() {
            true => Ok(()),
            false => Err(format!("truncate: {done}").into()),
        }
    }

    // ----- dispatcher -----

    /// Settings under which every assignee can be served and workers do nothing for a long time.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.worker.require_profile = false;
        config.worker.command = Some(LONG.map(str::to_owned).to_vec());
        config.workers_max = 200.try_into().expect("not zero");
        config.busy_timeout_ms = Duration::from_millis(20);
        config
    }

    pub fn dispatcher(&self) -> Dispatcher {
        self.builder(|_| ()).build()
    }

    pub fn builder(&self, change: impl FnOnce(&mut Config)) -> Builder {
        let mut config = self.config();
        change(&mut config);
        Dispatcher::builder(self.root.clone(), config).clock(self.clock.clone())
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// One board's part of a report.
    pub fn part<'r>(&self, report: &'r TickReport, name: &str) -> Result<&'r BoardReport> {
        report
            .board(&self.slug(name))
            .ok_or_else(|| format!("no board \"{name}\" in {report:?}").into())
    }

    /// The same of a board that may have been quiet: then it had none.
    pub fn turn<'r>(&self, report: &'r TickReport, name: &str) -> Result<Option<&'r BoardReport>> {
        match self.part(report, name) {
            Err(_) if report.quiet > 0 => Ok(None),
            part => part.map(Some),
        }
    }

    /// What another process sees of one board.
    pub fn status(&self, name: &str) -> Result<BoardStatus> {
        let slug = self.slug(name);
        let status = Status::read(&self.root, &self.clock)?;
        let board = status.boards.into_iter().find(|board| board.slug == slug);
        board.ok_or_else(|| format!("no board \"{name}\" in the status").into())
    }

    /// How many repairs of this damage the ledger has counted.
    pub fn ledger_attempts(&self, name: &str) -> Result<i64> {
        Ok(connect(&self.root.ledger())?.query_row(
            "SELECT COALESCE(sum(attempts), 0) FROM repairs WHERE slug = ?1",
            [self.slug(name)],
            |row| row.get(0),
        )?)
    }

    // ----- what was said -----

    /// Every line so far that names this fleet's directory or one of its boards.
    pub fn lines(&self) -> Vec<Line> {
        log::lines(|line| line.mentions(&self.prefix, self.path()))
    }

    /// The lines of one board.
    pub fn lines_of(&self, name: &str) -> Vec<Line> {
        let slug = self.slug(name);
        log::lines(|line| line.board() == Some(&slug))
    }

    /// The lines above INFO.
    pub fn complaints(&self) -> Vec<Line> {
        let mut lines = self.lines();
        lines.retain(Line::is_above_info);
        lines
    }

    // ----- processes -----

    /// The live processes that were started for this fleet's tasks, the descendants of workers among them.
    pub fn processes(&self) -> Vec<i32> {
        let mark = [
            b"HERMES_KANBAN_HOME=",
            self.path().as_os_str().as_encoded_bytes(),
        ]
        .concat();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let environ = environment(*pid);
                environ.split(|byte| *byte == 0).any(|entry| entry == mark)
            })
            .collect()
    }

    /// Fails unless there are so many of them, no more and no fewer.
    pub fn has_processes(&self, count: usize) -> Result {
        until(&format!("there are {count} processes"), || {
            Ok(self.processes().len() == count)
        })
    }
}

/// A process's environment; that of a zombie is empty.
fn environment(pid: i32) -> Vec<u8> {
    const KERNEL_THREAD: u64 = 0x0020_0000;
    // One that is just becoming another program has none for a moment, though it lives.
    let is_becoming = || -> Option<bool> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X");
        let flags: u64 = fields.nth(5)?.parse().ok()?;
        Some(!is_dead && flags & KERNEL_THREAD == 0)
    };
    for _ in 0..200 {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if !environ.is_empty() || is_becoming() != Some(true) {
            return environ;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Vec::new()
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

// ===== small things =====

/// A task that anybody can do.
pub fn task(priority: i64) -> NewTask {
    NewTask {
        title: "work".to_owned(),
        assignee: Some("coder".to_owned()),
        priority,
        ..NewTask::default()
    }
}

pub fn connect(db: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Drops a column, and first the indexes that name it.
pub fn drop_column(db: &Connection, table: &str, column: &str) -> Result {
    let indexes: Vec<String> = db
        .prepare(
            "SELECT DISTINCT i.name FROM sqlite_schema i JOIN pragma_index_info(i.name) c \
             WHERE i.type = 'index' AND i.tbl_name = ?1 AND c.name = ?2",
        )?
        .query_map([table, column], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    for index in indexes {
        db.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    Ok(db.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {column}"))?)
}

/// The words of a worker that runs a shell script.
pub fn script(text: &str) -> Vec<String> {
    ["sh", "-c", text].map(str::to_owned).to_vec()
}

/// How a task's attempts ended, oldest first; "open" for one that has not.
pub fn outcomes(detail: &Detail) -> Vec<&str> {
    detail
        .runs
        .iter()
        .map(|run| run.outcome.as_deref().unwrap_or("open"))
        .collect()
}

/// Kills a process.
pub fn kill(pid: i64) -> Result {
    let pid = Pid::from_raw(pid.try_into()?).ok_or("no pid")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// One value from a board.
pub fn value<T: rusqlite::types::FromSql>(db: &Connection, sql: &str) -> Result<T> {
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

/// A file's bytes, read by another process: closing any descriptor of a file would drop this process's locks on it.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let output = Command::new("cat")
        .arg(path)
        .stderr(Stdio::null())
        .output()?;
    Ok(output.stdout)
}

/// Every name below a directory.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Which of this process's descriptors are open on files whose path begins with `path`.
pub fn open_files(path: &Path) -> Result<Vec<PathBuf>> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        if let Ok(target) = fs::read_link(entry?.path())
            && target
                .as_os_str()
                .as_encoded_bytes()
                .starts_with(path.as_os_str().as_encoded_bytes())
        {
            open.push(target);
        }
    }
    Ok(open)
}

/// Waits for something that only a real process can do. Everything else in these tests goes by a manual clock.
pub fn until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result {
    let clock = Clock::system();
    while !done()? {
        if clock.monotonic() > Duration::from_secs(30) {
            return Err(format!("waited in vain until {what}").into());
        }
        std::thread::park_timeout(Duration::from_millis(3));
    }
    Ok(())
}
