//! A board's caution within its turn: what became of its latest starts, and what is told and kept of it.

use std::cell::LazyCell;

use rusqlite::Connection;

use super::Tick;
use super::caution::{Caution, Fate, Now, Rest, Shown, Young};
use super::workers::gave_up;
use crate::board::{refund, run_outcome};
use crate::decide::Decision;
use crate::error::Error;
use crate::ledger::breakers::BreakerRow;
use crate::root::Slug;
use crate::transition::{Cause, Transition, Verdict};
use crate::view::{End, HeldReason, Status, View};

/// The exit code of a worker that says: never again.
const PERMANENT: i32 = 78;

/// Judges what a turn is about to record.
pub(super) fn judge(
    tick: &Tick,
    db: &Connection,
    view: &View,
    caution: &mut Caution,
    decision: &mut Decision,
) -> Shown {
    let start = tick.config.breaker.start_seconds;
    let places = LazyCell::new(|| view.places());
    let fate = |young: &Young| {
        let task = places.get(&*young.task).map(|at| &view.tasks[*at]);
        let is_running =
            task.is_some_and(|task| task.run == Some(young.run) && task.status == Status::Running);
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
    spare(tick, caution, &mut decision.transitions);
    let shown = caution.judge(
        &mut decision.transitions,
        fate,
        &tick.config.breaker,
        now(tick),
    );
    // What is not given up after all stays ready, and waits.
    let freed = before - given_up(&decision.transitions);
    if freed > 0 {
        let why = match caution.rest() {
            Some(_) => HeldReason::Breaker,
            None => HeldReason::Cooldown,
        };
        let held = decision.held.entry(why).or_default();
        *held += u32::try_from(freed).unwrap_or(u32::MAX);
    }
    shown
}

/// Workers that end the same way in one turn are given up at once, since it is no chance. Where they die at their start that is for the
/// board's breaker to judge, and a few of them are not enough: until then they are counted like any other failure.
fn spare(tick: &Tick, caution: &Caution, transitions: &mut [Transition]) {
    let settings = &tick.config.breaker;
    let ordinary = i64::from(tick.config.failure_limit.get());
    for transition in transitions {
        let Transition::Fail(failure) = transition else {
            continue;
        };
        let Verdict::Tripped {
            failures,
            limit_source: "dispatcher",
            violations: None,
            ..
        } = failure.verdict
        else {
            continue;
        };
        // A worker that says so itself is given up, whatever the others do.
        let is_permanent = failure.cause == Cause::Crashed(End::Exited(PERMANENT));
        let is_early = || caution.is_early(&failure.task, failure.cause, settings, now(tick));
        if settings.deaths > 0 && failures < ordinary && !is_permanent && is_early() {
            failure.verdict = Verdict::Counted { failures };
        }
    }
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
            tick.site.ledger.keep_breaker(&tick.site.root, slug, None);
        }
        Shown::Off => {
            tracing::info!(board = %slug, "board starts tasks again: the settings want no rest");
            tick.site.ledger.keep_breaker(&tick.site.root, slug, None);
        }
        Shown::Rests => {
            if let Some(rest) = caution.rest() {
                let row = row(tick, rest);
                let wait = rest.until.saturating_sub(tick.monotonic);
                tick.site.resilience.log_rest(slug, &row.reason, wait);
                tick.site
                    .ledger
                    .keep_breaker(&tick.site.root, slug, Some(&row));
            }
            for death in caution.take_refunds() {
                refund(db, &death.task, death.charged)?;
            }
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
