//! Around a board's workers: recording ends, starting the claimed, settling those that work on nothing.

use std::collections::HashSet;

use rusqlite::Connection;

use super::Tick;
use crate::board::{Applied, Started, Work, apply, record_started, run_outcome};
use crate::decide::start_failed;
use crate::error::Error;
use crate::report::BoardReport;
use crate::root::{Board, Slug};
use crate::transition::{Transition, Verdict};
use crate::view::{Policy, Status, StopReason, View};
use crate::worker::{CommandLauncher, Launch, Waiting};

/// Forgets the workers whose ends were just recorded.
pub(super) fn forget_ended(tick: &Tick, slug: &Slug, view: &View, written: &[Transition]) {
    let mut ended = Vec::new();
    for transition in written {
        if !matches!(transition, Transition::Fail(_) | Transition::Reclaim(_)) {
            continue;
        }
        let task = view.tasks.iter().find(|task| task.id == transition.task());
        if let Some(run) = task.and_then(|task| task.run)
            && tick.site.workers.forget(slug, transition.task(), run)
        {
            ended.push((slug.clone(), transition.task().to_owned(), run));
        }
    }
    tick.site.ledger.forget_workers(&ended);
}

/// Settles workers that no running task knows: a finished one is left to end, one that lost its claim is stopped.
///
/// The tasks whose earlier worker still lives: they must not get a second one.
pub(super) fn settle_strays(
    tick: &Tick,
    db: &Connection,
    slug: &Slug,
    view: &View,
    report: &mut BoardReport,
) -> Result<HashSet<String>, Error> {
    let workers = &tick.site.workers;
    let (mut ended, mut alive) = (Vec::new(), HashSet::new());
    for (task, run, has_ended) in workers.strays(slug, view) {
        if has_ended {
            workers.forget(slug, &task, run);
            ended.push((slug.clone(), task, run));
            continue;
        }
        // One that reported by itself is about to end.
        let reported = matches!(
            run_outcome(db, run)?.as_deref(),
            Some("completed" | "blocked" | "scheduled")
        );
        let grace = tick.config.worker.stop_grace_seconds;
        if !reported && workers.stop(slug, &task, StopReason::ClaimLost, tick.monotonic, grace) {
            report.stopped += 1;
            let reason = StopReason::ClaimLost.as_str();
            tracing::info!(board = %slug, %task, reason, "worker is asked to stop");
        }
        alive.insert(task);
    }
    tick.site.ledger.forget_workers(&ended);
    Ok(alive)
}

/// Starts the workers of claimed tasks: processes first, then their identities, and only then do the gates open.
pub(super) fn start_claimed(
    tick: &Tick,
    board: &Board,
    db: &mut Connection,
    view: &View,
    policy: &Policy,
    claimed: Vec<Work>,
    report: &mut BoardReport,
) -> Result<(), Error> {
    let site = &*tick.site;
    let configured = CommandLauncher::new(tick.config.worker.command.clone());
    let launch = Launch {
        root: &site.root,
        config: &tick.config,
        launcher: site.launcher.as_deref().unwrap_or(&configured),
        gate: &site.gate,
    };
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut failed = Vec::new();
    for work in claimed {
        match launch.start(board, &work) {
            Ok(process) => waiting.push(process),
            Err(error) => {
                let (slug, task) = (board.slug(), &work.task);
                tracing::warn!(board = %slug, %task, %error, "worker could not be started");
                failed.push(start_failed(view, &work, &error.to_string(), policy));
            }
        }
    }
    let identities: Vec<_> = waiting
        .iter()
        .map(|process| {
            (
                process.work.task.as_str(),
                process.work.run,
                process.identity,
            )
        })
        .collect();
    if !identities.is_empty() {
        site.ledger.record_workers(board.slug(), &identities);
    }
    let rows: Vec<Started> = waiting.iter().map(started).collect();
    // An error here drops the processes at the gate: none of them has run, and the claims are released by the next tick.
    let lost = record_started(db, &rows, tick.now)?;
    for process in waiting {
        if lost.contains(&process.work.task) {
            let (task, run) = (process.work.task.clone(), process.work.run);
            drop(process);
            site.ledger
                .forget_workers(&[(board.slug().clone(), task, run)]);
            continue;
        }
        report.started.push(process.work.task.clone());
        site.workers.insert(board.slug(), process.open());
    }
    let written = apply(db, &failed, &[], tick.now)?.written;
    report.failed += count_u32(written.len());
    report.gave_up += count_u32(
        written
            .iter()
            .filter(|transition| gave_up(transition))
            .count(),
    );
    report.running += count_u32(report.started.len());
    report.ready +=
        count_u32(written.len()) - count_u32(written.iter().filter(|t| gave_up(t)).count());
    Ok(())
}

/// Puts what was written into the report.
pub(super) fn count(report: &mut BoardReport, view: &View, applied: &Applied) {
    let mut ended = 0;
    for transition in &applied.written {
        match transition {
            Transition::Promote { .. } => report.promoted += 1,
            Transition::Reclaim(_) => {
                report.reclaimed += 1;
                ended += 1;
            }
            Transition::Fail(_) => {
                report.failed += 1;
                report.gave_up += u32::from(gave_up(transition));
                ended += 1;
            }
            Transition::Renew { .. } | Transition::Extend { .. } | Transition::Demote { .. } => {}
        }
    }
    let running = view
        .tasks
        .iter()
        .filter(|task| task.status == Status::Running)
        .count();
    report.running = count_u32(running.saturating_sub(ended));
    let bad_rows = count_u32(view.bad_rows.len());
    report.ready = report.held.values().sum::<u32>().saturating_sub(bad_rows);
}

fn started(process: &Waiting) -> Started {
    Started {
        task: process.work.task.clone(),
        run: process.work.run,
        lock: process.work.lock.clone(),
        pid: process.identity.pid,
        workspace: process.workspace.to_string_lossy().into_owned(),
    }
}

fn gave_up(transition: &Transition) -> bool {
    matches!(transition, Transition::Fail(failure) if matches!(failure.verdict, Verdict::Tripped { .. }))
}

fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
