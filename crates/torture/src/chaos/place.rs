//! Where a chaos takes place: a root of its own with boards, and beside it everything that is not the dispatcher's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use kanban_dispatcher::{Board, Clock, Root, Store};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::history::{Ack, Fault};
use crate::Result;

pub(super) const BOARDS: usize = 4;

/// Running tasks of one board; so many that the machine is busy and not more.
pub(super) const RUNNING_MAX: usize = 3;

/// Seconds between two ticks.
pub(super) const INTERVAL: f64 = 0.25;

pub(super) struct Place {
    pub(super) root: Root,
    pub(super) boards: Vec<Spot>,
    acks: Mutex<Vec<Ack>>,
    faults: Mutex<Vec<Fault>>,
    over: AtomicBool,
    dir: TempDir,
}

/// One board, and who may be at it.
pub(super) struct Spot {
    pub(super) board: Board,
    /// Held by writers while they write, and by the nemesis alone while the board is away: the peer would make a new one there.
    here: RwLock<()>,
}

// ===== impl Place =====

impl Place {
    pub(super) fn new(kanban: &Path, worker: &[String]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("chaos-").tempdir()?;
        let root = Root::at(dir.path().join("root"));
        for name in ["root/kanban", "root/profiles/anyone", "diaries", "aside"] {
            fs::create_dir_all(dir.path().join(name))?;
        }
        std::os::unix::fs::symlink(kanban, dir.path().join("kanban"))?;
        let mut boards = Vec::new();
        for n in 0..BOARDS {
            let board = root.board(&format!("board-{n}").parse()?);
            Store::init(&board, &Clock::system())?;
            let here = RwLock::new(());
            boards.push(Spot { board, here });
        }
        let place = Self {
            root,
            boards,
            acks: Mutex::default(),
            faults: Mutex::default(),
            over: AtomicBool::new(false),
            dir,
        };
        place.set(&settings(worker, 0))?;
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What the worker command is given, so that it finds everything.
    pub(super) fn diaries(&self) -> PathBuf {
        self.path().join("diaries")
    }

    /// Replaces the settings file; whoever reads it sees the old one or the new one.
    pub(super) fn set(&self, settings: &str) -> Result {
        let file = self.root.dir().join("kanban/dispatcher.toml");
        let new = file.with_extension("new");
        fs::write(&new, settings)?;
        Ok(fs::rename(new, file)?)
    }

    pub(super) fn acknowledge(&self, ack: Ack) {
        lock(&self.acks).push(ack);
    }

    pub(super) fn note(&self, fault: Fault) {
        lock(&self.faults).push(fault);
    }

    pub(super) fn acks(&self) -> Vec<Ack> {
        lock(&self.acks).clone()
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        lock(&self.faults).clone()
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Leaves everything behind for whoever looks for the cause.
    pub(super) fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

// ===== impl Spot =====

impl Spot {
    pub(super) fn slug(&self) -> &str {
        self.board.slug().as_str()
    }

    /// A connection that leaves the write-ahead log alone when it closes, as every program should. Waits until the board is there.
    pub(super) fn connect(&self, patience: Duration) -> Result<Connection> {
        let _here = self.stay();
        let db = Connection::open_with_flags(self.board.db(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(patience)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(db)
    }

    pub(super) fn stay(&self) -> RwLockReadGuard<'_, ()> {
        self.here.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_away(&self) -> RwLockWriteGuard<'_, ()> {
        self.here.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings that a chaos begins and ends with, or one of their variants.
pub(super) fn settings(worker: &[String], variant: u64) -> String {
    let interval = [INTERVAL, 0.4, 0.15][variant as usize % 3];
    let running = [RUNNING_MAX, 2, 4][variant as usize % 3];
    format!(
        "dispatch_interval_seconds = {interval}\nmax_in_progress = {running}\nworkers_max = {}\n\
         claim_ttl_seconds = 20\ncrash_grace_seconds = 1\nrate_limit_cooldown_seconds = 1\n\
         [worker]\nrequire_profile = false\nstop_grace_seconds = 1\ncommand = {worker:?}\n",
        BOARDS * RUNNING_MAX,
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
