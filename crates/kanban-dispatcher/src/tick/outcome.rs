//! How a turn ends that did not run through: told once, kept for `status`.

use error_classify::{Class, Remedy};
use fingerprint_quarantine::Held;

use super::Tick;
use super::state::BoardState;
use crate::error::{Error, ErrorKind};
use crate::report::{BoardFailure, BoardReport, Outcome};
use crate::resilience::{self, Next};

pub(super) fn absent(tick: &Tick, state: &mut BoardState) -> BoardReport {
    state.close(&tick.site);
    let mut report = BoardReport::new(state.board.slug(), Outcome::Absent);
    if state.was_seen {
        let what = format!(
            "find {}, which was there before",
            state.board.db().display()
        );
        let error = Error::new(ErrorKind::NotFound, what);
        let failure = BoardFailure {
            class: Class::Missing,
            remedy: Remedy::ExternalFix,
            code: None,
            reason: error.chain(),
            missing: None,
        };
        tick.site
            .resilience
            .log_failure(&state.board, &failure, Next::Tick);
        state.failed(tick.now, failure.clone());
        report.failure = Some(failure);
    }
    report
}

/// One line for a turn in which something happened, whatever it was.
pub(super) fn log_work(report: &BoardReport) {
    let BoardReport {
        started,
        promoted,
        reclaimed,
        failed,
        gave_up,
        stopped,
        ..
    } = report;
    let started = started.len();
    if started > 0 || promoted + reclaimed + failed + stopped > 0 {
        tracing::info!(
            board = %report.slug, started, promoted, reclaimed, failed, gave_up, stopped,
            ready = report.ready, running = report.running, "board ticked"
        );
    }
}

pub(super) fn held_report(state: &BoardState, held: &Held) -> BoardReport {
    let mut report = BoardReport::new(state.board.slug(), Outcome::Held);
    report.failure = state.failure.clone();
    report.next_retry = held.retry_in;
    report
}

/// Tells a failure, and what happens next.
pub(super) fn fail(
    tick: &Tick,
    state: &mut BoardState,
    error: &Error,
    held: Option<&Held>,
    mut report: BoardReport,
) -> BoardReport {
    let verdict = resilience::classify(&state.board, error);
    let failure = resilience::failure(error, &verdict);
    let (outcome, next) = match held {
        Some(held) => (
            Outcome::Held,
            Next::Hold {
                retry_in: held.retry_in,
            },
        ),
        None if verdict.class() == Class::Busy => (Outcome::Busy, Next::Tick),
        None => (Outcome::Failed, Next::Tick),
    };
    tick.site
        .resilience
        .log_failure(&state.board, &failure, next);
    state.failed(tick.now, failure.clone());
    report.outcome = outcome;
    report.failure = Some(failure);
    report.next_retry = held.and_then(|held| held.retry_in);
    report
}

/// A turn that panicked is a failed one; whatever it had open is closed.
pub(crate) fn panicked(tick: &Tick, state: &mut BoardState, text: &str) -> BoardReport {
    state.close(&tick.site);
    let error = Error::new(
        ErrorKind::Bug,
        format!("finish the board's turn: it panicked: {text}"),
    );
    let report = BoardReport::new(state.board.slug(), Outcome::Failed);
    fail(tick, state, &error, None, report)
}
