//! How a turn ends that did not run through: told once, kept for `status`.

use std::time::Duration;

use error_classify::{Class, Remedy};
use fingerprint_quarantine::Held;

use super::Tick;
use super::state::BoardState;
use crate::error::{Error, ErrorKind};
use crate::report::{BoardFailure, BoardReport, Outcome};
use crate::resilience::{self, Next};
use crate::root::Board;
use crate::site::Site;
use crate::view::HeldReason;

/// A tick lock that is taken for this many intervals is told.
const LOCKED_INTERVALS_TOLD: u32 = 3;

pub(super) fn absent(tick: &Tick, state: &mut BoardState) -> BoardReport {
    state.close(&tick.site);
    let mut report = BoardReport::new(state.board.slug(), Outcome::Absent);
    // Nobody can record what its workers do.
    let grace = tick.config.worker.stop_grace_seconds;
    let stopped =
        tick.site
            .workers
            .stop_all(|slug| slug == state.board.slug(), tick.monotonic, grace);
    report.stopped = u32::try_from(stopped).unwrap_or(u32::MAX);
    let ended = tick
        .site
        .workers
        .forget_unserved(|slug| slug != state.board.slug(), tick.monotonic);
    tick.site.ledger.forget_workers(&ended);
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
        log_failure(&tick.site, state, &failure, Next::Tick);
        state.failed(tick.now, failure.clone());
        report.failure = Some(failure);
    }
    report
}

/// One line for a turn in which something happened, whatever it was.
pub(super) fn log_work(tick: u64, report: &BoardReport) {
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
            board = %report.slug, tick, started, promoted, reclaimed, failed, gave_up, stopped,
            ready = report.ready, running = report.running, "board ticked"
        );
    }
}

pub(crate) fn held_report(state: &BoardState, retry_in: Option<Duration>) -> BoardReport {
    let mut report = BoardReport::new(state.board.slug(), Outcome::Held);
    report.failure = state.failure.clone();
    report.next_retry = retry_in;
    report
}

/// The tick lock is taken. For an interval or two that is nothing; a holder that stays is told like any other failure.
pub(super) fn locked_elsewhere(tick: &Tick, state: &mut BoardState) -> BoardReport {
    let since = *state.locked_since.get_or_insert(tick.monotonic);
    let report = BoardReport::new(state.board.slug(), Outcome::Busy);
    let told_after = LOCKED_INTERVALS_TOLD * tick.config.dispatch_interval_seconds;
    if tick.monotonic.saturating_sub(since) < told_after {
        return report;
    }
    let what = format!(
        "take {}: another program holds it",
        state.board.tick_lock().display()
    );
    fail(
        tick,
        state,
        &Error::new(ErrorKind::Busy, what),
        None,
        report,
    )
}

/// A turn that has not come back within its deadline, since this instant (unix seconds).
pub(crate) fn hung(site: &Site, board: &Board, since: i64) -> BoardReport {
    let seconds = site.clock.unix().saturating_sub(since);
    let failure = BoardFailure {
        class: Class::Busy,
        remedy: Remedy::RetryCall,
        code: None,
        reason: format!("finish the board's turn: it has not come back for {seconds} s"),
        missing: None,
    };
    site.resilience.log_hung(board, &failure);
    let mut report = BoardReport::new(board.slug(), Outcome::Busy);
    report.failure = Some(failure);
    report
}

/// Ready tasks wait because no worker can be started at all, or none in a worktree: one line a window, and none of them is charged for it.
pub(super) fn log_no_worker(tick: &Tick, state: &mut BoardState, report: &BoardReport) {
    let Some(trouble) = tick
        .no_worker
        .as_ref()
        .or_else(|| tick.no_git.get()?.as_ref())
        .filter(|_| report.held.contains_key(&HeldReason::NoWorker))
    else {
        return;
    };
    let failure = BoardFailure {
        class: trouble.class,
        remedy: Remedy::ExternalFix,
        code: None,
        reason: format!("start workers: {}", trouble.why),
        missing: None,
    };
    log_failure(&tick.site, state, &failure, Next::Tick);
}

fn log_failure(site: &Site, state: &mut BoardState, failure: &BoardFailure, next: Next) {
    let (board, resilience) = (state.board.clone(), &site.resilience);
    let handles = state.handles(resilience);
    resilience.log_failure(handles, &board, failure, next);
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
    log_failure(&tick.site, state, &failure, next);
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
