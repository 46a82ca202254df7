//! The boards that are there, in the order of discovery, and which of them need a turn.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use fingerprint_quarantine::FileState;

use super::calls::Calls;
use super::hints::Hints;
use super::open_dir::OpenDir;
use super::seat::{Look, Seat};
use crate::discover::{exists, is_served, list};
use crate::error::Error;
use crate::root::{Board, Root, Slug};
use crate::tick::quiet::{Quiet, Why};

/// Every board is looked at from the ground up this often, whatever is believed of it.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The boards below a root. A board that is quiet costs a pass two `stat`s, or none if it is watched, and no look-up.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) hints: Hints,
    /// The boards' directory as it was when it was listed; `None` when it must be listed.
    pub(super) dir: Option<FileState>,
    /// The same directory, so that its path is not walked for each board; without it, it is.
    open_dir: Option<OpenDir>,
    pub(super) seats: Vec<Seat>,
    places: HashMap<Slug, usize>,
    /// Names that are no board now and may become one.
    others: Vec<Board>,
    pub(super) calls: Calls,
    /// When `board.json` of every board was last read (monotonic).
    swept: Option<Duration>,
    /// Boards have come or gone, and nobody has asked yet.
    is_new_list: bool,
    /// Some need a turn that did not when this pass looked at them first.
    has_woken: bool,
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
    /// anyway, and at every other one once a minute. If this pass has `looked` at them already, they are not looked at again.
    ///
    /// # Errors
    /// The boards' directory exists but cannot be listed.
    pub(super) fn choose(
        &mut self,
        root: &Root,
        pass: Pass<'_>,
        looked: Option<Choice>,
    ) -> Result<Choice, Error> {
        self.hear();
        // Before it is listed: what changes meanwhile counts as a change.
        let dir = FileState::of(&root.boards_dir());
        let is_sweep = self.is_sweep(pass);
        let is_same = self.dir == Some(dir) && !dir.is_young() && !is_sweep;
        if is_same && !self.others.iter().any(is_served) {
            let choice = match looked.filter(|_| !self.has_woken) {
                Some(choice) => choice,
                None => self.look(root, pass, is_sweep),
            };
            if choice.turns.iter().all(|chosen| is_served(&chosen.board)) {
                return Ok(choice);
            }
        }
        // A directory above the boards may have been renamed, which nobody tells.
        let is_other = |last: FileState| which(last) != which(dir);
        if is_sweep || self.dir.is_some_and(is_other) {
            self.distrust();
        }
        self.dir = None;
        self.is_new_list |= self.list(root)?;
        (self.dir, self.swept) = (Some(dir), Some(pass.monotonic));
        self.follow();
        Ok(self.look(root, pass, is_sweep))
    }

    /// The same where nothing else than boards can have changed, and so nothing else is looked at.
    pub(super) fn overlook(&mut self, root: &Root, pass: Pass<'_>) -> Option<Choice> {
        self.has_woken = false;
        let is_same = !self.is_sweep(pass)
            && self.hints.around.is_as_known()
            && self.calls.is_none()
            && self.is_listed(root)
            && !self.others.iter().any(is_served);
        is_same.then(|| self.look(root, pass, false))
    }

    /// Lists the boards anew; whether any has come or gone.
    fn list(&mut self, root: &Root) -> Result<bool, Error> {
        let had_dir = self.open_dir.is_some();
        self.open_dir = OpenDir::at(root.boards_dir());
        if had_dir != self.open_dir.is_some() {
            let dir = self.open_dir.as_ref().map(OpenDir::path);
            self.seats.iter_mut().for_each(|seat| seat.find(dir));
        }
        let listing = list(root, |slug| match self.place(slug) {
            Some(place) => self.seats[place].board.clone(),
            None => root.board(slug),
        })?;
        self.calls.unmade = listing.others.clone();
        self.calls.unmade.retain(|board| !exists(board));
        self.others = listing.others;
        if self.boards().eq(&listing.boards) {
            return Ok(false);
        }
        let seats = self.seats.drain(..);
        let mut known: HashMap<Slug, Seat> = seats
            .map(|seat| (seat.board.slug().clone(), seat))
            .collect();
        let dir = self.open_dir.as_ref().map(OpenDir::path);
        let seat = |board: Board| {
            known.remove(board.slug()).unwrap_or_else(|| {
                self.calls.has_come(board.slug());
                Seat::new(board, self.hints.next_key(), dir)
            })
        };
        self.seats = listing.boards.into_iter().map(seat).collect();
        self.hints.forget(known.values());
        let slugs = self.seats.iter().map(|seat| seat.board.slug().clone());
        self.places = slugs.zip(0..).collect();
        Ok(true)
    }

    fn is_sweep(&self, pass: Pass<'_>) -> bool {
        let is_soon = |last| pass.monotonic.saturating_sub(last) < SWEEP_EVERY;
        !self.swept.is_some_and(is_soon)
    }

    fn look(&mut self, root: &Root, pass: Pass<'_>, is_sweep: bool) -> Choice {
        let mut choice = Choice::default();
        let some = pass.only.map(|only| {
            let mut places: Vec<usize> = only.iter().filter_map(|slug| self.place(slug)).collect();
            places.sort_unstable();
            places
        });
        let look = Look {
            unix: pass.unix,
            monotonic: pass.monotonic,
            is_sweep,
            file_time: file_time(),
            dir: self.open_dir.as_ref().map(OpenDir::fd),
        };
        for nth in 0..some.as_ref().map_or(self.seats.len(), Vec::len) {
            let seat = &mut self.seats[some.as_ref().map_or(nth, |some| some[nth])];
            if !root.serves(seat.board.slug()) {
                continue;
            }
            let quiet = seat.quiet(look).filter(|_| !pass.is_full);
            let only_waits = quiet.is_some_and(|quiet| quiet.waits && pass.has_room);
            let retry_in = quiet.and_then(|quiet| quiet.look_in(pass.monotonic));
            match quiet.map(|quiet| quiet.why) {
                Some(Why::Held) => choice.held.push((seat.board.slug().clone(), retry_in)),
                Some(_) if !only_waits => choice.quiet += 1,
                _ => choice.turns.push(Chosen {
                    board: seat.board.clone(),
                    only_waits,
                }),
            }
        }
        choice
    }

    /// Whether boards have come or gone since this was last asked.
    pub(super) fn has_new_list(&mut self) -> bool {
        std::mem::take(&mut self.is_new_list)
    }

    /// Whether the boards' directory is there.
    pub(super) fn has_dir(&self) -> bool {
        self.dir.is_some_and(|dir| !dir.is_absent())
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
    pub(super) fn settle(&mut self, slug: &Slug, quiet: Option<Quiet>, now: Duration) {
        if let Some(place) = self.place(slug) {
            let dir = self.open_dir.as_ref().map(OpenDir::path);
            self.seats[place].settle(quiet, now, dir);
        }
    }

    /// Whether its last turn ran through, and each pass since stands for another one.
    pub(super) fn is_quiet(&self, slug: &Slug) -> bool {
        let quiet = self.place(slug).and_then(|place| self.seats[place].left());
        quiet.is_some_and(|quiet| quiet.why == Why::Idle)
    }

    /// How many boards there are.
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// A board's connection is closed: which log it has is its own affair now.
    pub(super) fn forget_log(&mut self, slug: &Slug) {
        if let Some(place) = self.place(slug) {
            self.seats[place].forget_log();
        }
    }

    /// Something has happened that concerns this board.
    pub(super) fn wake(&mut self, slug: &Slug) {
        self.has_woken = true;
        if let Some(place) = self.place(slug) {
            self.seats[place].wake();
        }
    }

    /// Something has happened that may concern every board.
    pub(super) fn wake_all(&mut self) {
        self.has_woken = true;
        for seat in &mut self.seats {
            seat.wake();
        }
    }
}

/// Which file it is, whatever is in it.
fn which(state: FileState) -> Option<(u64, u64)> {
    state.stamp().map(|stamp| (stamp.dev, stamp.ino))
}

/// The wall clock that files are stamped by, read once before they are looked at.
#[expect(
    clippy::disallowed_methods,
    reason = "file times are the machine's, whatever the dispatcher's clock is"
)]
pub(super) fn file_time() -> SystemTime {
    SystemTime::now()
}
