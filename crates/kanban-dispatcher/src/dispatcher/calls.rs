//! Between two passes: what somebody wants that no file of a known board shows. It is looked for once a second.

use std::collections::HashSet;
use std::time::Duration;

use fingerprint_quarantine::{FileState, SqliteStamp};

use super::roster::{Choice, Chosen, Roster};
use super::{Dispatcher, LOOK_EVERY};
use crate::discover::is_served;
use crate::root::{Board, Root, Slug};
use crate::tick::state::ageless;

/// A board that has come is tried after this time, whatever happens to its files.
const MADE_WITHIN: Duration = Duration::from_secs(5);

/// Boards that are not to wait for the next pass.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// An operator asks for them.
    asked: Vec<Slug>,
    /// They have come, and may be half made.
    come: Vec<Newcomer>,
    /// When those were last looked at (monotonic).
    looked: Option<Duration>,
    /// Names that hold no file of a board yet.
    pub(super) unmade: Vec<Board>,
}

#[derive(Debug)]
struct Newcomer {
    slug: Slug,
    /// When it was first looked at (monotonic).
    came: Option<Duration>,
    /// How its files looked last.
    last: Option<SqliteStamp>,
}

// ===== impl Calls =====

impl Calls {
    pub(super) fn is_none(&self) -> bool {
        self.asked.is_empty() && self.come.is_empty()
    }

    pub(super) fn has_come(&mut self, slug: &Slug) {
        self.come.push(Newcomer {
            slug: slug.clone(),
            came: None,
            last: None,
        });
    }

    /// Every board has had its chance.
    pub(super) fn forget(&mut self) {
        (self.asked, self.come) = (Vec::new(), Vec::new());
    }
}

impl Newcomer {
    /// Whether its files look as if nobody were making them.
    fn is_made(&mut self, board: &Board, now: Duration) -> bool {
        let came = *self.came.get_or_insert(now);
        let stamp = ageless(SqliteStamp::of(board.db()));
        let rests = self.last.replace(stamp) == Some(stamp);
        let is_begun = stamp.is_absent() || stamp.is_empty_file();
        (rests && !is_begun) || now.saturating_sub(came) >= MADE_WITHIN
    }
}

impl Dispatcher {
    /// Whether an operator may have asked for something, or boards may have come.
    pub(super) fn is_called(&mut self, now: Duration) -> bool {
        if self.next_listening().is_some_and(|next| now < next) {
            return false;
        }
        self.listened = Some(now);
        let version = self.site.ledger.version();
        // Without a version nobody can be heard.
        let has_written = version.is_some() && version != self.levers_at;
        has_written || self.roster.is_called(&self.site.root)
    }

    /// When it is looked for that again (monotonic); only who leads does.
    pub(super) fn next_listening(&self) -> Option<Duration> {
        let listened = self.listened.filter(|_| self.lock.is_some());
        listened.map(|at| at.saturating_add(LOOK_EVERY))
    }
}

impl Roster {
    /// An operator asks for this board.
    pub(super) fn ask_for(&mut self, slug: &Slug) {
        self.wake(slug);
        self.calls.asked.push(slug.clone());
    }

    /// Whether boards are called for, or may have come since they were listed. If they could not be listed, the next pass tries again.
    fn is_called(&self, root: &Root) -> bool {
        self.dir.is_some_and(|listed| {
            is_changed(root, listed)
                || !self.calls.is_none()
                || self.calls.unmade.iter().any(is_served)
        })
    }

    /// Whether the list of boards is as good as new: what comes in the same step of the clock as a listing leaves no other trace but hints.
    pub(super) fn is_listed(&self, root: &Root) -> bool {
        match self.dir {
            Some(listed) if listed.is_young() => {
                self.hints.around.is_followed() && !is_changed(root, listed)
            }
            listed => listed.is_some(),
        }
    }

    /// Adds the boards that are called for; those that may be half made are called for again.
    pub(super) fn add_called(&mut self, root: &Root, choice: &mut Choice, now: Duration) {
        if self.calls.is_none() {
            return;
        }
        let turns = choice.turns.iter();
        let mut chosen: HashSet<Slug> = turns.map(|chosen| chosen.board.slug().clone()).collect();
        let mut called = std::mem::take(&mut self.calls.asked);
        let is_soon = |at| now.saturating_sub(at) < LOOK_EVERY;
        let mut come = match self.calls.looked.is_some_and(is_soon) {
            true => Vec::new(),
            false => std::mem::take(&mut self.calls.come),
        };
        if !come.is_empty() {
            self.calls.looked = Some(now);
        }
        come.retain_mut(|newcomer| {
            let board = self
                .place(&newcomer.slug)
                .map(|place| &self.seats[place].board);
            let is_made = board.is_some_and(|board| newcomer.is_made(board, now));
            if is_made {
                called.push(newcomer.slug.clone());
            }
            board.is_some() && !is_made
        });
        self.calls.come.append(&mut come);
        for slug in called {
            let Some(place) = self.place(&slug) else {
                continue;
            };
            let board = &self.seats[place].board;
            if root.serves(&slug) && is_served(board) && chosen.insert(slug) {
                choice.turns.push(Chosen {
                    board: board.clone(),
                    only_waits: false,
                });
            }
        }
    }
}

