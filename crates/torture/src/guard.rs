//! The peer's own stress: several of its processes create, comment on and complete tasks in a loop, each with a connection of its own
//! that it opens and closes. Alone they unlink the write-ahead log under each other. Beside our daemon, whose connection stays open,
//! they must not lose a write that was acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kanban_dispatcher::{Root, Slug};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::Result;
use crate::daemon::{Daemon, Deadline, PATIENCE, bare, pause};
use crate::site::{connect, value};

/// One of the peer's processes: writes down each write that the peer has acknowledged, and each error.
const PEER: &str = r#"
import os, sys, time
from hermes_cli import kanban_db as kb
said = open(sys.argv[1], "a")
until = time.monotonic() + float(sys.argv[2])
def say(*words):
    said.write(" ".join(str(word) for word in words) + "\n")
    said.flush()
    os.fsync(said.fileno())
turn = 0
while True:
    turn += 1
    connection = None
    try:
        connection = kb.connect()
        if time.monotonic() > until:
            break
        task = kb.create_task(connection, title=f"stress {turn}")
        say("created", task)
        kb.add_comment(connection, task, "stress", f"turn {turn}")
        say("commented", task)
        if kb.complete_task(connection, task, summary="done"):
            say("completed", task)
    except Exception as error:
        say("error", type(error).__name__, str(error).replace("\n", " ")[:120])
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    finally:
        if connection is not None:
            connection.close()
"#;

/// A stress to come.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The Python that has the peer's modules.
    pub python: PathBuf,
    /// The `kanban` program whose daemon is to run on the board; `None` leaves the peer alone.
    pub kanban: Option<PathBuf>,
    /// How many of the peer's processes.
    pub processes: usize,
    /// For how long.
    pub time: Duration,
}

/// What a stress did, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stressed {
    /// Writes that the peer acknowledged.
    pub acknowledged: usize,
    /// Those of them that are not on the board.
    pub missing: usize,
    /// Those of them that nobody can tell of, because the board cannot be read there.
    pub unreadable: usize,
    /// Errors that the peer's processes saw; some come after a commit that went well.
    pub errors: usize,
    /// What SQLite says of the file's integrity; "ok" if it is sound.
    pub integrity: String,
}

// ===== impl Stressed =====

impl Stressed {
    /// Whether nothing was lost and nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.missing + self.unreadable == 0 && self.integrity == "ok"
    }

    fn read(&mut self, db: &Connection, said: &str) -> Result {
        self.integrity =
            value(db, "PRAGMA integrity_check").unwrap_or_else(|error| error.to_string());
        for line in said.lines() {
            let Some((what, rest)) = line.split_once(' ') else {
                continue;
            };
            let sql = match what {
                "created" => "SELECT count(*) FROM tasks WHERE id = ?1",
                "commented" => "SELECT count(*) FROM task_comments WHERE task_id = ?1",
                "completed" => "SELECT count(*) FROM tasks WHERE id = ?1 AND status = 'done'",
                _ => {
                    self.errors += 1;
                    continue;
                }
            };
            self.acknowledged += 1;
            match db.query_row(sql, [rest], |row| row.get::<_, i64>(0)) {
                Ok(0) => self.missing += 1,
                Ok(_) => {}
                Err(_) => self.unreadable += 1,
            }
        }
        Ok(())
    }
}

// ===== impl Guard =====

impl Guard {
    /// Runs it on a board of its own, and reads the board when every process of the peer has ended.
    ///
    /// # Errors
    /// What kept it from running; what became of the board is no error.
    pub fn run(&self) -> Result<Stressed> {
        let dir = tempfile::tempdir()?;
        let root = Root::at(dir.path().join("hermes"));
        let board = root.board(&Slug::default());
        fs::create_dir_all(root.dir().join("kanban"))?;
        // It makes the board: nobody of ours has a connection to it but the daemon.
        finish(self.peer(&dir, &root, 0, Duration::ZERO)?)?;
        let daemon = match &self.kanban {
            Some(kanban) => Some(serve(kanban, &dir, &root, board.db())?),
            None => None,
        };
        let peers: Vec<Child> = (1..=self.processes)
            .map(|n| self.peer(&dir, &root, n, self.time))
            .collect::<Result<_>>()?;
        for peer in peers {
            finish(peer)?;
        }
        let mut stressed = Stressed::default();
        let db = connect(&board)?;
        for n in 1..=self.processes {
            let said = fs::read_to_string(acknowledgements(&dir, n))?;
            stressed.read(&db, &said)?;
        }
        if let Some(daemon) = daemon {
            let status = daemon.stop()?;
            if !status.success() {
                return Err(format!("the dispatcher ended with {status}").into());
            }
        }
        Ok(stressed)
    }

    fn peer(&self, dir: &TempDir, root: &Root, n: usize, time: Duration) -> Result<Child> {
        let mut command = bare(&self.python);
        command
            .args(["-c", PEER])
            .arg(acknowledgements(dir, n))
            .arg(time.as_secs_f64().to_string())
            .env("HOME", dir.path())
            .env("HERMES_HOME", root.dir())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Ok(command.spawn()?)
    }
}

fn acknowledgements(dir: &TempDir, n: usize) -> PathBuf {
    dir.path().join(format!("peer.{n}"))
}

fn finish(mut peer: Child) -> Result {
    let status = peer.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("a process of the peer ended with {status}").into())
}

/// Our daemon, once it has the board open.
fn serve(kanban: &Path, dir: &TempDir, root: &Root, db: &Path) -> Result<Daemon> {
    let mut command: Command = bare(kanban);
    command
        .env("HOME", dir.path())
        .arg("--root")
        .arg(root.dir());
    command.args(["run", "--interval", "0.2"]);
    let mut daemon = Daemon::start(command, &dir.path().join("daemon.log"))?;
    let deadline = Deadline::after(PATIENCE);
    while !daemon.has_open(db) {
        if deadline.is_over() || daemon.has_ended()? {
            return Err("the dispatcher never opened the board".into());
        }
        pause(Duration::from_millis(10));
    }
    Ok(daemon)
}
