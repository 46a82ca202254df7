//! A private installation: nothing of the machine's own boards is seen or touched, and no process is left behind.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::said::Said;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Far above what anything here takes, so that a loaded machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker that writes its process id down and stays until the installation goes away; `$1` is the root.
const STAYS: &str =
    "echo $$ > \"$1/worker.$HERMES_KANBAN_TASK\"; while [ -d \"$1/kanban\" ]; do sleep 0.05; done";

pub(crate) struct House {
    dir: TempDir,
}

impl House {
    /// An empty installation: the root's directory exists, and nothing is in it.
    pub(crate) fn new() -> Result<Self> {
        let house = Self {
            dir: tempfile::tempdir()?,
        };
        fs::create_dir_all(house.root())?;
        Ok(house)
    }

    /// The same with the default board.
    pub(crate) fn with_board() -> Result<Self> {
        let house = Self::new()?;
        house.ok(&["init"])?;
        Ok(house)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A file beside the root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the settings: a quick interval, and workers that stay.
    pub(crate) fn settings(&self) -> Result {
        self.settings_with(STAYS, "")
    }

    /// The same with workers that run `script` in `sh`, where `$1` is the root and `$2` the program, and with `more` lines.
    pub(crate) fn settings_with(&self, script: &str, more: &str) -> Result {
        let words = [
            "sh",
            "-c",
            script,
            "worker",
            "{root}",
            env!("CARGO_BIN_EXE_kanban"),
        ];
        let text = format!(
            "dispatch_interval_seconds = 0.05\n{more}\n\
             [worker]\nrequire_profile = false\nstop_grace_seconds = 0\ncommand = {words:?}\n",
        );
        fs::create_dir_all(self.root().join("kanban"))?;
        fs::write(self.root().join("kanban/dispatcher.toml"), text)?;
        Ok(())
    }

    /// `kanban --root ROOT ARGS` with nothing of the caller's environment that it would read.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kanban"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("HERMES_") || text.starts_with("KANBAN_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.dir.path())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .arg("--root")
            .arg(self.root())
            .args(args);
        command
    }

    /// What it says, whatever comes of it.
    pub(crate) fn say(&self, args: &[&str]) -> Result<Said> {
        self.say_with(&[], args)
    }

    /// The same with variables set.
    pub(crate) fn say_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Result<Said> {
        Ok(self
            .command(args)
            .envs(vars.iter().copied())
            .output()?
            .into())
    }

    /// What it says, which must be a success.
    pub(crate) fn ok(&self, args: &[&str]) -> Result<Said> {
        let said = self.say(args)?;
        match said.code {
            Some(0) => Ok(said),
            _ => Err(format!("kanban {args:?}: {said:?}").into()),
        }
    }

    /// A new task; its id.
    pub(crate) fn add(&self, args: &[&str]) -> Result<String> {
        let said = self.ok(&[&["add"], args].concat())?;
        Ok(said.out.trim().to_owned())
    }

    pub(crate) fn show(&self, id: &str) -> Result<Value> {
        self.ok(&["show", id, "--json"])?.json()
    }

    /// The default board's database.
    pub(crate) fn db(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let db = Connection::open_with_flags(self.root().join("kanban.db"), flags)?;
        db.busy_timeout(Duration::from_secs(10))?;
        Ok(db)
    }

    /// One value of one task, as the database has it.
    pub(crate) fn task<T: rusqlite::types::FromSql>(&self, column: &str, id: &str) -> Result<T> {
        let sql = format!("SELECT {column} FROM tasks WHERE id = ?1");
        Ok(self.db()?.query_row(&sql, [id], |row| row.get(0))?)
    }

    /// One value of a statement about one task.
    pub(crate) fn query<T: rusqlite::types::FromSql>(&self, sql: &str, id: &str) -> Result<T> {
        Ok(self.db()?.query_row(sql, [id], |row| row.get(0))?)
    }

    /// A board whose database is no database.
    pub(crate) fn broken_board(&self, slug: &str) -> Result {
        let dir = self.root().join("kanban/boards").join(slug);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("kanban.db"), "no database at all\n".repeat(512))?;
        Ok(())
    }

    /// Every file below the root.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut dirs = vec![self.root()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    dirs.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// `kanban run ARGS`.
    pub(crate) fn daemon(&self, args: &[&str]) -> Result<Daemon> {
        Daemon::start(self, &[&["run"], args].concat())
    }

    /// `nohup kanban run`.
    pub(crate) fn nohup_daemon(&self) -> Result<Daemon> {
        Daemon::spawn(self, &mut under(&["nohup"], &self.command(&["run"])))
    }

    /// `kanban status --watch --json`.
    pub(crate) fn watch(&self) -> Result<Daemon> {
        Daemon::start(self, &["status", "--watch", "--json"])
    }

    /// The worker of a task, once it has said that it runs.
    pub(crate) fn worker(&self, id: &str) -> Result<u32> {
        let path = self.root().join(format!("worker.{id}"));
        self.until("a worker that runs", || {
            Ok(fs::read_to_string(&path)?.trim().parse()?)
        })
    }

    /// Looks until there is something to see; an error counts as nothing yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "other processes have no clock to inject; this is a deadline, not a wait"
    )]
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            match look() {
                Ok(seen) => return Ok(seen),
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(format!("never saw {what}: {error}").into());
                }
                Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for House {
    /// Workers stay as long as the root does, so its end is theirs; wait for it.
    fn drop(&mut self) {
        let files = self.files().unwrap_or_default();
        let pids: Vec<u32> = files
            .iter()
            .filter(|path| path.file_stem().is_some_and(|stem| stem == "worker"))
            .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
            .collect();
        // What a worker writes meanwhile is removed with the rest.
        let _ = fs::remove_dir_all(self.root().join("kanban"));
        let _ = self.until("the end of every worker", || {
            match pids.iter().find(|pid| is_alive(**pid)) {
                Some(pid) => Err(format!("{pid} is alive").into()),
                None => Ok(()),
            }
        });
    }
}

/// The same command as further words of another one.
pub(crate) fn under(words: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(words[0]);
    outer
        .args(&words[1..])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// Whether a process runs; one that ended and was not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    // The state follows the name, which is in parentheses and may hold anything.
    stat.is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.starts_with(" Z"))
    })
}
