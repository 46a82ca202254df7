//! The four policies in one place, and what each class of failure leads to.

mod handles;
mod lines;
mod reaction;

use fingerprint_quarantine::{Quarantine, SqliteStamp};
use keyed_log_throttle::LogThrottle;
use once_per_key_repair::RepairGate;

use crate::board::RepairKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::root::Slug;
use crate::usage::LogCounts;

pub(crate) use self::handles::Handles;
pub(crate) use self::lines::Next;
use self::lines::{log_pending, log_pending_start};
pub(crate) use self::reaction::{Reaction, classify, failure, hold, is_in_the_way, reaction};

/// The policies. They decide; `tick/` acts.
#[derive(Debug)]
pub(crate) struct Resilience {
    pub(crate) gate: RepairGate<RepairKey>,
    pub(crate) quarantine: Quarantine<Slug, SqliteStamp, Clock>,
    throttle: LogThrottle<Slug, Clock>,
    /// What is told of a board that works, by board and text: starts that fail, rests, risks.
    starts: LogThrottle<(Slug, String), Clock>,
}

// ===== impl Resilience =====

impl Resilience {
    pub(crate) fn new(config: &Config, clock: &Clock) -> Self {
        let throttle = LogThrottle::<Slug>::builder()
            .window(config.throttle.window_seconds)
            .capacity(config.throttle.keys_max.get())
            .clock(clock.clone())
            .build();
        let starts = LogThrottle::<(Slug, String)>::builder()
            .window(config.throttle.window_seconds)
            .capacity(config.throttle.keys_max.get())
            .clock(clock.clone())
            .build();
        Self {
            starts,
            gate: RepairGate::new(),
            quarantine: Quarantine::with_clock(clock.clone()),
            throttle,
        }
    }

    /// Failures of this board that no line has told yet.
    pub(crate) fn suppressed(&self, slug: &Slug) -> u64 {
        self.throttle.pending(slug)
    }

    /// What the failures came to in the log, for `status`.
    pub(crate) fn log_counts(&self) -> LogCounts {
        LogCounts::new(&self.throttle.totals(), self.throttle.len())
    }

    pub(crate) fn totals(&self) -> keyed_log_throttle::Totals {
        self.throttle.totals()
    }

    /// Tells the counts of windows that ended in silence; of which boards' failures.
    pub(crate) fn sweep(&self) -> Vec<Slug> {
        let mut told = Vec::new();
        self.throttle.sweep(|slug, class, pending| {
            log_pending(slug, class, pending);
            told.push(slug.clone());
        });
        self.starts.sweep(log_pending_start);
        told
    }

    /// Tells every outstanding count; the dispatcher ends.
    pub(crate) fn drain(&self) {
        self.throttle.drain(log_pending);
        self.starts.drain(log_pending_start);
    }

    /// A board is gone: so is everything that was kept about it.
    pub(crate) fn forget(&self, slug: &Slug) {
        if let Some(end) = self.throttle.forget(slug).filter(|end| end.suppressed > 0) {
            let suppressed = end.suppressed;
            tracing::info!(board = %slug, suppressed, "board was removed: {end}");
        }
        self.quarantine.forget(slug);
        self.gate.retain(|key| key.slug != *slug);
    }
}
