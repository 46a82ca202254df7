//! A tick's outcome as the ledger keeps it, for `status` in another process.

use std::time::Duration;

use super::{BoardRow, DispatcherRow};
use crate::report::{BoardReport, held_by_reason};
use crate::root::Slug;
use crate::site::Site;
use crate::tick::state::{BoardState, LastKnown};
use crate::usage::Usage;

/// One board's line; `state` is missing while a lane that hangs has it.
pub(crate) fn board_row(
    site: &Site,
    report: &BoardReport,
    (state, is_quiet): (Option<&BoardState>, bool),
    last_known: &LastKnown,
) -> BoardRow {
    let failure = report.failure.as_ref();
    let in_seconds = |wait: Duration| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
    let counts = last_known;
    BoardRow {
        slug: report.slug.to_string(),
        outcome: report.outcome.as_str().to_owned(),
        class: failure.map(|failure| failure.class.as_str().to_owned()),
        code: failure.and_then(|failure| failure.code),
        reason: failure.map(|failure| failure.reason.clone()),
        missing: failure.and_then(|failure| failure.missing.clone()),
        since: state.and_then(|state| state.since),
        next_retry: report
            .next_retry
            .map(|wait| site.clock.unix().saturating_add(in_seconds(wait))),
        repair_attempts: state.map_or(0, |state| state.repair_attempts),
        last_tick: counts.at,
        ready: counts.ready,
        running: counts.running,
        held: held_by_reason(&counts.held, serde_json::value::Serializer)
            .map_or_else(|_| "{}".to_owned(), |held| held.to_string()),
        suppressed: match state {
            Some(state) if state.trouble().is_none() => 0,
            _ => site.resilience.suppressed(&report.slug),
        },
        guarded: state.is_some_and(BoardState::is_guarded),
        risk: state.and_then(|state| state.risk.clone()),
        quiet: is_quiet,
    }
}

/// What changes of the boards' lines, beside those that are told anew.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    /// There is no line of any other board.
    pub(crate) are_all: bool,
    /// Boards that are gone.
    pub(crate) gone: &'a [Slug],
    /// What has changed of boards that had no turn.
    pub(crate) marks: &'a [Marks<'a>],
}

/// What is noted of a board without a turn.
#[derive(Debug)]
pub(crate) struct Marks<'a> {
    pub(crate) slug: &'a Slug,
    pub(crate) guarded: bool,
    pub(crate) risk: Option<&'a str>,
    pub(crate) suppressed: u64,
}

pub(crate) fn dispatcher_row(
    site: &Site,
    state: &str,
    (started_at, ticks): (i64, u64),
    interval: Duration,
    usage: Usage,
) -> DispatcherRow {
    DispatcherRow {
        state: state.to_owned(),
        identity: site.identity,
        started_at,
        last_tick: site.clock.unix(),
        interval,
        ticks,
        usage,
    }
}
