//! The programs that write: our own command line, the peer's module in a process of its own, and plain SQL.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::history::What;
use super::place::Place;
use super::sql;
use super::writers::{BUSY, Deed, NewTask, Writer};
use crate::Result;
use crate::daemon::bare;

/// Our command line.
pub(super) struct Cli {
    pub(super) kanban: PathBuf,
    pub(super) root: PathBuf,
}

impl Cli {
    fn run(&self, at: usize, words: &[&str]) -> Result<Option<String>> {
        let mut command = bare(&self.kanban);
        command.arg("--root").arg(&self.root);
        command
            .args(["--board", &format!("board-{at}")])
            .args(words);
        let output = command.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(text))
    }
}

impl Writer for Cli {
    fn name(&self) -> String {
        "cli".to_owned()
    }

    fn create(&mut self, at: usize, task: &NewTask<'_>) -> Result<Option<String>> {
        let priority = task.priority.to_string();
        let runtime = task.max_runtime.unwrap_or_default().to_string();
        let mut words = vec!["add", task.token, "--assignee", "anyone"];
        words.extend(["--priority", &priority]);
        if task.max_runtime.is_some() {
            words.extend(["--max-runtime", &runtime]);
        }
        if let Some(parent) = task.parent {
            words.extend(["--parent", parent]);
        }
        self.run(at, &words)
    }

    fn write(&mut self, at: usize, deed: &Deed<'_>) -> Result<bool> {
        let run = deed.run.unwrap_or_default().to_string();
        let words = match deed.what {
            What::Completed => vec!["complete", deed.task, "--summary", deed.token],
            What::Blocked => vec!["block", deed.task, deed.token, "--kind", "needs_input"],
            What::Unblocked => vec!["unblock", deed.task],
            What::Stale => vec![
                "complete",
                deed.task,
                "--summary",
                deed.token,
                "--run",
                &run,
            ],
            What::Commented => vec!["comment", deed.task, deed.token],
            What::Reclaimed => vec!["reclaim", deed.task, "--reason", deed.token],
            What::Created => return Ok(false),
        };
        Ok(self.run(at, &words)?.is_some())
    }
}

// ===== the peer's module =====

pub(super) struct Peer {
    name: String,
    wishes: ChildStdin,
    answers: BufReader<ChildStdout>,
    child: Child,
}

impl Peer {
    pub(super) fn start(name: &str, python: &Path, place: &Place) -> Result<Self> {
        let mut command = peer(python, place);
        command.args(["-c", include_str!("peer_writer.py")]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let wishes = child.stdin.take().ok_or("no pipe to the peer")?;
        let answers = child.stdout.take().ok_or("no pipe from the peer")?;
        Ok(Self {
            name: name.to_owned(),
            wishes,
            answers: BufReader::new(answers),
            child,
        })
    }

    fn ask(&mut self, wish: &Value) -> Result<Value> {
        writeln!(self.wishes, "{wish}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let mut answer: Value = serde_json::from_str(&line)?;
        Ok(answer["done"].take())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Writer for Peer {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn create(&mut self, at: usize, task: &NewTask<'_>) -> Result<Option<String>> {
        let done = self.ask(&json!({
            "verb": "create", "board": format!("board-{at}"), "token": task.token,
            "priority": task.priority, "max_runtime": task.max_runtime,
        }))?;
        Ok(done.as_str().map(str::to_owned))
    }

    fn write(&mut self, at: usize, deed: &Deed<'_>) -> Result<bool> {
        let verb = match deed.what {
            What::Commented => "comment",
            What::Completed => "complete",
            What::Blocked => "block",
            What::Unblocked => "unblock",
            What::Reclaimed => "reclaim",
            What::Created | What::Stale => return Ok(false),
        };
        let board = format!("board-{at}");
        let wish = json!({"verb": verb, "board": board, "token": deed.token, "task": deed.task});
        let done = self.ask(&wish)?;
        Ok(done == Value::Bool(true) || done.is_i64())
    }
}

/// The peer's Python at this place, with nothing of the caller's.
pub(super) fn peer(python: &Path, place: &Place) -> Command {
    let mut command = bare(python);
    command
        .env("HOME", place.path())
        .env("HERMES_HOME", place.root.dir())
        .env("HERMES_KANBAN_CLAIM_TTL_SECONDS", "20")
        .env("HERMES_KANBAN_CRASH_GRACE_SECONDS", "1")
        .env("HERMES_KANBAN_RATE_LIMIT_COOLDOWN_SECONDS", "1")
        .current_dir(place.path());
    command
}

// ===== plain SQL =====

/// Plain SQL. Keeps its connections open, as a program should that lives beside the peer.
pub(super) struct Sql(Vec<Connection>);

impl Sql {
    pub(super) fn new(place: &Place) -> Result<Self> {
        let boards = place.boards.iter();
        Ok(Self(
            boards
                .map(|spot| spot.connect(BUSY))
                .collect::<Result<_>>()?,
        ))
    }
}

impl Writer for Sql {
    fn name(&self) -> String {
        "sql".to_owned()
    }

    fn create(&mut self, at: usize, task: &NewTask<'_>) -> Result<Option<String>> {
        sql::create(&mut self.0[at], task.token, task.priority).map(Some)
    }

    fn write(&mut self, at: usize, deed: &Deed<'_>) -> Result<bool> {
        let db = &mut self.0[at];
        match deed.what {
            What::Commented => sql::comment(db, deed.task, deed.token),
            What::Completed => sql::complete(db, deed.task, deed.token),
            What::Blocked => sql::block(db, deed.task, deed.token),
            What::Unblocked => sql::unblock(db, deed.task),
            What::Created | What::Reclaimed | What::Stale => Ok(false),
        }
    }
}
