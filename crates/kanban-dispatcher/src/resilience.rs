//! The four policies in one place, and what each class of failure leads to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use error_classify::{Class, Classifier, PathFacts, Remedy, Rule, Verdict};
use fingerprint_quarantine::{Backoff, Hold, Quarantine, SqliteStamp};
use keyed_log_throttle::{ClassId, LogThrottle, Pending};
use once_per_key_repair::RepairGate;

use crate::advice::advice;
use crate::board::RepairKey;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::error::Error;
use crate::report::BoardFailure;
use crate::root::{Board, Slug};
use crate::usage::LogCounts;

static CLASSIFIER: Classifier<1> = Classifier::new([Rule::of::<Error>("kanban/schema")]);

/// Every hold is a little shorter than it says, so that boards that broke together are not all probed together.
const JITTER_PERCENT: u8 = 10;

/// The policies. They decide; `tick.rs` acts.
#[derive(Debug)]
pub(crate) struct Resilience {
    pub(crate) gate: RepairGate<RepairKey>,
    pub(crate) quarantine: Quarantine<Slug, SqliteStamp, Clock>,
    throttle: LogThrottle<Slug, Clock>,
    /// What is told of a board that works, by board and text: starts that fail, rests, risks.
    starts: LogThrottle<(Slug, String), Clock>,
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Once more in this tick, over a new connection.
    Reopen,
    /// One repair, if the gate allows it, and once more in this tick.
    Repair,
    /// Left alone until the files change or the timer fires.
    Hold,
    /// The next tick tries again.
    Leave,
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

    /// A board failed: one line per board and cause in each window, with the number held back since the last one.
    pub(crate) fn log_failure(&self, board: &Board, failure: &BoardFailure, next: Next) {
        let Some(line) = self.throttle.check(board.slug(), cause(failure)) else {
            return;
        };
        let (class, code) = (failure.class.as_str(), failure.code);
        let db = board.db().display();
        let BoardFailure {
            reason, missing, ..
        } = failure;
        let missing = missing.as_deref();
        let suppressed = line.suppressed;
        // "(+12 in 60s)", or nothing.
        let line = line.to_string();
        let line = if line.is_empty() {
            line
        } else {
            format!(" {line}")
        };
        match next {
            Next::Hold { retry_in } => {
                let retry_seconds = retry_in.map(|wait| wait.as_secs());
                let (slug, advice) = (board.slug(), advice(failure));
                tracing::error!(
                    board = %slug, class, code, missing, %db, retry_seconds, suppressed,
                    "board held: {reason}; it is left alone until its file changes: {advice}; \
                     `kanban release {slug}` if the cause was elsewhere{line}"
                );
            }
            Next::Tick => {
                tracing::warn!(
                    board = %board.slug(), class, code, missing, %db, suppressed,
                    "board failed: {reason}; the next tick tries again{line}"
                );
            }
        }
    }

    /// A worker could not be started: one line per board and cause in each window.
    pub(crate) fn log_start(&self, slug: &Slug, task: &str, error: &io::Error) {
        let key = (slug.clone(), error.to_string().replace(task, "TASK"));
        let Some(line) = self.starts.check(&key, ClassId::default()) else {
            return;
        };
        let suppressed = line.suppressed;
        let line = line.to_string();
        let space = if line.is_empty() { "" } else { " " };
        tracing::warn!(
            board = %slug, %task, %error, suppressed, "worker could not be started{space}{line}"
        );
    }

    /// A board rests, because its workers die at their start.
    pub(crate) fn log_rest(&self, slug: &Slug, reason: &str, wait: Duration) {
        let key = (slug.clone(), format!("board rests: {reason}"));
        let Some(line) = self.starts.check(&key, ClassId::default()) else {
            return;
        };
        let (suppressed, retry_seconds) = (line.suppressed, wait.as_secs());
        let line = line.to_string();
        let space = if line.is_empty() { "" } else { " " };
        tracing::warn!(
            board = %slug, retry_seconds, suppressed,
            "board rests: {reason}; one task is tried then{space}{line}"
        );
    }

    /// Another program endangers a board's content.
    pub(crate) fn log_risk(&self, slug: &Slug, risk: &str) {
        let key = (slug.clone(), risk.to_owned());
        if let Some(line) = self.starts.check(&key, ClassId::default()) {
            let suppressed = line.suppressed;
            let line = line.to_string();
            let space = if line.is_empty() { "" } else { " " };
            tracing::warn!(board = %slug, suppressed, "board is at risk: {risk}{space}{line}");
        }
    }

