//! Hints that a board's files have changed: with them a pass asks the file system nothing, and a change is seen at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::around::Around;
use super::roster::Roster;
use super::seat::Seat;
use super::{Dispatcher, Home};
use crate::root::Slug;
use crate::wake::Wake;
use crate::watch::{Followed, Trust, Watch};

/// A board that is written to again and again has a turn between two passes no more often than this.
pub(super) const TURNS_APART: Duration = Duration::from_millis(50);

/// What tells of changes, if anything does.
#[derive(Debug, Default)]
pub(super) struct Hints {
    pub(super) watch: Option<Watch>,
    pub(super) around: Around,
    /// It has been told that there is none, or none for some.
    is_told: bool,
    last_key: u32,
    /// Where each key's board is in the roster.
    places: HashMap<u32, usize>,
    /// Places whose hints nobody has followed up.
    heard: Vec<usize>,
    /// What was drained last; kept for its memory.
    drained: Vec<u32>,
}

// ===== impl Hints =====

impl Hints {
    pub(super) fn next_key(&mut self) -> u32 {
        self.last_key = self.last_key.wrapping_add(1);
        self.last_key
    }

    /// Whether there are any that nobody has followed up.
    pub(super) fn have_any(&self) -> bool {
        !self.heard.is_empty()
    }

    /// These boards are gone.
    pub(super) fn forget<'a>(&mut self, gone: impl Iterator<Item = &'a Seat>) {
        if let Some(watch) = &mut self.watch {
            gone.for_each(|seat| watch.forget(seat.key));
        }
    }

    fn complain(&mut self, error: &crate::Error) {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                "changes of some boards are seen by the next tick only: {}",
                error.chain()
            );
        }
    }
}

impl Roster {
    /// Begins to watch, or ends it.
    pub(super) fn watch(&mut self, wake: &Wake, is_wanted: bool) {
        if self.hints.watch.is_some() == is_wanted {
            return;
        }
        for seat in &mut self.seats {
            seat.is_watched = false;
        }
        let was_watching = self.hints.watch.take().is_some();
        if is_wanted {
            let wake = wake.clone();
            match Watch::new(move || wake.news()) {
                Ok(watch) => self.hints.watch = Some(watch),
                Err(error) => self.hints.complain(&error),
            }
        }
        if was_watching || self.hints.watch.is_some() {
            self.hints.around.distrust();
        }
        self.follow();
    }

    /// Watches each board that is not watched and can be. The next look at it does not rely on that yet.
    pub(super) fn follow(&mut self) {
        let Self { seats, hints, .. } = self;
        hints.places = seats
            .iter()
            .zip(0..)
            .map(|(seat, place)| (seat.key, place))
            .collect();
        hints.heard.clear();
        for (place, seat) in seats.iter_mut().enumerate() {
            seat.is_in_line = seat.is_hinted;
            if seat.is_in_line {
                hints.heard.push(place);
            }
        }
        let Some(watch) = &mut hints.watch else {
            return;
        };
        let mut failed = None;
        for (place, seat) in seats.iter_mut().enumerate() {
            if seat.is_watched || !Watch::sees(seat.board.dir()) {
                continue;
            }
            match watch.follow(seat.key, seat.board.dir(), Followed::Board) {
                Ok(()) => {
                    seat.is_watched = true;
                    if seat.hint() {
                        hints.heard.push(place);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            hints.complain(&error);
        }
    }

    /// A board's turn has not seen all there is.
    pub(super) fn hint(&mut self, slug: &Slug) {
        if let Some(place) = self.place(slug)
            && self.seats[place].hint()
        {
            self.hints.heard.push(place);
        }
    }

    /// Notes what has been hinted since the last time.
    pub(super) fn hear(&mut self) {
        let Some(watch) = &mut self.hints.watch else {
            return;
        };
        let mut drained = std::mem::take(&mut self.hints.drained);
        let trust = watch.drain(&mut drained);
        for key in drained.drain(..) {
            if self.hints.around.hint(key) {
                continue;
            }
            let Some(place) = self.hints.places.get(&key).copied() else {
                continue;
            };
            let seat = &mut self.seats[place];
            if seat.hint() {
                self.hints.heard.push(place);
            }
            // Its directory is gone, or has been: whatever is there now is watched from the next look on.
            let dir = seat.board.dir();
            let is_followed = |watch: &mut Watch| watch.follow(key, dir, Followed::Board).is_ok();
            seat.is_watched = Watch::sees(dir) && (watch.follows(key) || is_followed(watch));
        }
        self.hints.drained = drained;
        if trust == Trust::Over {
            self.hints.watch = None;
        }
        if trust != Trust::Whole {
            self.distrust();
            self.follow();
        }
    }

    /// What is at the boards' paths may be other directories by now: they are watched anew, and looked at.
    pub(super) fn distrust(&mut self) {
        self.hints.around.distrust();
        for seat in &mut self.seats {
            (seat.is_watched, seat.is_hinted) = (false, true);
        }
    }
}

impl Dispatcher {
    /// Adds the boards that others have changed since their last turn, and says when there are more.
    ///
    /// A board that failed waits for the next tick, as it would without hints.
    pub(super) fn heed_hints(
        &mut self,
        now: Duration,
        news: &mut HashSet<Slug>,
    ) -> Option<Duration> {
        self.roster.hear();
        let mut later = None;
        let mut heard = std::mem::take(&mut self.roster.hints.heard);
        heard.retain(|place| {
            let Some(seat) = self.roster.seats.get_mut(*place) else {
                return false;
            };
            let next = seat.last_turn.map_or(now, |last| last + TURNS_APART);
            if seat.is_hinted && next > now {
                later = Some(later.map_or(next, |later: Duration| later.min(next)));
                return true;
            }
            seat.is_in_line = false;
            if !seat.is_hinted {
                return false;
            }
            // One that fails, or whose turn has not come back, keeps its hint for the next pass.
            if let Some(Home::In(state)) = self.states.get(seat.board.slug())
                && state.failure.is_none()
            {
                seat.is_hinted = state.has_missed() || state.has_changed();
                if seat.is_hinted {
                    news.insert(seat.board.slug().clone());
                }
            }
            false
        });
        self.roster.hints.heard = heard;
        later
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::roster::Pass;
    use super::*;
    use crate::root::Root;

    #[test]
    fn a_board_is_put_in_line_again_after_a_listing_without_a_watch() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let root = Root::at(dir.path());
        let make = |name: &str| {
            let dir = root.boards_dir().join(name);
            fs::create_dir_all(&dir)?;
            fs::write(dir.join("kanban.db"), "")
        };
        let pass = Pass {
            unix: 0,
            monotonic: Duration::ZERO,
            has_room: true,
            is_full: false,
            only: None,
        };
        let alpha: Slug = "alpha".parse().expect("a name");
        let mut roster = Roster::default();
        for name in ["alpha", "beta", "gamma"] {
            make(name)?;
            roster.choose(&root, pass, None).expect("it can be listed");
            roster.hint(&alpha);
            assert!(roster.hints.have_any(), "after {name}");
        }
        Ok(())
    }
}
