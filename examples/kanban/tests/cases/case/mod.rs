//! One case: an installation with ten boards, the daemon on it, and what it says.

mod disks;
mod faults;
mod files;
mod invariants;
mod library;
mod lines;
mod opens;
mod reads;
mod report;
mod soon;
mod workers;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;
use serde_json::Value;

pub(crate) use self::disks::needs;
pub(crate) use self::library::compile;
pub(crate) use self::lines::{Line, at_most_one_a_window};
pub(crate) use self::opens::Opens;
pub(crate) use self::reads::Reads;
pub(crate) use self::report::run;
pub(crate) use self::workers::{DONE, WAITS};
pub(crate) use crate::daemon::Daemon;
pub(crate) use crate::house::{House, Result};

/// The board that something happens to.
pub(crate) const FAULTY: &str = "faulty";

/// How many others there are; nothing may happen to them.
const OTHERS: usize = 9;

/// The interval between two ticks.
pub(crate) const T: Duration = Duration::from_millis(100);

/// The log window.
pub(crate) const W: Duration = Duration::from_secs(1);

/// The first retry of a held board; the longest is four times as long.
pub(crate) const B: Duration = Duration::from_secs(1);

/// More than a case has tasks.
const WORKERS_MAX: u32 = 64;

/// `case! { c01_name, injects: "...", holds: "...", |case| { ...; Ok(()) } }`: a test named after its case, which ends with the
/// invariants and leaves its row for the table.
macro_rules! case {
    ($name:ident, injects: $injects:expr, holds: $holds:expr, $body:expr) => {
        #[test]
        fn $name() -> crate::cases::case::Result {
            crate::cases::case::run(stringify!($name), $injects, $holds, $body)
        }
    };
}

/// An installation with ten boards, and the daemon on it once it is started.
pub(crate) struct Case {
    /// Before the house, whose directories cannot be removed under them.
    mounts: RefCell<Vec<disks::Mount>>,
    pub(crate) house: House,
    daemon: Option<Daemon>,
    /// What its process used when it first served.
    base: Option<Usage>,
    /// Boards that are there, `default` aside.
    boards: BTreeSet<String>,
    /// Boards that were damaged on purpose: nothing is asked of their files.
    damaged: BTreeSet<String>,
    /// In the settings from the next time on that they are written.
    pub(crate) interval: Duration,
    pub(crate) window: Duration,
    pub(crate) first_retry: Duration,
    pub(crate) workers_max: u32,
    pub(crate) requires_profile: bool,
}

/// What the daemon's process uses, as the kernel has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) descriptors: usize,
    pub(crate) resident_kib: u64,
}

// ===== impl Case =====

impl Case {
    /// Ten boards and the quick settings; workers complete their task at once.
    fn new() -> Result<Self> {
        let mut case = Self {
            mounts: RefCell::default(),
            house: House::new()?,
            daemon: None,
            base: None,
            boards: BTreeSet::new(),
            damaged: BTreeSet::new(),
            interval: T,
            window: W,
            first_retry: B,
            workers_max: WORKERS_MAX,
            requires_profile: false,
        };
        case.settings(DONE, "", "")?;
        case.make_board(FAULTY)?;
        for n in 1..=OTHERS {
            case.make_board(&format!("other-{n}"))?;
        }
        Ok(case)
    }

    /// Writes the settings anew: workers that run `script`, `more` lines before the tables, and `tables` after them.
    ///
    /// The script finds the root in `$1` and the program in `$2`; see `workers.rs` for what runs before it.
    pub(crate) fn settings(&self, script: &str, more: &str, tables: &str) -> Result {
        self.write_settings(&workers::command(script), more, tables)
    }

    /// Workers of this program from now on.
    pub(crate) fn program(&self, words: &[&str]) -> Result {
        self.write_settings(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
            "",
            "",
        )
    }

