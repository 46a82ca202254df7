//! One board of the roster: what is asked of it in each pass.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fingerprint_quarantine::{SqliteFiles, SqliteStates};

use crate::root::Board;
use crate::tick::quiet::Quiet;

/// A board, and whether it needs a turn.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) board: Board,
    /// By their names below the boards' directory, if that is where they are and it is open.
    files: SqliteFiles,
    /// As its last turn left it; `None`: it needs one.
    quiet: Option<Quiet>,
    /// By what hints name it.
    pub(super) key: u32,
    /// Changes of its files are hinted.
    pub(super) is_watched: bool,
    /// There has been a hint since it was last asked.
    pub(super) is_hinted: bool,
    /// It is among those whose hints nobody has followed up.
    pub(super) is_in_line: bool,
    /// When its last turn ended (monotonic).
    pub(super) last_turn: Option<Duration>,
}

/// When it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    /// Unix seconds.
    pub(super) unix: i64,
    pub(super) monotonic: Duration,
    /// Hints are not relied on.
    pub(super) is_sweep: bool,
    /// By the clock that files are stamped by.
    pub(super) file_time: SystemTime,
    /// The boards' directory.
    pub(super) dir: Option<BorrowedFd<'a>>,
}

// ===== impl Look =====

impl Look<'_> {
    #[inline(always)] // A return after a system call is dear; see `FileState::of_in`.
    fn at(&self, files: &SqliteFiles) -> SqliteStates {
        match self.dir {
            Some(dir) => files.states_in(dir, self.file_time),
            None => files.states_at(self.file_time),
        }
    }
}

// ===== impl Seat =====

impl Seat {
    pub(super) fn new(board: Board, key: u32, dir: Option<&Path>) -> Self {
        Self {
            files: files(&board, dir),
            board,
            quiet: None,
            key,
            is_watched: false,
            is_hinted: true,
            is_in_line: false,
            last_turn: None,
        }
    }

    /// As its last turn has left it, if that is still so; `None`: it needs a turn, and does until it has had one.
    #[inline(always)] // As `Look::at`.
    pub(super) fn quiet(&mut self, look: Look<'_>) -> Option<&Quiet> {
        // Before the files are looked at: what is written after that is hinted anew.
        let is_hinted = std::mem::replace(&mut self.is_hinted, false);
        let may_rely = self.is_watched && !is_hinted && !look.is_sweep;
        let quiet = self.quiet.as_ref()?;
        let is_so = quiet.lasts(look.unix, look.monotonic)
            && (may_rely || quiet.is_unchanged(look.at(&self.files)));
        if !is_so {
            self.quiet = None;
        }
        self.quiet.as_ref()
    }

    pub(super) fn left(&self) -> Option<Quiet> {
        self.quiet
    }

    pub(super) fn settle(&mut self, quiet: Option<Quiet>, now: Duration, dir: Option<&Path>) {
        // A link to a database may lead elsewhere by now, and so its log is elsewhere.
        self.find(dir);
        self.quiet = quiet;
        self.last_turn = Some(now);
    }

    /// Something tells that its files have changed; whether it is to be put in line for that.
    pub(super) fn hint(&mut self) -> bool {
        self.is_hinted = true;
        !std::mem::replace(&mut self.is_in_line, true)
    }

    pub(super) fn wake(&mut self) {
        self.quiet = None;
    }

    pub(super) fn forget_log(&mut self) {
        if let Some(quiet) = &mut self.quiet {
            quiet.forget_log();
        }
    }

    /// Finds its files anew; `dir` is the boards' directory if that is open.
    pub(super) fn find(&mut self, dir: Option<&Path>) {
        self.files = files(&self.board, dir);
    }
}

fn files(board: &Board, dir: Option<&Path>) -> SqliteFiles {
    let files = SqliteFiles::new(board.db());
    match dir {
        Some(dir) => files.below(dir),
        None => files,
    }
}
