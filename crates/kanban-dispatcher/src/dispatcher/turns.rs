//! The boards' turns: on the lanes, and a second one for those that could use what others left.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::roster::Chosen;
use super::{Dispatcher, Home};
use crate::report::BoardReport;
use crate::root::{Board, Slug};
use crate::strain::Allowed;
use crate::tick::state::BoardState;
use crate::tick::{Tick, cautious, panicked, tick_board};

impl Dispatcher {
    /// What came of these boards' turns, in no order.
    pub(super) fn tick_boards(&mut self, chosen: Vec<Chosen>, is_early: bool) -> Vec<BoardReport> {
        if chosen.is_empty() {
            return Vec::new();
        }
        let boards: Vec<&Board> = chosen.iter().map(|chosen| &chosen.board).collect();
        let rooms = self.rooms(&boards, self.room());
        let has_room = |slug: &Slug| rooms.get(slug).is_some_and(|room| *room > 0);
        let boards: Vec<Board> = chosen
            .into_iter()
            .filter(|chosen| !chosen.only_waits || has_room(chosen.board.slug()))
            .map(|chosen| chosen.board)
            .collect();
        self.make_place(&boards);
        let strain = &self.site.strain;
        let is_trial = strain.allows(self.site.clock.monotonic()) == Allowed::One;
        let mut reports = self.take_turns(&boards, is_early, &rooms, false);
        // Places that were given to boards that did not need them go to those that do.
        let mut leftover = self.leftover(&reports);
        if is_trial && reports.iter().any(|report| !report.started.is_empty()) {
            // One was to show whether the machine can start any; the others follow in the next tick.
            leftover.clear();
        }
        if !leftover.is_empty() {
            let has_room = |board: &&Board| leftover.contains_key(board.slug());
            let again: Vec<Board> = boards.iter().filter(has_room).cloned().collect();
            for later in self.take_turns(&again, is_early, &leftover, true) {
                if let Some(report) = reports.iter_mut().find(|it| it.slug == later.slug) {
                    report.then(later);
                }
            }
        }
        // One of each: turns of earlier ticks may have come back as well, of any board.
        let mut out: HashSet<&Slug> = boards.iter().map(Board::slug).collect();
        reports.retain(|report| out.remove(&report.slug));
        let hung = boards.iter().filter(|board| out.contains(board.slug()));
        let hung: Vec<BoardReport> = hung.map(|board| self.hung(board)).collect();
        reports.extend(hung);
        reports
    }

    /// One turn for each of these boards, on the lanes; perhaps a second one in this tick. Those that hang are missing.
    fn take_turns(
        &mut self,
        boards: &[Board],
        is_early: bool,
        rooms: &HashMap<Slug, usize>,
        is_second: bool,
    ) -> Vec<BoardReport> {
        if boards.is_empty() {
            return Vec::new();
        }
        let (site, config) = (Arc::clone(&self.site), Arc::clone(&self.config));
        let mut tick = Tick::new(site, config, self.wake.clone(), is_early);
        tick.pauses = Arc::clone(&self.pauses);
        tick.number = self.ticks + u64::from(!is_early);
        if !is_second {
            tick.share_checks(self.roster.len());
        }
        let tick = Arc::new(tick);
        self.meet(boards, &tick);
        let were_out = self.out.clone();
        // Another board is first each time, so that one that hangs does not always hold up the same ones.
        let first = self.turns % boards.len();
        for board in boards[first..].iter().chain(&boards[..first]) {
            let Some(home) = self.states.get_mut(board.slug()) else {
                continue;
            };
            let Home::In(state) = home else {
                continue;
            };
            let room = rooms.get(board.slug()).copied().unwrap_or_default();
            let out = Home::Out {
                since: tick.now,
                last_known: Box::new(state.last_known.clone()),
                room,
                is_released: false,
                is_told: false,
            };
            let Home::In(mut state) = std::mem::replace(home, out) else {
                continue;
            };
            self.out.insert(board.slug().clone());
            let tick = Arc::clone(&tick);
            self.lanes.submit(move || {
                state.room = room;
                if !is_second {
                    state.begin_tick(is_early);
                }
                let report = catch_unwind(AssertUnwindSafe(|| tick_board(&tick, &mut state)))
                    .unwrap_or_else(|payload| panicked(&tick, &mut state, &text(&*payload)));
                state.settle();
                (state, report)
            });
        }
        let done = self.lanes.finish(self.config.board_deadline_seconds);
        let served = self.turns as u64 + 1;
        done.into_iter()
            .map(|(mut state, report)| {
                let slug = report.slug.clone();
                if !report.started.is_empty() {
                    state.last_served = served;
                }
                self.come_home(&slug, state);
                if were_out.contains(&slug) {
                    // An earlier tick's turn: it knows nothing of what has happened since.
                    self.roster.wake(&slug);
                }
                report
            })
            .collect()
    }

    /// Boards that are seen for the first time begin as an earlier dispatcher left them.
    fn meet(&mut self, boards: &[Board], tick: &Tick) {
        let is_new = |board: &&Board| !self.states.contains_key(board.slug());
        let new: Vec<Board> = boards.iter().filter(is_new).cloned().collect();
        if new.is_empty() {
            return;
        }
        let mut breakers = self.site.ledger.breakers(&self.site.root);
        for board in new {
            let slug = board.slug().clone();
            let mut state = BoardState::new(board);
            if let Some(row) = breakers.remove(&slug) {
                state.caution.resume(cautious::rest(tick, row));
            }
            self.settle_in(slug, Box::new(state));
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