    fn write_settings(&self, words: &[String], more: &str, tables: &str) -> Result {
        let text = format!(
            "dispatch_interval_seconds = {}\nworkers_max = {}\nrate_limit_cooldown_seconds = 1\n{more}\n\
             [worker]\nrequire_profile = {}\nstop_grace_seconds = 0\ncommand = {words:?}\n\
             [throttle]\nwindow_seconds = {}\n\
             [quarantine]\nfirst_retry_seconds = {}\nmax_retry_seconds = {}\n{tables}\n",
            self.interval.as_secs_f64(),
            self.workers_max,
            self.requires_profile,
            self.window.as_secs_f64(),
            self.first_retry.as_secs_f64(),
            (4 * self.first_retry).as_secs_f64(),
        );
        // In one step: a daemon that runs reads it too.
        let path = self.house.root().join("kanban/dispatcher.toml");
        fs::create_dir_all(self.house.root().join("kanban"))?;
        fs::write(path.with_extension("new"), text)?;
        Ok(fs::rename(path.with_extension("new"), path)?)
    }

    /// Gives a setting that `settings` has written another value, in one step. A daemon that runs believes it a second later.
    pub(crate) fn set(&self, key: &str, value: &str) -> Result {
        let path = self.house.root().join("kanban/dispatcher.toml");
        let text = fs::read_to_string(&path)?;
        let begin = format!("{key} = ");
        let is_it = |line: &&str| line.starts_with(&begin);
        if text.lines().filter(is_it).count() != 1 {
            return Err(format!("no one line with {key}: {text}").into());
        }
        let lines: Vec<String> = text
            .lines()
            .map(|line| match is_it(&line) {
                true => format!("{begin}{value}"),
                false => line.to_owned(),
            })
            .collect();
        fs::write(path.with_extension("new"), lines.join("\n") + "\n")?;
        Ok(fs::rename(path.with_extension("new"), path)?)
    }

    // ----- boards -----

    /// Makes a board, which is there from now on.
    pub(crate) fn make_board(&mut self, slug: &str) -> Result {
        self.house.ok(&["--board", slug, "init"])?;
        self.boards.insert(slug.to_owned());
        Ok(())
    }

    /// A board that is gone, on purpose.
    pub(crate) fn expect_gone(&mut self, slug: &str) {
        self.boards.remove(slug);
    }

    /// Nothing is asked of this board's file in the end.
    pub(crate) fn expect_damage(&mut self, slug: &str) {
        self.damaged.insert(slug.to_owned());
    }

    /// The boards that nothing is done to.
    pub(crate) fn others(&self) -> Vec<&str> {
        let all = self.boards.iter().map(String::as_str);
        all.filter(|slug| slug.starts_with("other-")).collect()
    }

    /// A board's directory.
    pub(crate) fn dir(&self, slug: &str) -> PathBuf {
        self.house.root().join("kanban/boards").join(slug)
    }

    /// A board's database file.
    pub(crate) fn file(&self, slug: &str) -> PathBuf {
        self.dir(slug).join("kanban.db")
    }

    /// Puts a file that is no database in the place of a board's. Its log goes too: SQLite would make a database of it.
    pub(crate) fn spoil(&mut self, slug: &str) -> Result {
        self.expect_damage(slug);
        let new = self.house.beside("spoilt");
        fs::write(&new, "no database at all\n".repeat(512))?;
        fs::rename(new, self.file(slug))?;
        for sidecar in ["kanban.db-wal", "kanban.db-shm"] {
            let _ = fs::remove_file(self.dir(slug).join(sidecar));
        }
        Ok(())
    }

