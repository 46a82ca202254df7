//! The limit over all boards: how many workers may start in this tick, and on which boards.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Dispatcher, Home};
use crate::report::{BoardReport, Outcome};
use crate::root::{Board, Slug};
use crate::share::{Asking, share};
use crate::strain::Allowed;
use crate::view::HeldReason;

impl Dispatcher {
    /// Places for these boards, before any of them has its turn: so what a board gets depends on no lane's speed.
    ///
    /// What a board wants is known from its last turn, unless its files have changed since: then it may want anything. What nobody is
    /// known to want is shared among all, because a rest may be over or a worker may have failed.
    pub(super) fn rooms(&self, boards: &[&Board], room: usize) -> HashMap<Slug, usize> {
        let asking: Vec<Asking> = boards.iter().map(|board| self.asking(board)).collect();
        let mut places = share(room, &asking);
        let left = room - places.iter().sum::<usize>();
        let anything = asking.iter().map(|board| Asking {
            wants: usize::MAX,
            ..*board
        });
        for (place, more) in places
            .iter_mut()
            .zip(share(left, &anything.collect::<Vec<_>>()))
        {
            *place += more;
        }
        boards
            .iter()
            .map(|board| board.slug().clone())
            .zip(places)
            .collect()
    }

    /// What is left when every board had its turn, for the boards that could use it; none if nothing is left or nobody could. A board
    /// that has failed has had its turn.
    pub(super) fn leftover(&self, reports: &[BoardReport]) -> HashMap<Slug, usize> {
        let mut waiting: Vec<(&Slug, usize)> = reports
            .iter()
            .filter(|report| report.outcome == Outcome::Ticked)
            .map(|report| (&report.slug, host_capped(report)))
            .filter(|(_, wants)| *wants > 0)
            .collect();
        waiting.sort();
        let asking: Vec<Asking> = waiting
            .iter()
            .map(|(slug, wants)| Asking {
                wants: *wants,
                last_served: self.last_served(slug),
            })
            .collect();
        let places = share(self.room(), &asking);
        waiting
            .into_iter()
            .map(|(slug, _)| slug.clone())
            .zip(places)
            .filter(|(_, places)| *places > 0)
            .collect()
    }

    /// How many more workers may live. A turn that has not come back may still start what it was given.
    pub(super) fn room(&self) -> usize {
        let promised: usize = self
            .out
            .iter()
            .map(|slug| match self.states.get(slug) {
                Some(Home::Out { room, .. }) => *room,
                Some(Home::In(_)) | None => 0,
            })
            .sum();
        let room = self
            .config
            .workers_max
            .get()
            .saturating_sub(self.site.workers.alive())
            .saturating_sub(promised);
        match self.site.strain.allows(self.site.clock.monotonic()) {
            Allowed::One => room.min(1),
            Allowed::All | Allowed::None(_) => room,
        }
    }

    /// Boards whose files have changed since their last turn.
    pub(super) fn changed(&self) -> HashSet<Slug> {
        self.states
            .iter()
            .filter_map(|(slug, home)| match home {
                Home::In(state) if state.has_changed() => Some(slug.clone()),
                Home::In(_) | Home::Out { .. } => None,
            })
            .collect()
    }

    /// The boards whose rest is over since `looked`: one task is to be tried there.
    pub(super) fn due(&self, looked: Duration, now: Duration) -> HashSet<Slug> {
        let rests = self.rests();
        rests
            .filter(|(_, until)| looked < *until && *until <= now)
            .map(|(slug, _)| slug.clone())
            .collect()
    }

    /// When the next rest is over.
    pub(super) fn next_due(&self, looked: Duration) -> Option<Duration> {
        let rests = self.rests().map(|(_, until)| until);
        rests.filter(|until| looked < *until).min()
    }

    fn rests(&self) -> impl Iterator<Item = (&Slug, Duration)> {
        let resting = self.resting.iter();
        resting.filter_map(|slug| match self.states.get(slug)? {
            Home::In(state) => Some((slug, state.caution.rest()?.until)),
            Home::Out { .. } => None,
        })
    }

    fn asking(&self, board: &Board) -> Asking {
        let wants = match self.states.get(board.slug()) {
            Some(Home::In(state)) if !state.has_changed() => state.waits as usize,
            // Its turn is under way elsewhere: there is none now.
            Some(Home::Out { .. }) => 0,
            Some(Home::In(_)) | None => usize::MAX,
        };
        Asking {
            wants,
            last_served: self.last_served(board.slug()),
        }
    }

    fn last_served(&self, slug: &Slug) -> u64 {
        match self.states.get(slug) {
            Some(Home::In(state)) => state.last_served,
            Some(Home::Out { .. }) | None => 0,
        }
    }
}

fn host_capped(report: &BoardReport) -> usize {
    report
        .held
        .get(&HeldReason::HostCap)
        .map_or(0, |count| *count as usize)
}
