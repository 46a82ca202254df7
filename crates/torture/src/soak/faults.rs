//! One fault on one board, or on the dispatcher: how it begins, and how all is as before.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kanban_dispatcher::{Board, FileLock};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::{BOARDS, settings_file};
use crate::Result;
use crate::daemon::{Daemon, Deadline, pause};
use crate::seed::Seed;
use crate::site::{Site, connect};

/// Columns that a migration can add again, and that nothing here keeps anything in. Each is dropped once on each board: whoever drops
/// the same one again waits for an operator.
const COLUMNS: [&str; 8] = [
    "model_override",
    "goal_max_turns",
    "branch_name",
    "project_id",
    "workflow_template_id",
    "current_step_key",
    "session_id",
    "skills",
];

/// A board's file and what lies beside it, in the order in which they come back.
const FILES: [&str; 3] = ["kanban.db-shm", "kanban.db-wal", "kanban.db"];

/// A fault that has begun.
#[derive(Debug)]
pub(super) struct Fault {
    /// On which board; none for the dispatcher's own.
    board: Option<usize>,
    until: Deadline,
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    Nothing,
    Unlock(Connection),
    Release(FileLock),
    /// The board's files, put aside.
    Replace(PathBuf),
    /// The board's directory, put aside.
    Bring(PathBuf),
    Settings(String),
    Continue(u32),
}

// ===== impl Fault =====

impl Fault {
    /// Begins one, on a board that has none; what cannot begin at this moment is no fault. `drops` counts the columns that each
    /// board has lost.
    pub(super) fn strike(
        site: &Site,
        daemon: &Daemon,
        open: &[Self],
        drops: &mut [usize],
        seed: &mut Seed,
    ) -> Result<Option<Self>> {
        let at = usize::try_from(seed.below(BOARDS as u64))?;
        let (kind, time) = (seed.below(9), seed.between_ms(500, 4_000));
        let is_the_dispatchers = kind >= 7;
        let board = (!is_the_dispatchers).then_some(at);
        if open.iter().any(|fault| fault.board == board) {
            return Ok(None);
        }
        let board_of_it = &site.boards[at];
        let undo = match kind {
            0 => write_lock(board_of_it).map(Undo::Unlock),
            1 => FileLock::try_acquire(&board_of_it.tick_lock())?.map(Undo::Release),
            2 => drop_column(board_of_it, &mut drops[at]).map(|()| Undo::Nothing),
            3 => put_aside(site, board_of_it, &b"no database at all\n".repeat(512))?
                .map(Undo::Replace),
            4 => put_aside(site, board_of_it, b"")?.map(Undo::Replace),
            5 | 6 => take_away(site, board_of_it)?.map(Undo::Bring),
            7 => Some(Undo::Settings(spoil_settings(site)?)),
            _ => Some(Undo::Continue(stop(daemon)?)),
        };
        // A dispatcher that stands still for long has nothing to be measured.
        let time = if is_the_dispatchers { time / 4 } else { time };
        Ok(undo.map(|undo| Self {
            board,
            until: Deadline::after(time),
            undo,
        }))
    }

    pub(super) fn board(&self) -> Option<usize> {
        self.board
    }

    pub(super) fn is_over(&self) -> bool {
        self.until.is_over()
    }

    pub(super) fn end(self, site: &Site) -> Result {
        let board = self.board.map(|at| &site.boards[at]);
        match (self.undo, board) {
            (Undo::Unlock(db), _) => Ok(db.execute_batch("ROLLBACK")?),
            (Undo::Replace(aside), Some(board)) => {
                let _lock = tick_lock(board)?;
                for name in FILES {
                    let _ = fs::remove_file(board.dir().join(name));
                }
                for name in FILES {
                    rename_if_there(&aside.join(name), &board.dir().join(name))?;
                }
                Ok(())
            }
            (Undo::Bring(aside), Some(board)) => Ok(fs::rename(aside, board.dir())?),
            (Undo::Release(lock), _) => {
                drop(lock);
                Ok(())
            }
            (Undo::Settings(text), _) => write_settings(site, &text),
            (Undo::Continue(pid), _) => signal(pid, Signal::CONT),
            _ => Ok(()),
        }
    }
}

fn write_lock(board: &Board) -> Option<Connection> {
    let db = connect(board).ok()?;
    db.execute_batch("BEGIN IMMEDIATE").ok()?;
    Some(db)
}

fn drop_column(board: &Board, drops: &mut usize) -> Option<()> {
    let column = COLUMNS.get(*drops)?;
    let sql = format!("ALTER TABLE tasks DROP COLUMN {column}");
    connect(board).ok()?.execute_batch(&sql).ok()?;
    *drops += 1;
    Some(())
}

/// Puts these bytes in the place of a board's file; the dispatcher is not in the middle of anything there.
fn put_aside(site: &Site, board: &Board, bytes: &[u8]) -> Result<Option<PathBuf>> {
    let _lock = tick_lock(board)?;
    let aside = site.path().join("aside").join(board.slug().as_str());
    fs::create_dir_all(&aside)?;
    for name in FILES.iter().rev() {
        rename_if_there(&board.dir().join(name), &aside.join(name))?;
    }
    fs::write(board.db(), bytes)?;
    Ok(Some(aside))
}

fn take_away(site: &Site, board: &Board) -> Result<Option<PathBuf>> {
    let away = site.path().join("away");
    fs::create_dir_all(&away)?;
    let away = away.join(board.slug().as_str());
    fs::rename(board.dir(), &away)?;
    Ok(Some(away))
}

fn tick_lock(board: &Board) -> Result<FileLock> {
    let deadline = Deadline::after(Duration::from_secs(30));
    loop {
        if let Some(lock) = FileLock::try_acquire(&board.tick_lock())? {
            return Ok(lock);
        }
        if deadline.is_over() {
            return Err(format!("the tick lock of {} is never free", board.slug()).into());
        }
        pause(Duration::from_millis(3));
    }
}

fn rename_if_there(from: &std::path::Path, to: &std::path::Path) -> Result {
    match fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => Ok(result?),
    }
}

/// A value that is refused; the text that was there.
fn spoil_settings(site: &Site) -> Result<String> {
    let text = fs::read_to_string(settings_file(site))?;
    write_settings(site, &text.replace("workers_max = 8", "workers_max = -8"))?;
    Ok(text)
}

fn write_settings(site: &Site, text: &str) -> Result {
    let file = settings_file(site);
    fs::write(file.with_extension("new"), text)?;
    Ok(fs::rename(file.with_extension("new"), file)?)
}

fn stop(daemon: &Daemon) -> Result<u32> {
    signal(daemon.pid(), Signal::STOP)?;
    Ok(daemon.pid())
}

fn signal(pid: u32, signal: Signal) -> Result {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no pid")?;
    Ok(kill_process(pid, signal)?)
}