    /// A connection to a board that exists. Never from the process that opens a board's file by other means.
    pub(crate) fn db(&self, slug: &str) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let db = Connection::open_with_flags(self.file(slug), flags)?;
        db.busy_timeout(Duration::from_secs(10))?;
        Ok(db)
    }

    /// A new ready task of this board; its id.
    pub(crate) fn add(&self, slug: &str, title: &str) -> Result<String> {
        let args = ["--board", slug, "add", title, "--assignee", "anyone"];
        Ok(self.house.ok(&args)?.out.trim().to_owned())
    }

    /// One value of a statement about one task, or of any with `?1`.
    pub(crate) fn query<T: rusqlite::types::FromSql>(
        &self,
        slug: &str,
        sql: &str,
        task: &str,
    ) -> Result<T> {
        Ok(self.db(slug)?.query_row(sql, [task], |row| row.get(0))?)
    }

    /// The settings that a case begins with, in force.
    pub(crate) fn settle(&mut self) -> Result {
        self.interval = T;
        self.window = W;
        self.first_retry = B;
        self.workers_max = WORKERS_MAX;
        self.requires_profile = false;
        self.settings(DONE, "", "")?;
        self.let_settings_apply()
    }

    /// Waits until the settings that were written last apply.
    pub(crate) fn let_settings_apply(&self) -> Result {
        let text = fs::read_to_string(self.house.root().join("kanban/dispatcher.toml"))?;
        let before = self.lines()?.len();
        // The same words, in a file that has changed: there is a line for it whenever they apply.
        let path = self.house.root().join("kanban/dispatcher.toml");
        fs::write(path.with_extension("new"), text + "# applied\n")?;
        fs::rename(path.with_extension("new"), &path)?;
        self.until("the settings in force", |case| {
            let lines = case.lines()?;
            let is_told = |line: &Line| line.message().contains("settings changed");
            match lines[before..].iter().any(is_told) {
                true => Ok(()),
                false => Err(format!("{:#?}", &lines[before..]).into()),
            }
        })
    }

    /// Lets workers that run [`WAITS`] go on, all of them or that of one task.
    pub(crate) fn go(&self, task: Option<&str>) -> Result {
        let name = task.map_or_else(|| "go".to_owned(), |task| format!("go.{task}"));
        Ok(fs::write(self.house.root().join(name), "")?)
    }

    /// Waits until a task has this status.
    pub(crate) fn task(&self, slug: &str, id: &str, status: &str) -> Result {
        self.until(&format!("{id} {status}"), |case| {
            let sql = "SELECT status FROM tasks WHERE id = ?1";
            match case.query::<String>(slug, sql, id)? {
                now if now == status => Ok(()),
                now => Err(now.into()),
            }
        })
    }

    // ----- the daemon -----

    /// Starts the daemon, which must come to serve all boards.
    pub(crate) fn start(&mut self) -> Result {
        self.start_unwell()?;
        self.daemon()?.serves(&self.house)
    }

    /// Starts it where not all boards are well: it must come to its first tick.
    pub(crate) fn start_unwell(&mut self) -> Result {
        let daemon = self.house.daemon(&["--log-format", "json"])?;
        self.begin(daemon)
    }

    /// The same with a daemon that was started by other means; its log must be JSON.
    pub(crate) fn begin(&mut self, daemon: Daemon) -> Result {
        self.daemon = Some(daemon);
        self.until("a first tick", |case| {
            let status = case.status()?;
            let pid = case.daemon()?.pid();
            match status["dispatcher"]["pid"] == pid && status["dispatcher"]["ticks"] != 0 {
                true => Ok(()),
                false => Err(format!("{status}\n{}", case.daemon()?.log()).into()),
            }
        })?;
        self.base = Some(self.usage()?);
        Ok(())
    }

    /// Starts it with a line at the end of each pass over all boards; see [`passes`](Self::passes).
    pub(crate) fn start_telling_passes(&mut self) -> Result {
        let debug = [("KANBAN_LOG", "debug")];
        let args = ["run", "--log-format", "json"];
        let daemon = Daemon::start_with(&self.house, &debug, &args)?;
        self.begin(daemon)
    }

    /// How many passes over all boards have ended. The next one may have begun; the one after that has not.
    pub(crate) fn passes(&self) -> Result<u64> {
        let lines = self.lines()?;
        let last = lines.iter().rev().find_map(Line::pass);
        last.ok_or_else(|| "no pass has ended".into())
    }

    /// Waits for a line about this board that contains these words, which must come before the pass with this number ends.
    #[track_caller]
    pub(crate) fn line_before(&self, slug: &str, words: &str, pass: u64) -> Result<Line> {
        self.line(slug, words)?;
        let lines = self.lines()?;
        let is_it = |line: &&Line| line.board() == Some(slug) && line.message().contains(words);
        let found = lines
            .iter()
            .take_while(|line| line.pass() != Some(pass))
            .find(is_it);
        let found = found.cloned();
        found.ok_or_else(|| format!("later than pass {pass}: {lines:#?}").into())
    }

    pub(crate) fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().ok_or_else(|| "no daemon".into())
    }

    /// Asks the daemon to end and gives back what it has logged, all of it.
    pub(crate) fn stop(&mut self) -> Result<Vec<Line>> {
        let mut daemon = self.daemon.take().ok_or("no daemon")?;
        let status = daemon.stop(&self.house, Signal::TERM)?;
        if status.code() != Some(0) {
            return Err(format!("{status}: {}", daemon.log()).into());
        }
        lines::parse(&daemon.log())
    }

    /// Kills it; its log is gone with it.
    pub(crate) fn kill(&mut self) {
        self.daemon = None;
    }

    /// What it has logged so far.
    pub(crate) fn lines(&self) -> Result<Vec<Line>> {
        lines::parse(&self.daemon()?.log())
    }

    /// What it has logged so far about a board.
    pub(crate) fn lines_about(&self, slug: &str) -> Result<Vec<Line>> {
        let mut lines = self.lines()?;
        lines.retain(|line| line.board() == Some(slug));
        Ok(lines)
    }

    /// Waits for a line about this board that contains these words, and gives it back.
    pub(crate) fn line(&self, slug: &str, words: &str) -> Result<Line> {
        self.until(words, |case| {
            let lines = case.lines_about(slug)?;
            let found = lines.iter().find(|line| line.message().contains(words));
            found.cloned().ok_or_else(|| format!("{lines:#?}").into())
        })
    }

    /// What its process uses now.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let pid = self.daemon()?.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = line.ok_or("no VmRSS")?.trim_end_matches("kB").trim();
        Ok(Usage {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            resident_kib: resident.parse()?,
        })
    }

    // ----- what another process sees -----

    /// `kanban status --json`, whatever its exit code.
    pub(crate) fn status(&self) -> Result<Value> {
        self.house.say(&["status", "--json"])?.json()
    }

    /// A board's entry in it.
    pub(crate) fn board_status(&self, slug: &str) -> Result<Value> {
        let status = self.status()?;
        let mut boards = status["boards"].as_array().into_iter().flatten();
        let found = boards.find(|board| board["slug"] == slug).cloned();
        found.ok_or_else(|| format!("no {slug}: {status}").into())
    }

    /// Waits until a board is in this state, and gives back its entry.
    pub(crate) fn state(&self, slug: &str, state: &str) -> Result<Value> {
        self.until(&format!("{slug} {state}"), |case| {
            match case.board_status(slug)? {
                board if board["state"] == state => Ok(board),
                board => Err(board.to_string().into()),
            }
        })
    }

    /// A count of what became of failures in the log.
    pub(crate) fn log_count(&self, name: &str) -> Result<u64> {
        let status = self.status()?;
        let count = status["dispatcher"]["usage"]["log"][name].as_u64();
        count.ok_or_else(|| status.to_string().into())
    }

    /// Waits until status counts so many repairs of a board that works: its line comes before the tick's end, and status after it.
    pub(crate) fn counts_repairs(&self, slug: &str, repairs: u32) -> Result {
        self.until(&format!("{repairs} repairs of {slug}"), |case| {
            match case.state(slug, "ok")? {
                board if board["repair_attempts"] == repairs => Ok(()),
                board => Err(board.to_string().into()),
            }
        })
    }

    /// Passes over all boards so far.
    pub(crate) fn ticks(&self) -> Result<u64> {
        let status = self.status()?;
        let ticks = status["dispatcher"]["ticks"].as_u64();
        ticks.ok_or_else(|| status.to_string().into())
    }

    /// Lets so many whole ticks pass.
    pub(crate) fn let_ticks_pass(&self, ticks: u64) -> Result {
        // The one under way may have looked already.
        let then = self.ticks()? + 1 + ticks;
        self.until("more ticks", |case| match case.ticks()? {
            now if now >= then => Ok(()),
            now => Err(format!("{now} of {then}").into()),
        })
    }

    /// Looks until there is something to see; an error counts as nothing yet.
    pub(crate) fn until<R>(&self, what: &str, look: impl Fn(&Self) -> Result<R>) -> Result<R> {
        self.house.until(what, || look(self))
    }
}
