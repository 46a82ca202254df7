//! The boards that are there, in the order of discovery, and which of them need a turn.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fingerprint_quarantine::{FileState, SqliteFiles};

use crate::discover::{is_served, list};
use crate::error::Error;
use crate::root::{Board, Root, Slug};
use crate::tick::quiet::Quiet;

/// Every board is looked at from the ground up this often, whatever is believed of it.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The boards below a root. A board that is quiet costs a pass two `stat`s and no look-up.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The boards' directory as it was when it was listed; `None` when it must be listed.
    dir: Option<FileState>,
    seats: Vec<Seat>,
    places: HashMap<Slug, usize>,
    /// Names that are no board now and may become one.
    others: Vec<Board>,
    /// When `board.json` of every board was last read (monotonic).
    swept: Option<Duration>,
}

#[derive(Debug)]
struct Seat {
    board: Board,
    files: SqliteFiles,
    /// As its last turn left it; `None`: it needs one.
    quiet: Option<Quiet>,
}

/// By what a pass chooses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass<'a> {
    /// Unix seconds.
    pub(super) unix: i64,
    pub(super) monotonic: Duration,
    /// There is a place for a worker.
    pub(super) has_room: bool,
    /// Every board has a turn, whatever it needs.
    pub(super) is_full: bool,
    /// Between two passes: these boards, and those that would use a place.
    pub(super) only: Option<&'a HashSet<Slug>>,
}

/// What a pass has to do.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) turns: Vec<Chosen>,
    /// Boards that are on hold, and how long.
    pub(super) held: Vec<(Slug, Option<Duration>)>,
    /// How many there is nothing to do for.
    pub(super) quiet: usize,
    /// Boards have come or gone since the last pass.
    pub(super) is_new_list: bool,
}

/// A board that has a turn.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) board: Board,
    /// Only if there is a place for it.
    pub(super) only_waits: bool,
}

// ===== impl Roster =====

impl Roster {
    /// Sees which boards are there, and which of them need a turn.
    ///
    /// The directory is listed again when it has changed. What changes inside a board's directory is seen at a board that has a turn
    /// anyway, and at every other one once a minute.
    ///
    /// # Errors
    /// The boards' directory exists but cannot be listed.
    pub(super) fn choose(&mut self, root: &Root, pass: Pass<'_>) -> Result<Choice, Error> {
        // Before it is listed: what changes meanwhile counts as a change.
        let dir = FileState::of(&root.boards_dir());
        let is_soon = |last| pass.monotonic.saturating_sub(last) < SWEEP_EVERY;
        let is_same = self.dir == Some(dir) && !dir.is_young() && self.swept.is_some_and(is_soon);
        if is_same && !self.others.iter().any(is_served) {
            let choice = self.look(root, pass);
            if choice.turns.iter().all(|chosen| is_served(&chosen.board)) {
                return Ok(choice);
            }
        }
        self.dir = None;
        let is_new_list = self.list(root)?;
        (self.dir, self.swept) = (Some(dir), Some(pass.monotonic));
        Ok(Choice {
            is_new_list,
            ..self.look(root, pass)
        })
    }

    /// Lists the boards anew; whether any has come or gone.
    fn list(&mut self, root: &Root) -> Result<bool, Error> {
        let listing = list(root)?;
        self.others = listing.others;
        if self.boards().eq(&listing.boards) {
            return Ok(false);
        }
        let seats = self.seats.drain(..);
        let mut known: HashMap<Slug, Seat> = seats
            .map(|seat| (seat.board.slug().clone(), seat))
            .collect();
        let seat = |board: Board| {
            known
                .remove(board.slug())
                .unwrap_or_else(|| Seat::new(board))
        };
        self.seats = listing.boards.into_iter().map(seat).collect();
        let slugs = self.seats.iter().map(|seat| seat.board.slug().clone());
        self.places = slugs.zip(0..).collect();
        Ok(true)
    }

    fn look(&self, root: &Root, pass: Pass<'_>) -> Choice {
        let mut choice = Choice::default();
        for seat in &self.seats {
            let slug = seat.board.slug();
            if !root.serves(slug) || pass.only.is_some_and(|only| !only.contains(slug)) {
                continue;
            }
            let mut only_waits = false;
            if let Some(quiet) = seat.quiet.filter(|quiet| seat.stays(quiet, pass)) {
                only_waits = quiet.waits && pass.has_room;
                if quiet.is_held {
                    let retry_in = quiet.look_in(pass.monotonic);
                    choice.held.push((slug.clone(), retry_in));
                    continue;
                } else if !only_waits {
                    choice.quiet += 1;
                    continue;
                }
            }
            choice.turns.push(Chosen {
                board: seat.board.clone(),
                only_waits,
            });
        }
        choice
    }

    /// Where it comes in the order of discovery.
    pub(super) fn place(&self, slug: &Slug) -> Option<usize> {
        self.places.get(slug).copied()
    }

    /// All that a dispatcher of this root works on.
    pub(super) fn served(&self, root: &Root) -> Vec<Board> {
        let is_served = |board: &&Board| root.serves(board.slug());
        self.boards().filter(is_served).cloned().collect()
    }

    fn boards(&self) -> impl Iterator<Item = &Board> {
        self.seats.iter().map(|seat| &seat.board)
    }

    pub(super) fn contains(&self, slug: &Slug) -> bool {
        self.places.contains_key(slug)
    }

    /// A board's turn is over, and has left it like this.
    pub(super) fn settle(&mut self, slug: &Slug, quiet: Option<Quiet>) {
        if let Some(place) = self.places.get(slug) {
            self.seats[*place].quiet = quiet;
        }
    }

    /// Whether its last turn ran through, and each pass since stands for another one.
    pub(super) fn is_quiet(&self, slug: &Slug) -> bool {
        let quiet = self.place(slug).and_then(|place| self.seats[place].quiet);
        quiet.is_some_and(|quiet| !quiet.is_held)
    }

    /// How many boards are served.
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// Something has happened that concerns this board.
    pub(super) fn wake(&mut self, slug: &Slug) {
        self.settle(slug, None);
    }

    /// Something has happened that may concern every board.
    pub(super) fn wake_all(&mut self) {
        for seat in &mut self.seats {
            seat.quiet = None;
        }
    }
}

impl Seat {
    fn new(board: Board) -> Self {
        Self {
            files: SqliteFiles::new(board.db()),
            board,
            quiet: None,
        }
    }

    /// Whether it is as its last turn has left it.
    fn stays(&self, quiet: &Quiet, pass: Pass<'_>) -> bool {
        !pass.is_full && quiet.lasts(pass.unix, pass.monotonic) && quiet.is_unchanged(&self.files)
    }
}
