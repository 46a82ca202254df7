//! A board's caution within its turn: what became of its latest starts, and what is told and kept of it.

use rusqlite::Connection;

use super::Tick;
use super::caution::{Caution, Fate, Now, Rest, Shown, Young};
use super::workers::gave_up;
use crate::board::{refund, run_outcome};
use crate::decide::Decision;
use crate::error::Error;
use crate::ledger::breakers::BreakerRow;
use crate::root::Slug;
use crate::transition::Transition;
use crate::view::{HeldReason, Status, View};

/// Judges what a turn is about to record.
pub(super) fn judge(
    tick: &Tick,
    db: &Connection,
    view: &View,
    caution: &mut Caution,
    decision: &mut Decision,
) -> Shown {
    let start = tick.config.breaker.start_seconds;
    let fate = |young: &Young| {
        let is_running = view.tasks.iter().any(|task| {
            task.id == young.task && task.run == Some(young.run) && task.status == Status::Running
        });
        if is_running {
            return match tick.monotonic.saturating_sub(young.since) > start {
                true => Fate::Lives,
                false => Fate::Young,
            };
        }
        // One that cannot be read shows nothing.
        match run_outcome(db, young.run).ok().flatten().as_deref() {
            Some("completed" | "blocked" | "scheduled") => Fate::Lives,
            _ => Fate::Gone,
        }
    };
    let given_up = |transitions: &[Transition]| transitions.iter().filter(|it| gave_up(it)).count();
    let before = given_up(&decision.transitions);
    let shown = caution.judge(
        &mut decision.transitions,
        fate,
        &tick.config.breaker,
        now(tick),
    );
    // What is not given up after all stays ready, and waits.
    let freed = before - given_up(&decision.transitions);
    if freed > 0 {
        let held = decision.held.entry(HeldReason::Breaker).or_default();
        *held += u32::try_from(freed).unwrap_or(u32::MAX);
    }
    shown
}

/// The same for starts that failed in this turn.
pub(super) fn judge_failed(tick: &Tick, caution: &mut Caution, failed: &mut [Transition]) -> Shown {
    caution.judge(failed, |_| Fate::Young, &tick.config.breaker, now(tick))
}

/// Tells what a turn has shown, keeps it in the ledger, and takes back what was charged to the tasks. After everything is written.
pub(super) fn tell(
    tick: &Tick,
    db: &Connection,
    slug: &Slug,
    caution: &mut Caution,
    shown: Shown,
) -> Result<(), Error> {
    match shown {
        Shown::Nothing => return Ok(()),
        Shown::Works => {
            tracing::info!(board = %slug, "board starts tasks again: one has lived");
            tick.site.ledger.keep_breaker(slug, None);
        }
        Shown::Rests => {
            if let Some(rest) = caution.rest() {
                let row = row(tick, rest);
                let wait = rest.until.saturating_sub(tick.monotonic);
                tick.site.resilience.log_rest(slug, &row.reason, wait);
                tick.site.ledger.keep_breaker(slug, Some(&row));
            }
            refund(db, &caution.take_refunds())?;
        }
    }
    Ok(())
}

/// As an earlier dispatcher left it, by this one's clocks. A wall clock that was set back makes no rest longer.
pub(crate) fn rest(tick: &Tick, row: BreakerRow) -> Rest {
    let most = tick.config.breaker.max_retry_seconds;
    let left = u64::try_from(row.next_retry.saturating_sub(tick.now)).unwrap_or(0);
    Rest {
        reason: row.reason,
        round: row.round,
        since: row.since,
        until: tick.monotonic + std::time::Duration::from_secs(left).min(most),
    }
}

fn row(tick: &Tick, rest: &Rest) -> BreakerRow {
    let wait = rest.until.saturating_sub(tick.monotonic).as_secs();
    BreakerRow {
        reason: rest.reason.clone(),
        since: rest.since,
        round: rest.round,
        next_retry: tick
            .now
            .saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)),
    }
}

fn now(tick: &Tick) -> Now {
    Now {
        monotonic: tick.monotonic,
        unix: tick.now,
    }
}
