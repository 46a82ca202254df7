//! What all boards depend on: a pass that finds it as it was when it was asked last asks for none of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fingerprint_quarantine::{FileState, SqliteFiles};
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
    /// What is at its paths may be something else since then.
    is_distrusted: bool,
}

/// One of its places.
#[derive(Debug)]
struct Place {
    /// By what hints name it.
    key: u32,
    path: PathBuf,
    what: Followed,
    /// There has been a hint of it since it was last followed.
    is_hinted: bool,
    /// How it looked before it was asked; `None`: what is of interest of it is a place of its own.
    state: Option<FileState>,
}

// ===== impl Around =====

impl Around {
    /// Whether a hint's key is one of its own, which is noted.
    pub(super) fn hint(&mut self, key: u32) -> bool {
        let place = self.places.iter_mut().find(|place| place.key == key);
        let is_mine = place.map(|place| place.is_hinted = true).is_some();
        self.is_hinted |= is_mine;
        is_mine
    }

    /// Whether hints tell of all of it.
    pub(super) fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// Whatever is there now may be something else.
    pub(super) fn distrust(&mut self) {
        (self.is_hinted, self.is_distrusted) = (true, true);
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

    /// Follows what may be something else than before; whether all of it is followed now.
    fn follow(&mut self, watch: &mut Watch, root: &Root) -> bool {
        let is_of_place = |place: &Place| place.is_hinted && place.what != Followed::File;
        let is_anew = std::mem::take(&mut self.is_distrusted)
            || !self.is_followed
            || self.places.iter().any(is_of_place);
        // Not followed itself: the sign of life in it would be news.
        if is_anew && !root.ledger().parent().is_some_and(Watch::sees_at) {
            return false;
        }
        // A file that was only written to is followed already, which costs no more than to ask.
        self.places
            .iter_mut()
            .filter(|place| is_anew || place.is_hinted)
            .all(|place| {
                place.is_hinted = false;
                place.follow(watch)
            })
    }

    /// Whether a change of it would show.
    fn is_sure(&self) -> bool {
        let mut states = self.places.iter().filter_map(|place| place.state);
        self.is_followed || !states.any(|state| state.is_young())
    }
}

impl Place {
    fn follow(&self, watch: &mut Watch) -> bool {
        match watch.follow(self.key, &self.path, self.what) {
            Ok(()) => Watch::sees_at(&self.path),
            // When it comes, the place before tells it.
            Err(_) => self.what == Followed::List && is_absent(&self.path),
        }
    }
}

impl Roster {
    /// All of it is about to be asked: what changes from now on shows. Whether nothing has changed, by hints, since it was asked last.
    pub(super) fn ask_around(&mut self, root: &Root) -> bool {
        let around = &mut self.hints.around;
        let was_known = around.is_known && around.is_followed && !around.is_hinted;
        (around.is_known, around.is_hinted) = (false, false);
        if !was_known {
            self.hints.find_around(root);
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
    fn find_around(&mut self, root: &Root) {
        if self.around.places.is_empty() {
            self.around.places = self.places_around(root);
        }
        // A link to the ledger may lead elsewhere by now, and so its log is elsewhere.
        let log = SqliteFiles::new(&root.ledger()).wal().to_owned();
        let Self { watch, around, .. } = self;
        if let Some(last) = around.places.last_mut() {
            last.path = log;
        }
        around.is_followed = watch
            .as_mut()
            .is_some_and(|watch| around.follow(watch, root));
        if !around.is_followed {
            around.look();
        }
    }

    /// Each directory before what it tells of; the ledger's log last.
    fn places_around(&mut self, root: &Root) -> Vec<Place> {
        let places = [
            (root.hermes().to_owned(), Followed::Home),
            (root.profiles_dir(), Followed::List),
            (root.kanban_dir(), Followed::Kanban),
            (root.boards_dir(), Followed::List),
            (root.dispatcher_lock(), Followed::File),
            (root.ledger(), Followed::File),
            (PathBuf::new(), Followed::File),
        ];
        let place = |(path, what)| Place {
            key: self.next_key(),
            path,
            what,
            is_hinted: false,
            state: match what {
                Followed::List | Followed::File => Some(FileState::Absent),
                _ => None,
            },
        };
        places.map(place).into()
    }
}

fn is_absent(path: &Path) -> bool {
    let there = path.symlink_metadata();
    there.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;
    use std::{fs, thread};

    use super::*;
    use crate::{Clock, Config, Dispatcher, Slug, Store};

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    /// Whether it is known, and by what, once a dispatcher is at rest.
    fn known(root: &Root, watch: bool) -> std::result::Result<bool, Box<dyn std::error::Error>> {
        let clock = Clock::manual(1_700_000_000);
        Store::init(&root.board(&Slug::default()), &clock)?;
        let config = Config {
            watch,
            ..Config::default()
        };
        let mut dispatcher = Dispatcher::builder(root.clone(), config)
            .clock(clock)
            .build();
        for _ in 0..500 {
            dispatcher.tick();
            let around = &dispatcher.roster.hints.around;
            if around.is_as_known() && dispatcher.ticks > 3 {
                return Ok(around.is_followed);
            }
            thread::park_timeout(Duration::from_millis(10));
        }
        Err("it is never known".into())
    }

    #[test]
    fn it_is_known_by_hints_with_the_watch_and_by_looks_without() -> Result {
        for watch in [true, false] {
            let dir = tempfile::tempdir()?;
            assert_eq!(known(&Root::at(dir.path()), watch)?, watch);
        }
        Ok(())
    }

    #[test]
    fn what_is_behind_a_link_is_known_by_looks() -> Result {
        for link in ["profiles", "kanban/.dispatcher"] {
            let dir = tempfile::tempdir()?;
            fs::create_dir_all(dir.path().join("kanban"))?;
            fs::create_dir(dir.path().join("there"))?;
            symlink(dir.path().join("there"), dir.path().join(link))?;
            assert!(!known(&Root::at(dir.path()), true)?, "{link}");
        }
        Ok(())
    }
}
