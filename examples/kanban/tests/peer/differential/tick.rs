//! The same boards, ticked once by each program: copies of one file, below two roots, at one instant.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kanban_dispatcher::{Clock, Config, Dispatcher, Job, Root, Store, TickReport, WorkerCommand};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::super::board::rows;
use super::super::house::{House, Result};
use super::case::{Now, Task, furnish};
use super::seen::{Before, Whole};

/// The peer's side of the ticks: what they are given beside the board.
const DRIVER: &str = include_str!("dispatch_once.py");

/// What started: task and skills.
pub(super) type Started = Vec<(String, Vec<String>)>;

/// Two installations, alike but for who ticks them.
pub(super) struct Pair {
    peers: House,
    ours: House,
    driver: Child,
    answers: BufReader<std::process::ChildStdout>,
    dispatcher: Dispatcher,
    clock: Clock,
    options: Value,
    started: Arc<Mutex<Started>>,
    pub(super) now: i64,
    host: String,
    sleepers: Vec<Child>,
}

/// One board on both sides.
#[derive(Debug, Clone)]
pub(super) struct Twin {
    slug: String,
    peers: PathBuf,
    ours: PathBuf,
    before: Before,
}

/// Both sides of one board after a tick.
#[derive(Debug)]
pub(super) struct Both {
    pub(super) peers: Whole,
    pub(super) ours: Whole,
    pub(super) peer_started: Started,
    pub(super) peer_error: Option<String>,
}

