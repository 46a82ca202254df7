//! The operator's levers: from any process, durable in the ledger, in force within a second.

use rusqlite::Connection;
use serde::Serialize;

use crate::clock::Clock;
use crate::discover::discover;
use crate::error::{Error, ErrorKind};
use crate::ledger::levers::{self, Request};
use crate::root::{Root, Slug};

/// Pauses boards and takes holds off them, whether a dispatcher runs or not.
///
/// What a lever commits holds over restarts of the dispatcher. A pause is in force with its commit: a worker's start is itself
/// committed to the same ledger, in a transaction that looks for a pause first, so no start is committed after one. Everything else is in force
/// with the next tick, and within a second of [`Dispatcher::run`](crate::Dispatcher::run).
///
/// # Examples
/// ```
/// use kanban_dispatcher::{BoardState, Clock, Config, Dispatcher, HeldReason, Levers, NewTask, Root, Slug, Status, Store};
///
/// let dir = tempfile::tempdir()?;
/// let (root, clock, board) = (Root::at(dir.path()), Clock::system(), Slug::default());
/// let mut store = Store::init(&root.board(&board), &clock)?;
/// store.create(&NewTask { title: "greet".into(), assignee: Some("anyone".into()), ..NewTask::default() })?;
/// let config = "worker = { command = [\"echo\", \"{task}\"], require_profile = false }";
/// let mut dispatcher = Dispatcher::new(root.clone(), Config::from_toml(config)?);
///
/// let mut levers = Levers::open(&root, &clock)?;
/// levers.pause(&board, Some("disk is being replaced"))?;
/// assert_eq!(dispatcher.tick().boards[0].held[&HeldReason::Paused], 1);
/// assert_eq!(Status::read(&root, &clock)?.boards[0].state, BoardState::Paused);
///
/// assert!(levers.resume(&board)?.is_some());
/// assert_eq!(dispatcher.tick().started(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Levers {
    root: Root,
    clock: Clock,
    db: Connection,
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pause {
    /// Why, as whoever paused it said.
    pub reason: Option<String>,
    /// Since when (unix seconds).
    pub since: i64,
}

// ===== impl Levers =====

impl Levers {
    /// Opens the ledger below `root`, and makes it if it is not there: no dispatcher need have run yet.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such root; [`ErrorKind::Sqlite`] or [`ErrorKind::Io`] if the ledger cannot be used. Then
    /// no lever does anything.
    pub fn open(root: &Root, clock: &Clock) -> Result<Self, Error> {
        if !root.dir().is_dir() {
            let what = format!("find the directory {}", root.dir().display());
            return Err(Error::new(ErrorKind::NotFound, what));
        }
        Ok(Self {
            db: levers::open(root)?,
            root: root.clone(),
            clock: clock.clone(),
        })
    }

    /// Pauses a board: from now on no worker is started on it. Its running workers go on, and their ends are recorded.
    ///
    /// Pausing again keeps the instant, and the reason if none is given.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a board that is not there; [`ErrorKind::Sqlite`] if the ledger took no write: then it is **not** paused.
    pub fn pause(&mut self, board: &Slug, reason: Option<&str>) -> Result<Pause, Error> {
        self.must_exist(board)?;
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        levers::pause(
            &mut self.db,
            &self.root.board(board),
            reason,
            self.clock.unix(),
        )
        .map_err(|error| not_done("pause", board, error))
    }

    /// Lifts a board's pause, and says which it was. Also of a board that is not there any more.
    ///
    /// # Errors
    /// [`ErrorKind::Sqlite`] if the ledger took no write: then nothing has changed.
    pub fn resume(&mut self, board: &Slug) -> Result<Option<Pause>, Error> {
        let pause = levers::resume(&mut self.db, board)
            .map_err(|error| not_done("resume", board, error))?;
        // A pause of the dispatcher's own is in its memory, and ends the same way.
        self.request(board, Request::Release, "resume")?;
        Ok(pause)
    }

    /// Lifts whatever hold the dispatcher itself has put on a board: the next tick looks at it again.
    ///
    /// ```
    /// use kanban_dispatcher::{Clock, Config, Dispatcher, Levers, Outcome, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let (root, clock, board) = (Root::at(dir.path()), Clock::system(), Slug::default());
    /// std::fs::write(root.board(&board).db(), "no database at all\n".repeat(512))?;
    /// let mut dispatcher = Dispatcher::new(root.clone(), Config::default());
    /// let mut looks = Vec::new();
    /// while looks.len() < 2 || looks[looks.len() - 2] != looks[looks.len() - 1] {
    ///     assert_eq!(dispatcher.tick().boards[0].outcome, Outcome::Held);
    ///     looks.push(dispatcher.log_totals().observed);
    /// }
    /// // The last of these ticks did not look at the file any more.
    /// Levers::open(&root, &clock)?.release(&board)?;
    /// dispatcher.tick();
    /// assert_eq!(dispatcher.log_totals().observed, looks[looks.len() - 1] + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn release(&mut self, board: &Slug) -> Result<(), Error> {
        self.must_exist(board)?;
        self.request(board, Request::Release, "release")
    }

    /// Allows one more repair of whatever a board's schema lacks, and lifts its hold, so that the next tick tries.
    ///
    /// ```
    /// use kanban_dispatcher::{Clock, ErrorKind, Levers, Root, Slug};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let mut levers = Levers::open(&Root::at(dir.path()), &Clock::system())?;
    /// levers.repair(&Slug::default())?;
    /// let error = levers.repair(&"no-such-board".parse()?).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn repair(&mut self, board: &Slug) -> Result<(), Error> {
        self.must_exist(board)?;
        self.request(board, Request::Repair, "allow a repair of")
    }

    fn request(&mut self, board: &Slug, request: Request, what: &str) -> Result<(), Error> {
        levers::request(&mut self.db, board, request, self.clock.unix())
            .map_err(|error| not_done(what, board, error))
    }

    /// A lever for a misspelled board would seem to work.
    fn must_exist(&self, board: &Slug) -> Result<(), Error> {
        let boards = discover(&self.root)?;
        if boards.iter().any(|there| there.slug() == board) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "find the board").on(board))
    }
}

fn not_done(what: &str, board: &Slug, error: rusqlite::Error) -> Error {
    let what = format!("{what} the board: the ledger took no write");
    Error::new(ErrorKind::Sqlite, what).because(error).on(board)
}
