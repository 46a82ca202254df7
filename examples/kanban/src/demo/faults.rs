//! What goes wrong with the boards, done as the real world does it: by other processes.
//!
//! Never by this one: opening a board's file here and closing it again would drop the locks that SQLite holds on it for the
//! dispatcher. So the program runs itself again, and [`ordered`] tells the new process what it is to do.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Mishap;

/// What the new process is to do: one word a line.
const ORDER: &str = "KANBAN_DEMO_FAULT";

/// How long a fault waits for the board's other users.
const PATIENCE: Duration = Duration::from_secs(10);

const PAGE: usize = 4096;

/// Another process that goes on until it is let go, or this one ends.
#[derive(Debug)]
pub(super) struct Helper {
    child: Child,
    /// Its end is the sign to finish.
    leash: Option<ChildStdin>,
}

// ===== in the demo =====

/// Changes the schema behind the dispatcher's back.
pub(super) fn run_sql(db: &Path, sql: &str) -> Result<(), Mishap> {
    finish(&["sql", text(db)?, sql])
}

/// Writes garbage over every page but the first.
pub(super) fn scribble(db: &Path) -> Result<(), Mishap> {
    finish(&["scribble", text(db)?])
}

/// Makes a sound copy of a board that is in use.
pub(super) fn copy(db: &Path, copy: &Path) -> Result<(), Mishap> {
    run_sql(
        db,
        &format!("VACUUM INTO '{}'", text(copy)?.replace('\'', "''")),
    )?;
    run_sql(copy, "PRAGMA journal_mode=wal")
}

/// Moves a sound copy into a board's place. What the damaged file left beside it is none of the copy's business.
pub(super) fn replace(db: &Path, copy: &Path) -> Result<(), Mishap> {
    for side in ["-wal", "-shm"] {
        match fs::remove_file(format!("{}{side}", text(db)?)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(fs::rename(copy, db)?)
}

/// Takes the board's write lock, and keeps it.
pub(super) fn lock(db: &Path) -> Result<Helper, Mishap> {
    let mut helper = Helper::start(&["lock", text(db)?])?;
    let mut word = [0];
    match helper
        .child
        .stdout
        .take()
        .map(|mut out| out.read(&mut word))
    {
        Some(Ok(1)) => Ok(helper),
        _ => Err(format!("the lock on {} was not to be had", db.display()).into()),
    }
}

/// Waits beside the demo and removes its directory when that ends in whatever way, by Ctrl-C too.
pub(super) fn janitor(dir: &Path) -> Result<Helper, Mishap> {
    Helper::start(&["clean", text(dir)?])
}

impl Helper {
    fn start(words: &[&str]) -> Result<Self, Mishap> {
        let mut child = Command::new(env::current_exe()?)
            .arg("demo")
            .env(ORDER, words.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Not in the terminal's foreground group: Ctrl-C is for the demo, and the janitor outlives it.
            .process_group(0)
            .spawn()?;
        let leash = child.stdin.take();
        Ok(Self { child, leash })
    }

    /// Lets it go, and waits until it is done.
    pub(super) fn release(mut self) -> Result<(), Mishap> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Mishap> {
        drop(self.leash.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a helper process failed: {status}").into())
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn finish(words: &[&str]) -> Result<(), Mishap> {
    Helper::start(words)?.release()
}

fn text(path: &Path) -> Result<&str, Mishap> {
    path.to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}

// ===== in the new process =====

/// The order this process was started with, if it is one of the demo's helpers.
pub(super) fn ordered() -> Option<String> {
    env::var(ORDER).ok()
}

/// Does what was ordered.
pub(super) fn carry_out(order: &str) -> Result<(), Mishap> {
    let words: Vec<&str> = order.splitn(3, '\n').collect();
    match words[..] {
        ["sql", db, sql] => Ok(open(db)?.execute_batch(sql)?),
        ["lock", db] => {
            let db = open(db)?;
            db.execute_batch("BEGIN EXCLUSIVE")?;
            let mut out = std::io::stdout();
            out.write_all(b"!")?;
            out.flush()?;
            until_released();
            Ok(db.execute_batch("ROLLBACK")?)
        }
        ["scribble", db] => {
            // What is still in the WAL would hide the damage.
            open(db)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            let mut file = OpenOptions::new().write(true).open(db)?;
            let pages = usize::try_from(file.metadata()?.len())? / PAGE;
            file.seek(SeekFrom::Start(PAGE as u64))?;
            file.write_all(&b"garbage ".repeat(pages.saturating_sub(1) * PAGE / 8))?;
            Ok(file.sync_all()?)
        }
        ["clean", dir] => {
            until_released();
            // Workers that are about to end may still write while this goes on.
            for _ in 0..50 {
                if fs::remove_dir_all(dir).is_ok() || !Path::new(dir).exists() {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(100));
            }
            Ok(())
        }
        _ => Err(format!("{ORDER} is not understood: {order:?}").into()),
    }
}

fn open(path: &str) -> Result<Connection, Mishap> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(PATIENCE)?;
    Ok(db)
}

/// Returns when the demo says so or is no more.
fn until_released() {
    let _ = std::io::stdin().read(&mut [0]);
}
