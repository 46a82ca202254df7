//! Changes as SQLite and others make them, on real files.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::*;

mod directories;
mod limits;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// Directories `0..n` below a temporary one, each followed as a board under its number.
struct Fleet {
    dir: tempfile::TempDir,
    watch: Watch,
    woken: Receiver<()>,
}

impl Fleet {
    fn of(boards: u32) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (wake, woken) = channel();
        let watch = Watch::new(move || {
            let _ = wake.send(());
        })?;
        let mut fleet = Self { dir, watch, woken };
        for board in 0..boards {
            fs::create_dir(fleet.path(board))?;
            fleet.follow(board)?;
        }
        Ok(fleet)
    }

    fn path(&self, board: u32) -> PathBuf {
        self.dir.path().join(board.to_string())
    }

    fn file(&self, board: u32, name: &str) -> PathBuf {
        self.path(board).join(name)
    }

    fn follow(&mut self, board: u32) -> std::result::Result<(), Error> {
        let path = self.path(board);
        self.watch.follow(board, &path, Followed::Board)
    }

    fn write(&self, board: u32, name: &str) -> std::io::Result<()> {
        fs::write(self.file(board, name), "x")
    }

    /// What has changed, where no event may be lost.
    fn changed(&mut self) -> Vec<u32> {
        let mut changed = Vec::new();
        assert_eq!(self.watch.drain(&mut changed), Trust::Whole);
        changed
    }

    /// How many keys are followed here, and how many directories in the kernel.
    fn kept(&self) -> std::io::Result<(usize, usize)> {
        let shared = &self.watch.shared;
        let descriptor = format!("/proc/self/fdinfo/{}", shared.inotify.as_raw_fd());
        let text = fs::read_to_string(descriptor)?;
        let watches = text.lines().filter(|line| line.starts_with("inotify "));
        Ok((shared.lock().queue.followed(), watches.count()))
    }

    fn wait(&self) -> Result {
        Ok(self.woken.recv_timeout(Duration::from_secs(60))?)
    }

    fn open(&self, board: u32) -> rusqlite::Result<Connection> {
        Connection::open_with_flags(self.file(board, "kanban.db"), OpenFlags::default())
    }

    /// A board with a connection that stays open, as the dispatcher keeps one.
    fn board(&mut self, board: u32, mode: &str) -> rusqlite::Result<Connection> {
        let db = self.open(board)?;
        db.pragma_update(None, "journal_mode", mode)?;
        db.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")?;
        rows(&db)?;
        self.changed();
        Ok(db)
    }
}

fn rows(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
}

// ===== what SQLite does =====

#[test]
fn a_commit_of_another_connection_is_told_in_each_journal_mode() -> Result {
    for mode in ["wal", "delete", "truncate", "persist", "memory"] {
        let mut fleet = Fleet::of(2)?;
        let ours = fleet.board(1, mode)?;
        let theirs = fleet.open(1)?;
        rows(&theirs)?;
        fleet.changed();
        // The last thing that happens is the commit itself: no close, no fsync that would give a thread time.
        theirs.pragma_update(None, "synchronous", "off")?;
        theirs.execute("INSERT INTO t VALUES (2)", [])?;
        assert_eq!(fleet.changed(), [1], "{mode}");
        assert_eq!(rows(&ours)?, 2);
    }
    Ok(())
}

#[test]
fn no_commit_is_missed_by_the_drain_that_follows_it() -> Result {
    let mut fleet = Fleet::of(3)?;
    let boards = [fleet.board(0, "wal")?, fleet.board(1, "wal")?];
    for db in &boards {
        db.pragma_update(None, "synchronous", "off")?;
    }
    for round in 0..500 {
        let board = round % 2;
        boards[board].execute("INSERT INTO t VALUES (2)", [])?;
        assert_eq!(fleet.changed(), [board as u32], "round {round}");
        assert_eq!(fleet.changed(), [0; 0], "round {round}");
    }
    Ok(())
}

#[test]
fn a_checkpoint_is_told() -> Result {
    let mut fleet = Fleet::of(1)?;
    let ours = fleet.board(0, "wal")?;
    ours.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    assert_eq!(fleet.changed(), [0]);
    Ok(())
}

#[test]
fn reading_on_an_open_connection_is_not_told() -> Result {
    for mode in ["wal", "delete"] {
        let mut fleet = Fleet::of(1)?;
        let ours = fleet.board(0, mode)?;
        for _ in 0..10 {
            assert_eq!(rows(&ours)?, 1);
        }
        assert_eq!(fleet.changed(), [0; 0], "{mode}");
    }
    Ok(())
}

// ===== files =====

#[test]
fn a_file_that_comes_goes_or_is_replaced_is_told() -> Result {
    let mut fleet = Fleet::of(1)?;
    for name in queue::NAMES {
        let file = fleet.file(0, name);
        let other = fleet.file(0, "other");
        fs::write(&other, "y")?;
        assert_eq!(fleet.changed(), [0; 0], "{name}");
        fs::rename(&other, &file)?;
        assert_eq!(fleet.changed(), [0], "{name} replaced");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        assert_eq!(fleet.changed(), [0], "{name} permitted");
        fs::rename(&file, &other)?;
        assert_eq!(fleet.changed(), [0], "{name} renamed away");
        fs::File::create(&file)?;
        assert_eq!(fleet.changed(), [0], "{name} created");
        fs::remove_file(&file)?;
        assert_eq!(fleet.changed(), [0], "{name} deleted");
    }
    Ok(())
}

#[test]
fn files_of_other_names_and_looks_are_not_told() -> Result {
    let mut fleet = Fleet::of(1)?;
    fleet.write(0, "kanban.db")?;
    fleet.changed();
    for name in [
        "kanban.db-shm",
        "kanban.db.dispatch.lock",
        "gateway.log",
        "kanban.db2",
        "x",
    ] {
        fleet.write(0, name)?;
        fs::remove_file(fleet.file(0, name))?;
    }
    fs::create_dir(fleet.file(0, "workspaces"))?;
    fs::write(fleet.file(0, "workspaces").join("kanban.db"), "x")?;
    fs::metadata(fleet.file(0, "kanban.db"))?;
    fs::read_dir(fleet.path(0))?.count();
    // Opened for writing, and closed: nothing was written.
    fs::OpenOptions::new()
        .write(true)
        .open(fleet.file(0, "kanban.db"))?;
    assert_eq!(fs::read(fleet.file(0, "kanban.db"))?, b"x");
    assert_eq!(fleet.changed(), [0; 0]);
    Ok(())
}

#[test]
fn one_change_among_a_thousand_directories_names_that_one() -> Result {
    let mut fleet = Fleet::of(1_000)?;
    fleet.write(777, "kanban.db-wal")?;
    assert_eq!(fleet.changed(), [777]);
    Ok(())
}
