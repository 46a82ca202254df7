//! A private installation, and both programs pointed at it: nothing of the machine's own boards is seen or touched.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::board::Board;
use super::daemon::Daemon;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Far above what anything here takes, so that a loaded machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    dir: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl House {
    /// An installation with one profile, `coder`, and no board.
    pub(crate) fn new() -> Result<Self> {
        let house = Self {
            dir: tempfile::tempdir()?,
        };
        fs::create_dir_all(house.path("home"))?;
        fs::create_dir_all(house.path("hermes/profiles/coder"))?;
        Ok(house)
    }

    /// The root of the boards and of the profiles.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("hermes")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn board(&self, slug: &str) -> Board {
        let root = self.root();
        Board::at(match slug {
            "default" => root.join("kanban.db"),
            slug => root.join("kanban/boards").join(slug).join("kanban.db"),
        })
    }

    /// Writes our settings: a quick interval, `more` lines, and a worker that runs `script` in `sh`.
    ///
    /// In the script, `$1` is the peer's program, `$2` ours and `$3` this installation's directory; which task it is for
    /// says the environment, as to every worker.
    pub(crate) fn settings(&self, more: &str, script: &str) -> Result {
        let words = [
            OsStr::new("sh"),
            OsStr::new("-c"),
            OsStr::new(script),
            OsStr::new("worker"),
            hermes()?.as_os_str(),
            OsStr::new(env!("CARGO_BIN_EXE_kanban")),
            self.dir.path().as_os_str(),
        ]
        .map(|word| format!("{:?}", word.to_string_lossy()));
        fs::create_dir_all(self.root().join("kanban"))?;
        let text = format!(
            "dispatch_interval_seconds = 0.2\nworker.command = [{}]\n{more}\n",
            words.join(", ")
        );
        fs::write(self.root().join("kanban/dispatcher.toml"), text)?;
        Ok(())
    }

    /// `program` in this installation's environment, without anything of the caller's that either program would read.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["HERMES_", "KANBAN_", "TERMINAL_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("HERMES_HOME", self.root())
            .current_dir(self.dir.path());
        command
    }

    /// `hermes kanban ARGS`, which must neither fail nor complain.
    pub(crate) fn peer(&self, args: &[&str]) -> Result<Said> {
        self.peer_with(&[], args)
    }

    /// The same with variables set.
    pub(crate) fn peer_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Result<Said> {
        let mut command = self.command(hermes()?);
        command.arg("kanban").args(args).envs(vars.iter().copied());
        let said = Said::from(command.output()?);
        // The peer's code is 0 for whatever it has an answer to: a complaint shows in its words.
        if said.code != Some(0) || !said.err.trim().is_empty() {
            return Err(format!("hermes kanban {args:?}: {said:?}\n{}", self.log()).into());
        }
        Ok(said)
    }

    pub(crate) fn peer_json(&self, args: &[&str]) -> Result<Value> {
        self.peer(args)?.json()
    }

    /// A new task of the peer's; its id.
    pub(crate) fn peer_creates(&self, board: &str, title: &str, args: &[&str]) -> Result<String> {
        let mut words = vec![
            "--board",
            board,
            "create",
            title,
            "--assignee",
            "coder",
            "--json",
        ];
        words.extend(args);
        let task = self.peer_json(&words)?;
        Ok(task["id"]
            .as_str()
            .ok_or("a task without an id")?
            .to_owned())
    }

    /// `kanban --root ROOT ARGS`, whatever comes of it.
    pub(crate) fn kanban(&self, args: &[&str]) -> Result<Said> {
        self.kanban_with(&[], args)
    }

    /// The same with variables set.
    pub(crate) fn kanban_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Result<Said> {
        let mut command = self.command(env!("CARGO_BIN_EXE_kanban"));
        command.arg("--root").arg(self.root()).args(args);
        command.envs(vars.iter().copied());
        Ok(Said::from(command.output()?))
    }

    /// The same, which must succeed.
    pub(crate) fn kanban_ok(&self, args: &[&str]) -> Result<Said> {
        let said = self.kanban(args)?;
        match said.code {
            Some(0) => Ok(said),
            _ => Err(format!("kanban {args:?}: {said:?}").into()),
        }
    }

    /// `kanban --board BOARD add ARGS`; the new task's id.
    pub(crate) fn adds(&self, board: &str, args: &[&str]) -> Result<String> {
        let said = self.kanban_ok(&[&["--board", board, "add"], args].concat())?;
        Ok(said.out.trim().to_owned())
    }

    /// Our daemon on this installation.
    pub(crate) fn daemon(&self) -> Result<Daemon> {
        Daemon::start(self)
    }

    /// A Python program on this installation, with the peer's modules at hand.
    pub(crate) fn python(&self, program: &str) -> Result<Command> {
        let mut command = self.command(python()?);
        command.arg("-c").arg(program);
        Ok(command)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path("daemon.log")
    }

    /// What our daemons have said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Looks until there is something to see.
    #[expect(
        clippy::disallowed_methods,
        reason = "other processes have no clock to inject; this is a deadline, not a wait"
    )]
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("never saw: {what}\n{}", self.log()).into());
            }
            std::thread::park_timeout(Duration::from_millis(25));
        }
    }

    /// Waits until every task of `board` is in `status`.
    pub(crate) fn until_all(&self, board: &str, status: &str) -> Result {
        let board = self.board(board);
        self.until(&format!("{board:?}: every task {status}"), || {
            let others = board.rows("SELECT id FROM tasks WHERE status <> ?1 LIMIT 1", [status])?;
            Ok(others.is_empty().then_some(()))
        })
    }

    /// Waits until a task is in `status`.
    pub(crate) fn until_task(&self, board: &str, id: &str, status: &str) -> Result {
        let board = self.board(board);
        self.until(&format!("{board:?}: task {id} {status}"), || {
            Ok((board.task(id)?["status"] == status).then_some(()))
        })
    }
}

impl Said {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).map_err(|error| format!("{error}: {self:?}").into())
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The Python that has the peer's modules.
pub(crate) fn python() -> Result<PathBuf> {
    match env::var_os("KANBAN_PEER_PYTHON") {
        Some(python) => Ok(python.into()),
        None => Ok(hermes()?.with_file_name("python3")),
    }
}

/// The peer's program.
fn hermes() -> Result<PathBuf> {
    let path = match env::var_os("KANBAN_PEER") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peer-venv/bin/hermes"),
    };
    // Not resolved: a virtual environment is known by the path its program is started by.
    if path.is_file() {
        return Ok(std::path::absolute(path)?);
    }
    let path = path.display();
    Err(format!("no peer at {path}: `cargo xtask test` installs it, or set KANBAN_PEER").into())
}