    /// A board works: one line if it did not before.
    pub(crate) fn log_success(&self, slug: &Slug, was_held: bool) {
        let Some(recovery) = self.throttle.recovered(slug) else {
            if was_held {
                tracing::info!(board = %slug, "board works again");
            }
            return;
        };
        tracing::info!(
            board = %slug, failures = recovery.failures, suppressed = recovery.suppressed,
            lasted_seconds = recovery.lasted.as_secs(), "board works again: {recovery}"
        );
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

    /// Tells the counts of windows that ended in silence.
    pub(crate) fn sweep(&self) {
        self.throttle.sweep(log_pending);
        self.starts.sweep(log_pending_start);
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

/// When a failed board is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Tick,
    Hold { retry_in: Option<Duration> },
}

/// How many bits of a cause are its class.
const CLASS_BITS: u32 = 6;
const _: () = assert!(Class::ALL.len() <= 1 << CLASS_BITS);

/// What failures are the same in the log: class, SQLite's code, and what is missing. Never the text, which may hold a path, a pid, a
/// number that is new each time.
fn cause(failure: &BoardFailure) -> ClassId {
    let mut hasher = DefaultHasher::new();
    (failure.code, &failure.missing).hash(&mut hasher);
    let detail = (hasher.finish() as u16) << CLASS_BITS;
    ClassId::new(detail | failure.class.index())
}

fn class_of(cause: ClassId) -> Class {
    let index = usize::from(cause.get()) % (1 << CLASS_BITS);
    Class::ALL.get(index).copied().unwrap_or(Class::Unknown)
}

fn log_pending(slug: &Slug, class: ClassId, pending: Pending) {
    let class = class_of(class);
    let suppressed = pending.suppressed;
    if is_held(class) {
        tracing::error!(board = %slug, class = class.as_str(), suppressed, "more of the same: {pending}");
    } else {
        tracing::warn!(board = %slug, class = class.as_str(), suppressed, "more of the same: {pending}");
    }
}

fn log_pending_start((slug, error): &(Slug, String), _: ClassId, pending: Pending) {
    let suppressed = pending.suppressed;
    tracing::warn!(board = %slug, error, suppressed, "more of the same: {pending}");
}

/// What an error on a board is, with what the file system says about its files.
pub(crate) fn classify<'e>(board: &Board, error: &'e Error) -> Verdict<'e> {
    let verdict = CLASSIFIER.classify(error);
    match verdict.class() {
        // The only classes for which the file system knows more; every other error costs no look at it.
        Class::CannotOpen | Class::SchemaDrift | Class::ReadOnly => {
            PathFacts::of(board.db()).refine(verdict)
        }
        _ => verdict,
    }
}

/// What a verdict leads to.
pub(crate) fn reaction(verdict: &Verdict<'_>) -> Reaction {
    match (verdict.class(), verdict.remedy()) {
        (class, _) if is_held(class) && class != Class::SchemaDrift => Reaction::Hold,
        (_, Remedy::Repair) => Reaction::Repair,
        (Class::SchemaDrift, _) => Reaction::Hold,
        (_, Remedy::RestartTxn | Remedy::Reopen) => Reaction::Reopen,
        _ => Reaction::Leave,
    }
}

/// Classes that nothing but a change of the file ends.
fn is_held(class: Class) -> bool {
    matches!(
        class,
        Class::Corrupt | Class::Emptied | Class::SchemaDrift | Class::Unsupported
    )
}

/// Classes in which something outside of the board stops an attempt that may succeed as soon as it is gone.
pub(crate) fn is_in_the_way(class: Class) -> bool {
    matches!(
        class,
        Class::Busy
            | Class::Stale
            | Class::DiskFull
            | Class::Io
            | Class::Permission
            | Class::ReadOnly
            | Class::Missing
            | Class::Exhausted
            | Class::Interrupted
            | Class::CannotOpen
            | Class::Disconnected
    )
}

/// How long a held board is left alone.
pub(crate) fn hold(config: &config::Quarantine) -> Hold {
    let backoff = Backoff::new(config.first_retry_seconds, config.max_retry_seconds);
    Hold::until_changed().or_retry(backoff.with_jitter(JITTER_PERCENT))
}

/// A verdict and its error as the report tells them.
pub(crate) fn failure(error: &Error, verdict: &Verdict<'_>) -> BoardFailure {
    BoardFailure {
        class: verdict.class(),
        remedy: verdict.remedy(),
        code: verdict.code(),
        reason: error.chain(),
        missing: verdict.missing().map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests;
