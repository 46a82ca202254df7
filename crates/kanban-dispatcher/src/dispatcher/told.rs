//! What `status` is told of the turns, by the ledger; and by a sign of life alone where there was none.

use std::time::Duration;

use super::{Dispatcher, Home, lead};
use crate::ledger::publish::{self, Lines, Marks};
use crate::ledger::{Beat, Clocks, Pulse};
use crate::report::BoardReport;
use crate::tick::state::LastKnown;

/// The ledger is written to this often, whether there is news or not: what the process uses is in it, and that it can be written.
const TELL_EVERY: Duration = Duration::from_secs(600);

/// A sign of life this soon after the last one would tell nobody anything.
const BEATS_APART: Duration = Duration::from_millis(20);

/// What the process uses is looked at by a pass this long after the last look: the kernel counts for as long as a claim takes.
const LOOKS_APART: Duration = Duration::from_secs(1);

/// The state of a dispatcher that ticks, in the ledger.
pub(super) const SERVING: &str = "serving";

/// What the ledger has of this dispatcher.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its lines about the boards are this dispatcher's own.
    has_all: bool,
    /// When it was last written (monotonic), and the interval in it.
    last: Option<(Duration, Duration)>,
    /// Where signs of life go: open from the first one after each word to the ledger.
    pulse: Option<Pulse>,
    /// When the last one went there (monotonic).
    beaten: Duration,
    /// When it was last looked at what the process uses (monotonic).
    looked: Option<Duration>,
}

// ===== impl Told =====

impl Told {
    pub(super) fn has_all(&self) -> bool {
        self.has_all
    }

    /// The ledger is another one, or lacks something.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Somebody else has written to it.
    pub(super) fn doubt(&mut self) {
        self.last = None;
    }

    /// Whether all that it has is still so.
    fn is_recent(&self, now: Duration, interval: Duration) -> bool {
        self.has_all
            && self
                .last
                .is_some_and(|(at, told)| told == interval && now.saturating_sub(at) < TELL_EVERY)
    }
}

impl Dispatcher {
    /// Tells `status` of these boards' turns; after a whole pass, of all boards there are.
    pub(super) fn publish(&mut self, reports: &[BoardReport], state: &str, is_pass: bool) {
        let now = self.site.clock.monotonic();
        let interval = self.config.dispatch_interval_seconds;
        let is_news = !(reports.is_empty() && self.gone.is_empty() && self.noted.is_empty());
        if state == SERVING
            && !is_news
            && self.told.is_recent(now, interval)
            && self.beat(is_pass, now)
        {
            return;
        }
        let is_long_ago = |at| now.saturating_sub(at) >= LOOKS_APART;
        if is_pass && self.told.looked.is_none_or(is_long_ago) {
            self.usage.look();
            self.told.looked = Some(now);
        }
        self.usage.log = self.site.resilience.log_counts();
        let unknown = LastKnown::default();
        // One after the other: a first pass over many boards has many.
        let rows = reports.iter().map(|report| {
            let (state, last_known) = match self.states.get(&report.slug) {
                Some(Home::In(state)) => (Some(&**state), &state.last_known),
                Some(Home::Out { last_known, .. }) => (None, &**last_known),
                None => (None, &unknown),
            };
            let is_quiet = state.is_some() && self.roster.is_quiet(&report.slug);
            publish::board_row(&self.site, report, (state, is_quiet), last_known)
        });
        let dispatcher = publish::dispatcher_row(
            &self.site,
            state,
            (self.started_at, self.ticks),
            interval,
            self.usage,
        );
        let clocks = Clocks::now(&self.site.clock);
        let marks: Vec<Marks<'_>> = self.marks().collect();
        let lines = Lines {
            gone: &self.gone,
            marks: &marks,
            are_all: !self.told.has_all && is_pass && self.site.root.only().is_none(),
        };
        let result = self.site.ledger.publish(&dispatcher, &lines, rows, clocks);
        if matches!(result, Some(Ok(()))) {
            self.told.has_all |= is_pass;
            self.told.last = Some((now, interval));
            // Opened anew with the next one: the file may have been moved away.
            self.told.pulse = None;
            self.gone.clear();
            self.noted.clear();
        } else {
            // What it lacks is told by the next pass, in which every board has a turn.
            self.told.forget();
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

    /// A sign of life, of a pass without a turn; whether that is enough.
    fn beat(&mut self, is_pass: bool, now: Duration) -> bool {
        let is_soon = now.saturating_sub(self.told.beaten) < BEATS_APART;
        if !is_pass || (self.told.pulse.is_some() && is_soon) {
            return true;
        }
        let beat = Beat {
            identity: self.site.identity,
            started_at: self.started_at,
            at: self.site.clock.unix(),
            ticks: self.ticks,
        };
        self.told.beaten = now;
        if self.told.pulse.is_none() {
            self.told.pulse = Pulse::open(&self.site.root).ok();
        }
        let pulse = self.told.pulse.take();
        self.told.pulse = pulse.filter(|pulse| pulse.beat(&beat).is_ok());
        self.told.pulse.is_some()
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
                    suppressed: self.site.resilience.suppressed(slug),
                }),
                Home::Out { .. } => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::tick::outcome;
    use crate::{Clock, Config, Root, Slug, Status, Store};

    #[test]
    fn what_was_held_back_and_is_told_without_a_turn_is_no_longer_in_the_status()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (root, clock) = (Root::at(dir.path()), Clock::manual(1_700_000_000));
        let board = root.board(&Slug::default());
        Store::init(&board, &clock)?;
        let mut dispatcher = Dispatcher::builder(root.clone(), Config::default())
            .clock(clock.clone())
            .build();
        while !dispatcher.tick().boards.is_empty() {
            thread::yield_now();
        }
        for _ in 0..2 {
            outcome::hung(&dispatcher.site, &board, 0);
        }
        let resilience = &dispatcher.site.resilience;
        assert_eq!(resilience.suppressed(board.slug()), 1);
        dispatcher.noted.push(board.slug().clone());
        dispatcher.tick();
        let suppressed = || -> Result<u64, crate::Error> {
            let status = Status::read(&root, &clock)?;
            Ok(status.boards.first().map_or(0, |board| board.suppressed))
        };
        assert_eq!(suppressed()?, 1);
        clock.advance(Duration::from_secs(61));
        assert!(dispatcher.tick().boards.is_empty());
        assert_eq!(suppressed()?, 0);
        Ok(())
    }
}
