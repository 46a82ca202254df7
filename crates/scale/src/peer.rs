//! The peer's `dispatch_once` as a process that is asked to do one piece of work after the other.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::fleet::Fleet;
use crate::meter::Cost;

const SCRIPT: &str = include_str!("peer.py");

#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// One round of the peer over all boards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// For all boards together.
    pub(crate) cost: Cost,
    /// Bytes of log.
    pub(crate) log: f64,
}

/// One round of the peer over a board with something to claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims {
    /// Claims on the board afterwards.
    pub(crate) count: u64,
    /// Nanoseconds before the first claim, and in all of them.
    pub(crate) claimed: f64,
    /// Nanoseconds of the whole round.
    pub(crate) wall: f64,
}

// ===== impl Peer =====

impl Peer {
    /// The peer on these boards, at home in their root; `wait` is its busy timeout, if it is not its own.
    pub(crate) fn on(python: &Path, fleet: &Fleet, wait: Option<Duration>) -> Result<Self> {
        Self::start(command(python, fleet, wait))
    }

    /// The same below strace, which writes each sync to `trace`.
    pub(crate) fn traced(python: &Path, fleet: &Fleet, trace: &Path) -> Result<Self> {
        let plain = command(python, fleet, None);
        let mut command = crate::syncs::strace(trace);
        command.arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(fleet.path());
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("no pipe")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// One round over all boards of the root, which must be so many.
    pub(crate) fn pass(&mut self, boards: usize) -> Result<Pass> {
        let answer = self.ask(&json!({"job": "pass"}))?;
        if answer["boards"] != boards {
            return Err(format!("the peer sees other boards than {boards}: {answer}").into());
        }
        Ok(Pass {
            cost: cost(&answer)?,
            log: answer["log"].as_f64().ok_or("no log")?,
        })
    }

    /// Makes tasks ready by `sql`, and has the peer claim them.
    pub(crate) fn claims(&mut self, sql: &[String], starts: bool) -> Result<Claims> {
        let answer = self.ask(&json!({"job": "claims", "sql": sql, "starts": starts}))?;
        Ok(Claims {
            count: answer["count"].as_u64().ok_or("no count")?,
            claimed: answer["claimed"].as_f64().ok_or("no time")?,
            wall: cost(&answer)?.wall,
        })
    }

    fn ask(&mut self, job: &Value) -> Result<Value> {
        let input = self.input.as_mut().ok_or("no pipe")?;
        writeln!(input, "{job}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err("the peer has ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn cost(answer: &Value) -> Result<Cost> {
    let number = |name: &str| answer[name].as_f64().ok_or_else(|| format!("no {name}"));
    Ok(Cost {
        cpu: number("cpu")?,
        wall: number("wall")?,
    })
}

fn command(python: &Path, fleet: &Fleet, wait: Option<Duration>) -> Command {
    let mut command = bare(python);
    command
        .args(["-c", SCRIPT])
        .env("HOME", fleet.path())
        .env("HERMES_HOME", fleet.root.dir())
        .current_dir(fleet.path());
    if let Some(wait) = wait {
        command.env(
            "HERMES_KANBAN_BUSY_TIMEOUT_MS",
            wait.as_millis().to_string(),
        );
    }
    command
}

/// A program with nothing of the caller's environment that it or its dispatcher would read.
pub(crate) fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HERMES_") || text.starts_with("KANBAN_") {
            command.env_remove(name);
        }
    }
    command
}