impl Pair {
    /// `settings` are ours as TOML, `options` the peer's arguments for the same.
    pub(super) fn new(settings: &str, options: Value, Now(now): Now) -> Result<Self> {
        let (peers, ours) = (House::new()?, House::new()?);
        for house in [&peers, &ours] {
            fs::create_dir_all(house.root().join("profiles/tester"))?;
            // The peer tells its users about scratch directories once per installation; this says that it did.
            fs::write(house.root().join(".scratch_tip_shown"), "")?;
        }
        let mut driver = peers
            .python(DRIVER)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(driver.stdout.take().ok_or("no answers")?);
        let started = Arc::new(Mutex::new(Started::new()));
        let clock = Clock::manual(now);
        let more = "\nworkers_max = 100000\nguard_connections_max = 0\nboard_deadline_seconds = 900\nbusy_timeout_ms = 30000";
        let config = Config::from_toml(&format!("{}\n{settings}", more.trim()))?;
        let told = Arc::clone(&started);
        let launcher = move |job: &Job<'_>| command(job, &told);
        let dispatcher = Dispatcher::builder(Root::at(ours.root()), config)
            .clock(clock.clone())
            .launcher(launcher)
            .build();
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            peers,
            ours,
            driver,
            answers,
            dispatcher,
            clock,
            options,
            started,
            now,
            host,
            sleepers: Vec::new(),
        })
    }

    /// A board of these tasks, below both roots.
    pub(super) fn board(&mut self, name: &str, tasks: &[Task]) -> Result<Twin> {
        self.board_with(name, |db, host, live| {
            furnish(db)?;
            tasks
                .iter()
                .try_for_each(|task| task.insert(db, host, live(task)?))
        })
    }

    /// The same, filled in some other way.
    pub(super) fn board_with(
        &mut self,
        name: &str,
        fill: impl FnOnce(&Connection, &str, &mut dyn FnMut(&Task) -> Result<i64>) -> Result,
    ) -> Result<Twin> {
        let board = Root::at(self.ours.root()).board(&name.parse()?);
        drop(Store::init(&board, &Clock::system())?);
        let db = open(board.db())?;
        db.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
        let (host, sleepers) = (self.host.clone(), &mut self.sleepers);
        fill(&db, &host, &mut |task| {
            if task.pid != super::case::Pid::Live {
                return Ok(0);
            }
            let sleeper = Command::new("sleep")
                .arg("900")
                .stdin(Stdio::null())
                .spawn()?;
            let pid = sleeper.id().into();
            sleepers.push(sleeper);
            Ok(pid)
        })?;
        db.execute_batch("COMMIT")?;
        let before = Before::of(&db)?;
        // The last one to close leaves no log behind, so that the file is all there is to copy.
        drop(db);
        let ours = board.db().to_owned();
        let peers = self.peers.board(name).db;
        fs::create_dir_all(peers.parent().ok_or("no directory")?)?;
        fs::copy(&ours, &peers)?;
        Ok(Twin {
            slug: name.to_owned(),
            peers,
            ours,
            before,
        })
    }

    /// Our one tick of all boards.
    pub(super) fn tick_ours(&mut self) -> TickReport {
        let report = self.dispatcher.tick();
        assert!(report.standby.is_none(), "{report:?}");
        report
    }

    /// The peer's tick of one board.
    pub(super) fn tick_peers(&mut self, twin: &Twin) -> Result<(Started, Option<String>)> {
        let job = json!({ "db": twin.peers, "board": twin.slug, "now": self.now, "options": self.options });
        let stdin = self.driver.stdin.as_mut().ok_or("no driver")?;
        writeln!(stdin, "{job}")?;
        stdin.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("the driver ended: {error}"))?;
        Ok((
            serde_json::from_value(answer["spawned"].clone())?,
            serde_json::from_value(answer["error"].clone())?,
        ))
    }

    /// Waits until the workers that we started for a board have ended; nobody has seen it yet.
    pub(super) fn wait_for_workers(&self, twin: &Twin) -> Result {
        let sql =
            "SELECT worker_pid FROM tasks WHERE status = 'running' AND worker_pid IS NOT NULL";
        for row in rows(&open(&twin.ours)?, sql, [])? {
            let stat = format!("/proc/{}/stat", row["worker_pid"]);
            self.ours.until("the worker has ended", || {
                let stat = fs::read_to_string(&stat).unwrap_or_default();
                Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Time goes on for both.
    pub(super) fn advance(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.now += i64::try_from(seconds).unwrap_or(i64::MAX);
    }

    /// None of the processes that neither program started was touched.
    pub(super) fn sleepers_are_alive(&mut self) -> Result {
        for sleeper in &mut self.sleepers {
            if let Some(end) = sleeper.try_wait()? {
                return Err(format!("a process that is not ours ended: {end}").into());
            }
        }
        Ok(())
    }

    /// What both sides have of a board.
    pub(super) fn look(&mut self, twin: &Twin) -> Result<Both> {
        let (peer_started, peer_error) = self.tick_peers(twin)?;
        let read = |db: &Path, house: &House| Whole::read(&open(db)?, &house.root(), twin.before);
        Ok(Both {
            peers: read(&twin.peers, &self.peers)?,
            ours: read(&twin.ours, &self.ours)?,
            peer_started,
            peer_error,
        })
    }

    /// What we started so far, and with which skills.
    pub(super) fn started(&self) -> Started {
        self.started
            .lock()
            .expect("no test panics while it starts something")
            .clone()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
        for sleeper in &mut self.sleepers {
            let _ = sleeper.kill();
            let _ = sleeper.wait();
        }
    }
}

/// A connection like anybody's: if it is the last to close, it leaves no log behind.
fn open(db: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    Ok(Connection::open_with_flags(db, flags)?)
}

/// What a task's title asks for; the driver reads it the same way.
fn command(job: &Job<'_>, started: &Mutex<Started>) -> io::Result<WorkerCommand> {
    let title = job.work.title.as_str();
    if let Some(text) = title.strip_prefix("raise: ") {
        return Err(io::Error::other(text.to_owned()));
    }
    let mut started = started
        .lock()
        .expect("no test panics while it starts something");
    started.push((job.work.task.clone(), job.work.skills.clone()));
    let script = title.strip_prefix("run: ").unwrap_or("exit 0");
    let argv = ["sh", "-c", script].map(Into::into).to_vec();
    Ok(WorkerCommand {
        argv,
        env: Vec::new(),
    })
}
