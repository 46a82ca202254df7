//! Boards in a directory of their own: one is made, and the others are copies of its file.

use std::ffi::CString;
use std::fs;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::path::Path;

use kanban_dispatcher::{Board, Clock, NewTask, Root, Slug, Store};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, open, statx};
use tempfile::TempDir;

use crate::Result;

/// How many tasks an idle board has; they wait for somebody to be assigned.
const TASKS: usize = 10;

/// What tells whether a file has changed.
const STAMP: StatxFlags = StatxFlags::INO
    .union(StatxFlags::SIZE)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME);

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) root: Root,
    pub(crate) boards: Vec<Board>,
    /// `None` for somebody else's.
    _dir: Option<TempDir>,
}

// ===== impl Fleet =====

impl Fleet {
    /// So many boards with nothing to start.
    pub(crate) fn idle(place: &Path, count: usize) -> Result<Self> {
        Self::new(place, count, "")
    }

    /// So many boards on each of which `sql` was run.
    pub(crate) fn new(place: &Path, count: usize, sql: &str) -> Result<Self> {
        let dir = TempDir::with_prefix_in("scale-", place)?;
        let root = Root::at(dir.path());
        fs::create_dir_all(root.profile_dir("coder"))?;
        let first = root.board(&Slug::default());
        let mut store = Store::init(&first, &Clock::system())?;
        for n in 0..TASKS {
            store.create(&NewTask {
                title: format!("task {n}"),
                ..NewTask::default()
            })?;
        }
        drop(store);
        // Closing this one moves the log into the file.
        connect(&first)?.execute_batch(sql)?;
        let mut boards = vec![first];
        for n in 1..count {
            let board = root.board(&format!("board-{n:05}").parse()?);
            fs::create_dir_all(board.dir())?;
            fs::copy(boards[0].db(), board.db())?;
            boards.push(board);
        }
        Ok(Self {
            root,
            boards,
            _dir: Some(dir),
        })
    }

    /// The default board of a root that another process has made, and will remove.
    pub(crate) fn at(root: &Path) -> Self {
        let root = Root::at(root);
        Self {
            boards: vec![root.board(&Slug::default())],
            root,
            _dir: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.dir()
    }
}

/// Another program's connection, which leaves the board as the format wants it.
pub(crate) fn connect(board: &Board) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(board.db(), flags)?;
    db.execute_batch(
        "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 100",
    )?;
    Ok(db)
}

/// The least that can tell whether any board has changed: two `statx` each, by the descriptor of the boards' directory.
#[derive(Debug)]
pub(crate) struct Looks {
    dir: OwnedFd,
    names: Vec<[CString; 2]>,
}

// ===== impl Looks =====

impl Looks {
    pub(crate) fn new(fleet: &Fleet) -> Result<Self> {
        let dir = fleet.root.boards_dir();
        fs::create_dir_all(&dir)?;
        let name = |board: &Board| -> Result<[CString; 2]> {
            let below = match board.slug().is_default() {
                true => "../../kanban.db".to_owned(),
                false => format!("{}/kanban.db", board.slug()),
            };
            Ok([
                CString::new(below.as_str())?,
                CString::new(format!("{below}-wal"))?,
            ])
        };
        Ok(Self {
            dir: open(
                &dir,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?,
            names: fleet.boards.iter().map(name).collect::<Result<_>>()?,
        })
    }

    /// Both files of each board.
    pub(crate) fn both(&self) {
        for name in self.names.iter().flatten() {
            let _ = black_box(statx(&self.dir, name, AtFlags::empty(), STAMP));
        }
    }

    /// The main file of each board alone.
    pub(crate) fn one(&self) {
        for [db, _] in &self.names {
            let _ = black_box(statx(&self.dir, db, AtFlags::empty(), STAMP));
        }
    }
}
