//! What an error is, and what it leads to.

use error_classify::{Class, Classifier, PathFacts, Remedy, Rule, Verdict};
use fingerprint_quarantine::{Backoff, Hold};

use crate::config;
use crate::error::Error;
use crate::report::BoardFailure;
use crate::root::Board;

static CLASSIFIER: Classifier<1> = Classifier::new([Rule::of::<Error>("kanban/schema")]);

/// Every hold is a little shorter than it says, so that boards that broke together are not all probed together.
const JITTER_PERCENT: u8 = 10;

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
pub(super) fn is_held(class: Class) -> bool {
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