/// Whether the boards' directory looks other than when it was listed.
#[cold] // Of an idle pass it is no part, as a rule.
fn is_changed(root: &Root, listed: FileState) -> bool {
    listed != FileState::of(&root.boards_dir())
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::super::roster::Pass;
    use super::*;

    const PASS: Pass<'_> = Pass {
        unix: 0,
        monotonic: Duration::ZERO,
        has_room: true,
        is_full: false,
        only: None,
    };

    struct Listed {
        _dir: tempfile::TempDir,
        root: Root,
        board: Board,
        roster: Roster,
    }

    impl Listed {
        /// With one board that has just come.
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let root = Root::at(dir.path());
            let board = root.board(&"alpha".parse().expect("a name"));
            fs::create_dir_all(board.dir()).expect("made");
            fs::write(board.db(), "").expect("written");
            let mut roster = Roster::default();
            roster.choose(&root, PASS, None).expect("listed");
            Self {
                _dir: dir,
                root,
                board,
                roster,
            }
        }

        fn write(&self, content: &str) {
            fs::write(self.board.db(), content).expect("written");
        }

        /// How many turns it has at this time because it is called for.
        fn turns(&mut self, ms: u64) -> usize {
            let mut choice = Choice::default();
            let now = Duration::from_millis(ms);
            self.roster.add_called(&self.root, &mut choice, now);
            let its = |chosen: &&Chosen| chosen.board == self.board;
            choice.turns.iter().filter(its).count()
        }
    }

    #[test]
    fn a_board_that_has_come_has_its_turn_when_its_files_rest() {
        let mut listed = Listed::new();
        assert_eq!(listed.turns(0) + listed.turns(1_000), 0, "it is empty");
        listed.write("a page");
        assert_eq!(listed.turns(2_000), 0, "it has changed");
        assert_eq!(listed.turns(2_900), 0, "not looked at");
        listed.write("two pages");
        assert_eq!(listed.turns(3_000), 0, "it has changed again");
        assert_eq!((listed.turns(4_000), listed.turns(9_000)), (1, 0));
    }

    #[test]
    fn a_board_that_does_not_rest_has_its_turn_in_the_end() {
        let mut listed = Listed::new();
        for second in 0..5 {
            listed.write(&"a".repeat(second + 1));
            assert_eq!(listed.turns(1_000 * second as u64), 0);
        }
        listed.write("b");
        assert_eq!((listed.turns(5_000), listed.turns(6_000)), (1, 0));
        // Nor does one that nobody goes on making.
        let mut listed = Listed::new();
        assert_eq!((listed.turns(0), listed.turns(4_000)), (0, 0));
        assert_eq!(listed.turns(5_000), 1);
    }

    #[test]
    fn a_board_that_is_asked_for_has_one_turn_at_once_but_not_if_it_is_archived() {
        let mut listed = Listed::new();
        listed.roster.calls.forget();
        let ask = |listed: &mut Listed| {
            let slug = listed.board.slug().clone();
            (0..2).for_each(|_| listed.roster.ask_for(&slug));
        };
        ask(&mut listed);
        assert_eq!((listed.turns(0), listed.turns(0)), (1, 0));
        fs::write(listed.board.metadata(), "{\"archived\": true}").expect("written");
        ask(&mut listed);
        assert_eq!(listed.turns(0), 0);
    }

    #[test]
    fn nothing_is_passed_over_while_somebody_is_called_for() {
        let mut listed = Listed::new();
        listed.roster.calls.forget();
        let Listed {
            root,
            board,
            roster,
            ..
        } = &mut listed;
        loop {
            roster.choose(root, PASS, None).expect("listed");
            roster.ask_around(root);
            roster.know_around();
            if roster.overlook(root, PASS).is_some() {
                break;
            }
            thread::yield_now();
        }
        assert!(!roster.is_called(root));
        roster.ask_for(board.slug());
        assert!(roster.overlook(root, PASS).is_none());
        assert!(roster.is_called(root));
        // Nobody can be called while they cannot be listed.
        roster.dir = None;
        assert!(!roster.is_called(root));
    }
}
