//! One pass: who has a turn, the turns, and what is told of them.

use std::collections::HashSet;
use std::time::Duration;

use super::roster::{Choice, Pass};
use super::{Dispatcher, Home, told};
use crate::error::{Error, ErrorKind};
use crate::report::{BoardReport, StandbyReason, TickReport};
use crate::root::Slug;
use crate::tick::outcome;
use crate::view::HeldReason;

impl Dispatcher {
    /// A pass over all boards, or the turns of some.
    pub(super) fn tick_some(&mut self, only: Option<&HashSet<Slug>>) -> TickReport {
        // Also while standing by: ends are noticed, stops go on.
        self.note_ends();
        self.roster.hear();
        let choice = match self.overlook(only) {
            Some(choice) if choice.turns.is_empty() => Ok(choice),
            looked => self.ask_all(only, looked),
        };
        let choice = match choice {
            Ok(choice) => choice,
            Err((reason, error)) => return self.stand_by(reason, &error),
        };
        let chosen = choice.turns.len();
        let mut reports = self.tick_boards(choice.turns, only.is_some());
        // Those for which there was no place after all.
        let waiting = chosen - reports.len();
        self.noted.extend(self.site.resilience.sweep());
        for report in &reports {
            if report.held.contains_key(&HeldReason::HostCap) {
                self.wanting.insert(report.slug.clone());
            } else {
                self.wanting.remove(&report.slug);
            }
        }
        if only.is_none() {
            self.look_for_risks();
            self.ticks += 1;
            tracing::debug!(tick = self.ticks, "pass over all boards ended");
        }
        self.turns += 1;
        self.publish(&reports, told::SERVING, only.is_none());
        let held = choice.held.into_iter();
        reports.extend(held.filter_map(|(slug, retry_in)| self.held(&slug, retry_in)));
        // In the order of discovery, whichever lane was first.
        reports.sort_by_key(|report| self.roster.place(&report.slug));
        TickReport {
            standby: None,
            boards: reports,
            quiet: choice.quiet + waiting,
        }
    }

    /// What there is to do, if all that a turn depends on beside its board is as it was when it was asked last; `None`: it is to be asked.
    fn overlook(&mut self, only: Option<&HashSet<Slug>>) -> Option<Choice> {
        // Of a turn that comes back late nobody tells.
        let is_led = self.lock.is_some() && self.lanes.are_all_in();
        if !is_led || self.surroundings.is_step(&self.site.clock) {
            return None;
        }
        let pass = self.pass(only);
        self.roster.overlook(&self.site.root, pass)
    }

    /// Asks for everything that a turn depends on, and which boards have one. No turn goes by what was not asked in its pass.
    fn ask_all(
        &mut self,
        only: Option<&HashSet<Slug>>,
        looked: Option<Choice>,
    ) -> Result<Choice, (StandbyReason, Error)> {
        let was_known = self.roster.ask_around(&self.site.root);
        self.lead()?;
        self.pull_levers();
        self.look_around();
        // Places that were promised to them may be free.
        self.bring_home();
        // Without the list no board may be taken for removed.
        let choice = self.choose(only, looked);
        let choice = choice.map_err(|error| (StandbyReason::BoardsUnlisted, error))?;
        self.drop_removed();
        // After a turn the ledger is written to, and all is asked anew anyway.
        let (ledger, version) = (&self.site.ledger, self.levers_at);
        let is_lull = |version| was_known || (choice.turns.is_empty() && ledger.is_lull(version));
        if version.is_some_and(is_lull) {
            self.roster.know_around();
        }
        Ok(choice)
    }

    /// The boards whose workers have ended: they need a turn, now or as soon as they can have one.
    pub(super) fn note_ends(&mut self) -> HashSet<Slug> {
        let news = self.site.workers.poll(self.site.clock.monotonic());
        for slug in &news {
            self.roster.wake(slug);
        }
        news
    }

    fn pass<'a>(&self, only: Option<&'a HashSet<Slug>>) -> Pass<'a> {
        Pass {
            unix: self.site.clock.unix(),
            monotonic: self.site.clock.monotonic(),
            has_room: self.room() > 0,
            // The first pass after the ledger was made anew tells of every board.
            is_full: !self.config.skip_quiet_boards || (only.is_none() && !self.told.has_all()),
            only,
        }
    }

    /// Which boards have a turn.
    fn choose(
        &mut self,
        only: Option<&HashSet<Slug>>,
        looked: Option<Choice>,
    ) -> Result<Choice, Error> {
        let pass = self.pass(only);
        // One tick alone has nothing of it.
        let is_wanted = self.config.watch && (self.is_running || self.ticks > 0);
        self.roster.watch(&self.wake, is_wanted);
        let mut choice = self.roster.choose(&self.site.root, pass, looked)?;
        match only {
            // At the end only what ends is looked at.
            Some(_) if self.wake.is_stopped() => {}
            Some(_) => self
                .roster
                .add_called(&self.site.root, &mut choice, pass.monotonic),
            None => self.roster.calls.forget(),
        }
        if self.lost_boards_dir() {
            let dir = self.site.root.boards_dir();
            let what = format!("list the boards in {}: it is gone", dir.display());
            return Err(Error::new(ErrorKind::NotFound, what));
        }
        Ok(choice)
    }

    /// What there is to say of a board that is on hold, and was not even asked whether it still is.
    fn held(&self, slug: &Slug, retry_in: Option<Duration>) -> Option<BoardReport> {
        match self.states.get(slug)? {
            Home::In(state) => Some(outcome::held_report(state, retry_in)),
            Home::Out { .. } => None,
        }
    }

    /// Boards are removed one by one; their whole directory goes away by a move or an unmount, and comes back.
    fn lost_boards_dir(&self) -> bool {
        self.states.keys().any(|slug| !slug.is_default()) && !self.roster.has_dir()
    }
}
