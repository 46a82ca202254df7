//! The other processes: this program again, in a role.
//!
//! One that writes to boards, one that locks them, and the worker.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kanban_dispatcher::{Board, Clock, Complete, Root, Store};
use rusqlite::Connection;

use crate::fleet::connect;
use crate::{Result, meter};

/// The first argument of each.
const CHANGE: &str = "--change";
const LOCK: &str = "--lock";
pub(crate) const WORK: &str = "--work";

/// Plays a role, if the arguments name one.
pub(crate) fn play(words: &[String]) -> Result<bool> {
    match words.split_first().map(|(first, rest)| (&**first, rest)) {
        Some((CHANGE, dbs)) => change(dbs)?,
        Some((LOCK, dbs)) => lock(dbs)?,
        Some((WORK, [notes])) => work(Path::new(notes))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A process that does something to boards each time it is asked.
#[derive(Debug)]
pub(crate) struct Other {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

// ===== impl Other =====

impl Other {
    /// Writes a row to each of these boards, each time.
    pub(crate) fn changing(boards: &[Board]) -> Result<Self> {
        Self::start(CHANGE, boards)
    }

    /// Takes the write lock of each of these boards when asked the first time, and keeps it until it is dropped.
    pub(crate) fn locking(boards: &[Board]) -> Result<Self> {
        Self::start(LOCK, boards)
    }

    fn start(role: &str, boards: &[Board]) -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(role)
            .args(boards.iter().map(Board::db))
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

    /// Asks, and waits until it is done.
    pub(crate) fn once(&mut self) -> Result {
        self.input.as_mut().ok_or("no pipe")?.write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim() {
            "done" => Ok(()),
            other => Err(format!("the other process said {other:?}").into()),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

// ===== the roles =====

fn change(dbs: &[String]) -> Result {
    let dbs = open(dbs)?;
    each_line(|| {
        for db in &dbs {
            db.execute_batch(
                "UPDATE tasks SET priority = priority + 1 WHERE id = (SELECT min(id) FROM tasks)",
            )?;
        }
        Ok(())
    })
}

fn lock(dbs: &[String]) -> Result {
    let dbs = open(dbs)?;
    each_line(|| {
        for db in dbs.iter().filter(|db| db.is_autocommit()) {
            db.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(())
    })
}

fn open(dbs: &[String]) -> Result<Vec<Connection>> {
    // Only the file's path counts.
    let any = Root::at("/").board(&"any".parse()?);
    dbs.iter()
        .map(|db| connect(&any.clone().with_db(db)))
        .collect()
}

fn each_line(mut work: impl FnMut() -> Result) -> Result {
    for line in std::io::stdin().lines() {
        line?;
        work()?;
        println!("done");
    }
    Ok(())
}

/// Notes when it began to run, and completes its task.
fn work(notes: &Path) -> Result {
    let now = meter::now();
    let task = std::env::var("HERMES_KANBAN_TASK")?;
    let mut notes = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(notes)?;
    notes.write_all(format!("{task} {now}\n").as_bytes())?;
    let Ok(home) = std::env::var("HERMES_KANBAN_HOME") else {
        return Ok(());
    };
    let board = Root::at(home).board(&std::env::var("HERMES_KANBAN_BOARD")?.parse()?);
    Store::open(&board, &Clock::system())?.complete(&task, &Complete::default())?;
    Ok(())
}
