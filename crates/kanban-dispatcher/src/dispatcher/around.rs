//! What all boards depend on: a pass that finds it as it was when it was asked last asks for none of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fingerprint_quarantine::FileState;
use rustix::fs::CWD;

use super::hints::Hints;
use super::roster::{Roster, file_time};
use crate::root::Root;
use crate::watch::{Followed, Watch};

/// The lock, the ledger, the boards' directory and that of the profiles: by hints, or else by how they look.
#[derive(Debug, Default)]
pub(super) struct Around {
    places: Vec<Place>,
    /// Hints tell of all of it.
    is_followed: bool,
    /// It was asked, and nobody was in the middle of a change that would not show.
    is_known: bool,
    /// There has been a hint since it was last begun to ask.
    is_hinted: bool,
}

/// One of its places.
#[derive(Debug)]
struct Place {
    /// By what hints name it.
    key: u32,
    path: PathBuf,
    what: Followed,
    /// How it looked before it was asked; `None`: what is of interest of it is a place of its own.
    state: Option<FileState>,
}

// ===== impl Around =====

impl Around {
    /// Whether a hint's key is one of its own, which is noted.
    pub(super) fn hint(&mut self, key: u32) -> bool {
        let is_mine = self.places.iter().any(|place| place.key == key);
        self.is_hinted |= is_mine;
        is_mine
    }

    /// Whatever is there now may be something else.
    pub(super) fn distrust(&mut self) {
        self.is_hinted = true;
    }

    /// Whether all of it is as it was when it was asked last.
    pub(super) fn is_as_known(&self) -> bool {
        self.is_known && !self.is_hinted && (self.is_followed || self.looks_the_same(file_time()))
    }

    fn looks_the_same(&self, now: SystemTime) -> bool {
        let is_same = |place: &Place, state| FileState::of_in(CWD, &place.path, now) == state;
        let mut places = self.places.iter();
        places.all(|place| place.state.is_none_or(|state| is_same(place, state)))
    }

    fn look(&mut self) {
        let now = file_time();
        for Place { path, state, .. } in &mut self.places {
            if let Some(state) = state {
                *state = FileState::of_in(CWD, path, now);
            }
        }
    }

    /// Whether a change of it would show.
    fn is_sure(&self) -> bool {
        let mut states = self.places.iter().filter_map(|place| place.state);
        self.is_followed || !states.any(|state| state.is_young())
    }
}

impl Roster {
    /// All of it is about to be asked: what changes from now on shows. Whether nothing has changed, by hints, since it was asked last.
    pub(super) fn ask_around(&mut self, root: &Root) -> bool {
        let around = &mut self.hints.around;
        let was_known = around.is_known && around.is_followed && !around.is_hinted;
        (around.is_known, around.is_hinted) = (false, false);
        if !was_known {
            self.hints.follow_around(root);
            self.hints.around.look();
        }
        was_known
    }

    /// All of it has been asked, and nobody is in the middle of a change.
    pub(super) fn know_around(&mut self) {
        let around = &mut self.hints.around;
        around.is_known = around.is_sure();
    }
}

impl Hints {
    fn follow_around(&mut self, root: &Root) {
        if self.around.places.is_empty() {
            self.around.places = self.places_around(root);
        }
        let Self { watch, around, .. } = self;
        let is_followed = |watch: &mut Watch| {
            let mut places = around.places.iter();
            places.all(|place| follow(watch, place))
        };
        around.is_followed = watch.as_mut().is_some_and(is_followed);
    }

    /// In an order in which each tells of the one after it.
    fn places_around(&mut self, root: &Root) -> Vec<Place> {
        let ledger = root.ledger();
        let mut log = ledger.clone().into_os_string();
        log.push("-wal");
        let places = [
            (root.hermes().to_owned(), Followed::Home),
            (root.profiles_dir(), Followed::List),
            (root.kanban_dir(), Followed::Kanban),
            (root.boards_dir(), Followed::List),
            (root.dispatcher_lock(), Followed::File),
            (ledger, Followed::File),
            (log.into(), Followed::File),
        ];
        let place = |(path, what)| Place {
            key: self.next_key(),
            path,
            what,
            state: match what {
                Followed::Home | Followed::Kanban | Followed::Board => None,
                Followed::List | Followed::File => Some(FileState::Absent),
            },
        };
        places.map(place).into()
    }
}

fn follow(watch: &mut Watch, place: &Place) -> bool {
    match watch.follow(place.key, &place.path, place.what) {
        Ok(()) => Watch::sees_at(&place.path),
        // When it comes, the place before tells it.
        Err(_) => place.what == Followed::List && is_absent(&place.path),
    }
}

fn is_absent(path: &Path) -> bool {
    let there = path.symlink_metadata();
    there.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
