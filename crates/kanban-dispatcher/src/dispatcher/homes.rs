//! Where the boards' states are: here, on a lane that has not come back, or gone with their board.

use super::Dispatcher;
use crate::report::BoardReport;
use crate::root::{Board, Slug};
use crate::tick::outcome;
use crate::tick::state::{BoardState, LastKnown};

/// Where a board's state is.
#[derive(Debug)]
pub(super) enum Home {
    In(Box<BoardState>),
    /// A lane has it, since this instant (unix seconds); what was known before.
    Out {
        since: i64,
        last_known: Box<LastKnown>,
        /// Places for workers that it may still use.
        room: usize,
        /// An operator has released it meanwhile.
        is_released: bool,
        /// That it has not come back has been told.
        is_told: bool,
    },
}

impl Dispatcher {
    /// A board whose turn has not come back within its deadline; the others do not wait for it.
    pub(super) fn hung(&mut self, board: &Board) -> BoardReport {
        let since = match self.states.get_mut(board.slug()) {
            Some(Home::Out { since, is_told, .. }) => {
                *is_told = true;
                *since
            }
            _ => self.site.clock.unix(),
        };
        outcome::hung(&self.site, board, since)
    }

    /// Takes back the states of boards whose earlier turn was given up on.
    pub(super) fn bring_home(&mut self) {
        for (state, report) in self.lanes.late() {
            self.come_home(&report.slug, state);
            // What is told of it is that it hangs.
            self.roster.wake(&report.slug);
        }
    }

    pub(super) fn come_home(&mut self, slug: &Slug, mut state: Box<BoardState>) {
        let Some(&Home::Out {
            is_released,
            is_told,
            ..
        }) = self.states.get(slug)
        else {
            // Removed meanwhile, or removed and made anew.
            return state.close(&self.site);
        };
        if is_released {
            state.release();
            self.site.ledger.keep_breaker(&self.site.root, slug, None);
        }
        if is_told {
            // So that its next turn tells that it works.
            state.handles(&self.site.resilience);
        }
        self.out.remove(slug);
        state.last_turn = self.turns as u64 + 1;
        if state.is_guarded() {
            self.recency.note(slug, state.last_turn);
        }
        let now = self.site.clock.monotonic();
        let quiet = state.quiet.take().map(|quiet| *quiet);
        self.roster.settle(slug, quiet, now);
        if state.has_missed() {
            self.roster.hint(slug);
        }
        self.settle_in(slug.clone(), state);
    }

    pub(super) fn settle_in(&mut self, slug: Slug, state: Box<BoardState>) {
        match state.caution.rest() {
            Some(_) => self.resting.insert(slug.clone()),
            None => self.resting.remove(&slug),
        };
        self.states.insert(slug, Home::In(state));
    }

    /// A removed board takes everything that was kept about it along.
    pub(super) fn drop_removed(&mut self) {
        // Too quick to be seen: it is another board that has not earned a rest.
        let is_other = |slug: &&Slug| matches!(self.states.get(*slug), Some(Home::In(state)) if state.rests_for_another());
        let mut gone: Vec<Slug> = self.resting.iter().filter(is_other).cloned().collect();
        if self.roster.has_new_list() {
            let slugs = self.states.keys();
            gone.extend(slugs.filter(|slug| !self.roster.contains(slug)).cloned());
        }
        for slug in gone {
            if let Some(Home::In(mut state)) = self.states.remove(&slug) {
                state.close(&self.site);
            }
            self.wanting.remove(&slug);
            self.resting.remove(&slug);
            self.out.remove(&slug);
            self.roster.wake(&slug);
            self.site.resilience.forget(&slug);
            self.site.ledger.forget_board(&slug);
            tracing::info!(board = %slug, "board was removed");
            self.gone.push(slug);
        }
        // Also of boards that were removed while no dispatcher looked.
        let grace = self.config.worker.stop_grace_seconds;
        let now = self.site.clock.monotonic();
        let stopped = self
            .site
            .workers
            .stop_all(|slug| !self.roster.contains(slug), now, grace);
        if stopped > 0 {
            tracing::info!(stopped, "workers of removed boards are asked to stop");
        }
        let ended = self
            .site
            .workers
            .forget_unserved(|slug| self.roster.contains(slug), now);
        self.site.ledger.forget_workers(&ended);
    }
}
