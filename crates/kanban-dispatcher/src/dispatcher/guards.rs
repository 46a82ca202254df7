//! Which boards keep their connection: those that had a turn last.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use super::{Dispatcher, Home};
use crate::root::{Board, Slug};

/// Boards with a connection, the one that had its last turn longest ago first. What has had another turn since is passed over.
#[derive(Debug, Default)]
pub(super) struct Recency {
    line: VecDeque<(Slug, u64)>,
}

// ===== impl Recency =====

impl Recency {
    /// A board's turn is over, and it has kept its connection.
    pub(super) fn note(&mut self, slug: &Slug, turn: u64) {
        self.line.push_back((slug.clone(), turn));
    }
}

impl Dispatcher {
    /// Closes the connections that were used longest ago, as far as these boards need their places. A board without one is served all
    /// the same; that it has none is told in `status`.
    pub(super) fn make_place(&mut self, boards: &[Board]) {
        let is_without = |board: &&Board| matches!(self.states.get(board.slug()), Some(Home::In(state)) if !state.is_guarded());
        let wanted = boards.iter().filter(is_without).count();
        let open = self.site.guards.load(Ordering::Relaxed);
        let mut surplus = (open + wanted).saturating_sub(self.site.guards_max(&self.config));
        if surplus == 0 && self.recency.line.len() < 4 * (open + wanted) + 64 {
            return;
        }
        let next: HashSet<&Slug> = boards.iter().map(Board::slug).collect();
        let mut kept = VecDeque::new();
        while let Some((slug, turn)) = self.recency.line.pop_front() {
            let Some(Home::In(state)) = self.states.get_mut(&slug) else {
                continue;
            };
            if state.last_turn != turn || !state.is_guarded() {
                continue;
            }
            if surplus == 0 || next.contains(&slug) {
                kept.push_back((slug, turn));
                continue;
            }
            state.close(&self.site);
            self.roster.forget_log(&slug);
            surplus -= 1;
            self.noted.push(slug);
        }
        self.recency.line = kept;
    }
}
