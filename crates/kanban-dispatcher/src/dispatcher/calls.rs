//! Between two passes: what somebody wants that no file of a known board shows. It is looked for once a second.

use std::time::Duration;

use fingerprint_quarantine::{FileState, SqliteStamp};

use super::roster::{Choice, Chosen, Roster};
use super::{Dispatcher, LOOK_EVERY};
use crate::discover::exists;
use crate::root::{Root, Slug};

impl Dispatcher {
    /// Whether an operator may have asked for something, or boards may have come.
    pub(super) fn is_called(&mut self, now: Duration) -> bool {
        let is_soon = |at| now.saturating_sub(at) < LOOK_EVERY;
        if self.listened.is_some_and(is_soon) {
            return false;
        }
        self.listened = Some(now);
        let has_written = |read| self.site.ledger.version().is_some_and(|now| now != read);
        self.levers_at.is_some_and(has_written) || self.roster.may_have_come(&self.site.root)
    }
}

impl Roster {
    /// An operator asks for this board: it is not to wait for the next pass.
    pub(super) fn invite(&mut self, slug: &Slug) {
        self.wake(slug);
        self.invited.push(slug.clone());
    }

    /// Whether boards may have come since they were listed, or wait for their first turn.
    fn may_have_come(&self, root: &Root) -> bool {
        let dir = FileState::of(&root.boards_dir());
        self.dir.is_some_and(|listed| listed != dir)
            || self.unmade.iter().any(exists)
            || !self.invited.is_empty()
    }

    /// Adds those that were invited, but one that is being written to at this moment: it may be half made.
    pub(super) fn add_invited(&mut self, root: &Root, choice: &mut Choice) {
        for slug in std::mem::take(&mut self.invited) {
            let seat = self.place(&slug).map(|place| &self.seats[place]);
            let Some(seat) = seat.filter(|_| root.serves(&slug)) else {
                continue;
            };
            let board = &seat.board;
            if SqliteStamp::of(board.db()).is_young() {
                self.invited.push(slug);
            } else if !choice.turns.iter().any(|chosen| chosen.board == *board) {
                choice.turns.push(Chosen {
                    board: board.clone(),
                    only_waits: false,
                });
            }
        }
    }

    /// Every board has had its chance.
    pub(super) fn forget_invited(&mut self) {
        self.invited = Vec::new();
    }
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

    /// A roster with one board, which is known and waits for nothing.
    fn roster() -> (tempfile::TempDir, Root, Slug, Roster) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::at(dir.path());
        let alpha: Slug = "alpha".parse().expect("a name");
        let board = root.board(&alpha);
        fs::create_dir_all(board.dir()).expect("made");
        fs::write(board.db(), "").expect("written");
        let mut roster = Roster::default();
        roster.choose(&root, PASS, None).expect("listed");
        roster.forget_invited();
        (dir, root, alpha, roster)
    }

    #[test]
    fn a_board_that_is_invited_while_it_is_written_to_has_its_turn_after_that() {
        let (_dir, root, alpha, mut roster) = roster();
        let db = root.board(&alpha).db().to_owned();
        let is_young = || SqliteStamp::of(&db).is_young();
        let invited = |roster: &mut Roster| {
            let mut choice = Choice::default();
            roster.add_invited(&root, &mut choice);
            let boards = choice.turns.into_iter();
            boards.map(|chosen| chosen.board).collect::<Vec<_>>()
        };
        roster.invite(&alpha);
        loop {
            fs::write(&db, "").expect("written");
            let boards = invited(&mut roster);
            if is_young() {
                // All of the time.
                assert!(boards.is_empty());
                break;
            }
            roster.invite(&alpha);
        }
        assert!(roster.may_have_come(&root));
        while is_young() {
            thread::yield_now();
        }
        assert_eq!(invited(&mut roster), [root.board(&alpha)]);
        assert!(invited(&mut roster).is_empty());
    }

    #[test]
    fn nothing_is_passed_over_while_somebody_is_invited() {
        let (_dir, root, alpha, mut roster) = roster();
        loop {
            roster.ask_around(&root);
            roster.know_around();
            if roster.overlook(&root, PASS).is_some() {
                break;
            }
            thread::yield_now();
        }
        roster.invite(&alpha);
        assert!(roster.overlook(&root, PASS).is_none());
    }
}
