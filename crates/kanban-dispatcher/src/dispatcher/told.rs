//! What `status` is told of the turns, by the ledger.

use super::{Dispatcher, Home, lead};
use crate::ledger::Clocks;
use crate::ledger::publish::{self, Lines, Marks};
use crate::report::BoardReport;
use crate::tick::state::LastKnown;

impl Dispatcher {
    /// Tells `status` of these boards' turns; after a whole pass, of all boards there are.
    pub(super) fn publish(&mut self, reports: &[BoardReport], state: &str, is_pass: bool) {
        let unknown = LastKnown::default();
        let rows: Vec<_> = reports
            .iter()
            .map(|report| {
                let (state, last_known) = match self.states.get(&report.slug) {
                    Some(Home::In(state)) => (Some(&**state), &state.last_known),
                    Some(Home::Out { last_known, .. }) => (None, last_known),
                    None => (None, &unknown),
                };
                let is_quiet = state.is_some() && self.roster.is_quiet(&report.slug);
                publish::board_row(&self.site, report, (state, is_quiet), last_known)
            })
            .collect();
        let dispatcher = publish::dispatcher_row(
            &self.site,
            state,
            (self.started_at, self.ticks),
            self.config.dispatch_interval_seconds,
            self.usage,
        );
        let clocks = Clocks::now(&self.site.clock);
        let marks: Vec<Marks<'_>> = self.marks().collect();
        let lines = Lines {
            rows: &rows,
            gone: &self.gone,
            marks: &marks,
            are_all: !self.has_published && is_pass && self.site.root.only().is_none(),
        };
        let result = self.site.ledger.publish(&dispatcher, &lines, clocks);
        if matches!(result, Some(Ok(()))) {
            self.has_published |= is_pass;
            self.gone.clear();
            self.noted.clear();
        } else {
            // What it lacks is told by a turn of every board.
            self.has_published = false;
            self.roster.wake_all();
        }
        match result {
            Some(Ok(())) => self.ledger_works(),
            Some(Err(error)) => self.ledger_failed(&error.to_string(), lead::NO_START),
            // It has failed since the tick began.
            None if self.site.ledger.is_needed() => {
                self.ledger_failed(&self.site.ledger.trouble(), lead::NO_START);
            }
            // Told when it could not be opened.
            None => {}
        }
    }

    /// What was noted without a turn.
    fn marks(&self) -> impl Iterator<Item = Marks<'_>> {
        self.noted
            .iter()
            .filter_map(|slug| match self.states.get(slug)? {
                Home::In(state) => Some(Marks {
                    slug,
                    guarded: state.is_guarded(),
                    risk: state.risk.as_deref(),
                }),
                Home::Out { .. } => None,
            })
    }
}
