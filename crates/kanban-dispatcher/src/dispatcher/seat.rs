//! One board of the roster: what is asked of it in each pass.

use std::time::{Duration, SystemTime};

use fingerprint_quarantine::SqliteFiles;

use crate::root::Board;
use crate::tick::quiet::Quiet;

/// A board, and whether it needs a turn.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) board: Board,
    files: SqliteFiles,
    /// As its last turn left it; `None`: it needs one.
    quiet: Option<Quiet>,
    /// By what hints name it.
    pub(super) key: u32,
    /// Changes of its files are hinted.
    pub(super) is_watched: bool,
    /// There is a hint that nobody has followed up.
    pub(super) is_hinted: bool,
    /// When its last turn ended (monotonic).
    pub(super) last_turn: Option<Duration>,
}

/// When it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Unix seconds.
    pub(super) unix: i64,
    pub(super) monotonic: Duration,
    /// Hints are not relied on.
    pub(super) is_sweep: bool,
    /// By the clock that files are stamped by.
    pub(super) file_time: SystemTime,
}

// ===== impl Seat =====

impl Seat {
    pub(super) fn new(board: Board, key: u32) -> Self {
        Self {
            files: SqliteFiles::new(board.db()),
            board,
            quiet: None,
            key,
            is_watched: false,
            is_hinted: true,
            last_turn: None,
        }
    }

    /// As its last turn has left it, if that is still so; `None`: it needs a turn, and does until it has had one.
    pub(super) fn quiet(&mut self, look: Look) -> Option<&Quiet> {
        let quiet = self.quiet.as_ref()?;
        let may_rely = self.is_watched && !self.is_hinted && !look.is_sweep;
        // Before the files are looked at: what is written after that is hinted anew.
        self.is_hinted = false;
        let is_so = quiet.lasts(look.unix, look.monotonic)
            && (may_rely || quiet.is_unchanged(&self.files, look.file_time));
        if !is_so {
            self.quiet = None;
        }
        self.quiet.as_ref()
    }

    pub(super) fn left(&self) -> Option<Quiet> {
        self.quiet
    }

    pub(super) fn settle(&mut self, quiet: Option<Quiet>, now: Duration) {
        // A link to a database may lead elsewhere by now, and so its log is elsewhere.
        self.files = SqliteFiles::new(self.board.db());
        self.quiet = quiet;
        self.last_turn = Some(now);
    }

    pub(super) fn wake(&mut self) {
        self.quiet = None;
    }
}
