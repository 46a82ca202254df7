//! A board opened for use by people and workers: the verbs are in `verbs/`, the questions in `query.rs`.

use std::io;
use std::time::Duration;

use once_per_key_repair::{RepairGate, Turn};
use rusqlite::Connection;
use serde_json::json;

use super::open::{open_existing, open_or_create};
use super::repair::{RepairKey, create, repair};
use super::schema::{self, Drift};
use super::version::refuse_newer;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::lock::FileLock;
use crate::root::{Board, Slug};

/// How long a command waits for other writers before it says that the board is busy.
const BUSY: Duration = Duration::from_secs(10);

/// An open board.
///
/// Opening never creates one: that is [`init`](Self::init). An older schema is brought up to date on the way.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Store};
///
/// let dir = tempfile::tempdir()?;
/// let board = Root::at(dir.path()).board(&Slug::default());
/// assert!(Store::open(&board, &Clock::system()).is_err());
///
/// let mut store = Store::init(&board, &Clock::system())?;
/// let id = store.create(&NewTask { title: "first".into(), ..NewTask::default() })?;
/// assert_eq!(store.list(None)?[0].id, id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    pub(super) clock: Clock,
    board: Board,
}

impl Store {
    /// Opens an existing board.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none; [`ErrorKind::Drift`] when its schema lacks what no migration can add;
    /// [`ErrorKind::Newer`] when it is of a later version than this program knows; [`ErrorKind::Sqlite`] for anything the database reports.
    pub fn open(board: &Board, clock: &Clock) -> Result<Self, Error> {
        match std::fs::metadata(board.db()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_found(board)),
            Err(error) => return Err(unseen(board, error)),
            Ok(metadata) if metadata.len() == 0 => return Err(emptied(board)),
            Ok(_) => {}
        }
        let db = open_existing(board.db(), BUSY).map_err(|error| unusable(board, error))?;
        Self::checked(board, db, clock)
    }

    /// Makes the board if it does not exist, with its directory and, for a named board, `board.json`; then opens it.
    ///
    /// Of several programs that do so at once, one makes it and the others find it made. It is the only place that makes a
    /// schema from nothing, and only in a file that was not there before.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for an existing empty file, which may be a board that lost its content; otherwise as
    /// [`open`](Self::open), and [`ErrorKind::Io`] when directories cannot be made.
    pub fn init(board: &Board, clock: &Clock) -> Result<Self, Error> {
        let made =
            |error| Error::io(format!("make {}", board.dir().display()), error).on(board.slug());
        std::fs::create_dir_all(board.dir()).map_err(made)?;
        let lock = init_lock(board, BUSY)?;
        // Under the lock: a file that another program is making would look like one that lost its content.
        let is_new = match std::fs::metadata(board.db()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(unseen(board, error)),
            Ok(metadata) if metadata.len() == 0 => return Err(emptied(board)),
            Ok(_) => false,
        };
        if !board.slug().is_default() && !board.metadata().exists() {
            let text = format!("{:#}\n", metadata(board.slug(), clock.unix()));
            std::fs::write(board.metadata(), text).map_err(made)?;
        }
        if is_new {
            let db = make(board, clock)?;
            return Ok(Self::new(board, db, clock));
        }
        drop(lock);
        Self::open(board, clock)
    }

    fn checked(board: &Board, mut db: Connection, clock: &Clock) -> Result<Self, Error> {
        let slug = board.slug();
        refuse_newer(&db).map_err(|error| error.on(slug))?;
        let drift = schema::drift(&db).map_err(|error| unusable(board, error))?;
        if !drift.is_empty() {
            // One opening, one attempt: a gate that lives as long as this call.
            let gate = RepairGate::new();
            if let Turn::Yours(permit) = gate.enter(&repair_key(slug, &drift)) {
                let _lock = init_lock(board, BUSY)?;
                permit
                    .run(|token| repair(token, &mut db, clock.unix()))
                    .map_err(|error| error.on(slug))?;
            }
        }
        Ok(Self::new(board, db, clock))
    }

    fn new(board: &Board, db: Connection, clock: &Clock) -> Self {
        Self {
            db,
            clock: clock.clone(),
            board: board.clone(),
        }
    }

    /// The board's name.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        self.board.slug()
    }

    /// The board's files.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }
}

/// Makes the file and its schema. The caller holds the init lock and has seen that there is no file.
fn make(board: &Board, clock: &Clock) -> Result<Connection, Error> {
    let unusable = |error| unusable(board, error);
    let mut db = open_or_create(board.db(), BUSY).map_err(unusable)?;
    let drift = schema::drift(&db).map_err(unusable)?;
    let gate = RepairGate::new();
    if let Turn::Yours(permit) = gate.enter(&repair_key(board.slug(), &drift)) {
        permit
            .run(|token| create(token, &mut db, clock.unix()))
            .map_err(|error| error.on(board.slug()))?;
    }
    // We never checkpoint on close, so all of a quiet board would live in its log until somebody deletes that.
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .map_err(unusable)?;
    Ok(db)
}

fn repair_key(slug: &Slug, drift: &[Drift]) -> RepairKey {
    RepairKey {
        slug: slug.clone(),
        file: (0, 0),
        missing: Drift::list(drift),
    }
}

/// Takes the init lock, which every program holds for a moment while it makes or repairs a schema.
///
/// # Errors
/// [`ErrorKind::Busy`] when it stays taken, [`ErrorKind::Io`] when it cannot be taken: without it nothing is repaired.
pub(crate) fn init_lock(board: &Board, wait: Duration) -> Result<FileLock, Error> {
    const STEP: Duration = Duration::from_millis(20);
    let path = board.init_lock();
    let mut waited = Duration::ZERO;
    loop {
        match FileLock::try_acquire(&path) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if waited < wait => {
                // flock has no time-out of its own; holders are done within milliseconds.
                std::thread::park_timeout(STEP);
                waited += STEP;
            }
            Ok(None) => {
                let what = format!("take {}: another program holds it", path.display());
                return Err(Error::new(ErrorKind::Busy, what).on(board.slug()));
            }
            Err(error) => {
                let what = format!("take {}", path.display());
                return Err(Error::io(what, error).on(board.slug()));
            }
        }
    }
}

fn unusable(board: &Board, error: rusqlite::Error) -> Error {
    let what = format!("open {}", board.db().display());
    Error::new(ErrorKind::Sqlite, what)
        .because(error)
        .on(board.slug())
}

fn unseen(board: &Board, error: io::Error) -> Error {
    let what = format!("look at {}", board.db().display());
    Error::io(what, error).on(board.slug())
}

fn not_found(board: &Board) -> Error {
    let slug = board.slug();
    let db = board.db().display();
    let what = if slug.is_default() {
        format!("find {db}: make the board with `kanban init`")
    } else {
        format!("find {db}: make the board with `kanban init {slug}`")
    };
    Error::new(ErrorKind::NotFound, what).on(slug)
}

fn emptied(board: &Board) -> Error {
    let what = format!(
        "use {}: the file is empty; if it was a board, restore a backup, otherwise remove it first",
        board.db().display()
    );
    Error::new(ErrorKind::Refused, what).on(board.slug())
}

fn metadata(slug: &Slug, now: i64) -> serde_json::Value {
    let name: Vec<String> = slug
        .as_str()
        .split(['-', '_'])
        .filter(|part| !part.is_empty())
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect();
    json!({
        "slug": slug.as_str(), "name": name.join(" "), "description": "", "icon": "", "color": "",
        "default_workdir": null, "created_at": now, "archived": false,
    })
}
