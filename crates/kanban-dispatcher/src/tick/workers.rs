//! Around a board's workers: recording ends, starting the claimed, settling those that work on nothing.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::io;

use error_classify::{Class, classify};
use rusqlite::{Connection, ErrorCode};

use super::caution::Caution;
use super::refusals::Refusals;
use super::{Tick, cautious};
use crate::board::{Applied, Started, Work, apply, record_started, run_outcome};
use crate::decide::start_failed;
use crate::error::{Error, ErrorKind};
use crate::ledger::Recorded;
use crate::policy::Policy;
use crate::report::BoardReport;
use crate::root::{Board, Slug};
use crate::transition::{Reclaim, Transition, Verdict};
use crate::view::{HeldReason, Status, StopReason, View};
use crate::worker::{Adopted, Launch, Sight, Waiting};

/// Where workers are started, and by what they are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) tick: &'a Tick,
    pub(super) board: &'a Board,
    pub(super) view: &'a View,
    pub(super) policy: &'a Policy,
}

/// Forgets the workers whose ends were just recorded.
pub(super) fn forget_ended(tick: &Tick, slug: &Slug, view: &View, written: &[Transition]) {
    let ends = |transition: &&Transition| {
        matches!(
            transition,
            Transition::Fail(_) | Transition::Reclaim(_) | Transition::Stale(_)
        )
    };
    let mut ended = Vec::new();
    // Made for the first end: as a rule there is none.
    let places = LazyCell::new(|| view.places());
    for task in written.iter().filter(ends).map(Transition::task) {
        let run = places.get(task).and_then(|at| view.tasks[*at].run);
        if let Some(run) = run.filter(|run| tick.site.workers.forget(slug, task, *run)) {
            ended.push((slug.clone(), task.to_owned(), run));
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
        // One that reported by itself is about to end; it is given time for that.
        let outcome = run_outcome(db, run)?;
        let reported = matches!(
            outcome.as_deref(),
            Some("completed" | "blocked" | "scheduled")
        );
        let may_linger =
            || workers.lingers(slug, &task, tick.monotonic) < tick.config.worker.linger_seconds;
        if !(reported && may_linger()) {
            stop(tick, slug, &task, StopReason::ClaimLost, report);
        }
        alive.insert(task);
    }
    tick.site.ledger.forget_workers(&ended);
    Ok(alive)
}

/// Asks a worker to stop, and says so once.
pub(super) fn stop(
    tick: &Tick,
    slug: &Slug,
    task: &str,
    reason: StopReason,
    report: &mut BoardReport,
) {
    let grace = tick.config.worker.stop_grace_seconds;
    if tick
        .site
        .workers
        .stop(slug, task, reason, tick.monotonic, grace)
    {
        report.stopped += 1;
        tracing::info!(board = %slug, %task, reason = reason.as_str(), "worker is asked to stop");
    }
}

/// Starts the workers of claimed tasks: processes first, then their identities, and only then do the gates open.
///
/// An error drops the processes at the gate: none of them has run, and the claims are released by the next tick.
pub(super) fn start_claimed(
    scene: &Scene<'_>,
    db: &mut Connection,
    claimed: Vec<Work>,
    (caution, refusals): (&mut Caution, &mut Refusals),
    report: &mut BoardReport,
) -> Result<(), Error> {
    let (tick, board) = (scene.tick, scene.board);
    let (waiting, failed) = make_processes(scene, claimed, refusals)?;
    let Some(lost) = commit_identities(tick, board.slug(), db, &waiting)? else {
        give_back(tick, db, waiting, report)?;
        return record_failed(scene, db, failed, caution, report);
    };
    // Making workspaces may have taken long: a worker's life begins here.
    let now = tick.site.clock.monotonic();
    let (mut started, mut passed) = (Vec::new(), Vec::new());
    for process in waiting {
        let Work { task, run, .. } = &process.work;
        if !lost.contains(task) {
            started.push((task.clone(), *run));
            passed.push((board.slug().clone(), task.clone(), *run));
            report.started.push(task.clone());
            tick.site.workers.insert(board.slug(), process.open(), now);
        }
    }
    tick.site.ledger.passed_gate(&passed);
    if !started.is_empty() {
        tick.site.strain.worked();
        refusals.disk.worked();
    }
    report.running += count_u32(started.len());
    caution.started(started, now);
    record_failed(scene, db, failed, caution, report)
}

/// Judges and writes the failures of tasks whose workers could not be started.
fn record_failed(
    scene: &Scene<'_>,
    db: &mut Connection,
    mut failed: Vec<Transition>,
    caution: &mut Caution,
    report: &mut BoardReport,
) -> Result<(), Error> {
    let tick = scene.tick;
    let unjudged = caution.clone();
    let shown = cautious::judge_failed(tick, caution, &mut failed);
    let written = apply(db, &failed, &[], tick.now)
        .inspect_err(|_| *caution = unjudged)?
        .written;
    let given_up = count_u32(
        written
            .iter()
            .filter(|transition| gave_up(transition))
            .count(),
    );
    report.failed += count_u32(written.len());
    report.gave_up += given_up;
    report.ready += count_u32(written.len()) - given_up;
    cautious::tell(tick, db, scene.board.slug(), caution, shown)
}

/// One process at the gate for each claimed task, or the failure that it became.
fn make_processes(
    scene: &Scene<'_>,
    claimed: Vec<Work>,
    refusals: &mut Refusals,
) -> Result<(Vec<Waiting>, Vec<Transition>), Error> {
    let Scene {
        tick,
        board,
        view,
        policy,
    } = *scene;
    let launch = Launch {
        root: &tick.site.root,
        config: &tick.config,
        launcher: tick.launcher(),
        gate: &tick.site.gate,
    };
    let (mut waiting, mut failed) = (Vec::new(), Vec::new());
    for work in claimed {
        match launch.start(board, &work) {
            Ok(process) => waiting.push(process),
            // The machine's trouble or the board's, not the task's: nobody is charged, and the claims are given back.
            Err(error) if is_machine_wide(&error) || is_the_disks(&error) => {
                let (class, why) = (classify(&error).class(), error.to_string());
                let strain = match is_the_disks(&error) {
                    true => &refusals.disk,
                    false => &tick.site.strain,
                };
                strain.failed(class, &why, tick.monotonic);
                return Err(Error::io(
                    format!("start a worker for task {}", work.task),
                    error,
                ));
            }
            Err(error) => {
                let (slug, task) = (board.slug(), &work.task);
                tick.site.resilience.log_start(slug, task, &error);
                refusals.add_unstarted(task);
                failed.push(start_failed(view, &work, &error.to_string(), policy));
            }
        }
    }
    Ok((waiting, failed))
}

/// Descriptors, processes or memory are used up.
fn is_machine_wide(error: &io::Error) -> bool {
    classify(error).class() == Class::Exhausted || error.kind() == io::ErrorKind::WouldBlock
}

/// The board's own directories take nothing more; other boards' may lie on other disks.
fn is_the_disks(error: &io::Error) -> bool {
    matches!(classify(error).class(), Class::DiskFull | Class::ReadOnly)
}

/// A pause was committed after the claim: the processes end at their gates, and the tasks are ready again, uncharged.
fn give_back(
    tick: &Tick,
    db: &mut Connection,
    waiting: Vec<Waiting>,
    report: &mut BoardReport,
) -> Result<(), Error> {
    let claim = |process: &Waiting| {
        Transition::Reclaim(Reclaim {
            task: process.work.task.clone(),
            lock: process.work.lock.clone(),
            pid: None,
            expires: None,
            last_heartbeat_at: None,
            host_local: true,
            heartbeat_stale: false,
            attempted: false,
            terminated: false,
        })
    };
    let back: Vec<Transition> = waiting.iter().map(claim).collect();
    drop(waiting);
    let written = apply(db, &back, &[], tick.now)?.written.len();
    report.hold_back(HeldReason::Paused, written);
    report.ready += count_u32(written);
    Ok(())
}

/// Commits who the processes at the gate are, first to the ledger and then to the board. Those whose claim is gone come back; `None`
/// when the board is paused.
fn commit_identities(
    tick: &Tick,
    slug: &Slug,
    db: &mut Connection,
    waiting: &[Waiting],
) -> Result<Option<Vec<String>>, Error> {
    if waiting.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let ledger = &tick.site.ledger;
    let identities: Vec<Adopted> = waiting
        .iter()
        .map(|process| Adopted {
            slug: slug.clone(),
            task: process.work.task.clone(),
            run: process.work.run,
            identity: process.identity,
            sight: Sight::AtGate,
        })
        .collect();
    let forget = |is_lost: &dyn Fn(&str) -> bool| {
        let lost = identities.iter().filter(|worker| is_lost(&worker.task));
        let lost = lost.map(|worker| (slug.clone(), worker.task.clone(), worker.run));
        ledger.forget_workers(&lost.collect::<Vec<_>>());
    };
    match ledger.record_starts(slug, &identities, tick.needs_ledger) {
        Recorded::Done => {}
        Recorded::Paused => return Ok(None),
        Recorded::Refused => {
            let what =
                "commit the workers' identities to the ledger: it is in use or cannot be written";
            return Err(Error::new(ErrorKind::Busy, what));
        }
    }
    let rows: Vec<Started> = waiting.iter().map(started).collect();
    let lost = record_started(db, &rows, tick.now).inspect_err(|error| {
        // A commit whose sync failed is in the log, and may come back with it. Then the board names processes that ended at their
        // gate: they stay known as that, so that nobody is charged for them.
        match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) => {
                tick.site.workers.adopt(identities.clone(), None);
            }
            _ => forget(&|_| true),
        }
    })?;
    if !lost.is_empty() {
        forget(&|task| lost.iter().any(|lost| lost == task));
    }
    Ok(Some(lost))
}

/// Tells of rows that were blocked because they cannot be read; what is wrong with each is in its history.
pub(super) fn log_set_aside(slug: &Slug, applied: &Applied) {
    let is_it = |it: &&Transition| matches!(it, Transition::SetAside { .. });
    let tasks = applied.written.iter().filter(is_it).count();
    if tasks > 0 {
        tracing::info!(board = %slug, tasks, "tasks are blocked: their rows cannot be read");
    }
}

/// Puts what was written into the report.
pub(super) fn count(report: &mut BoardReport, view: &View, applied: &Applied) {
    let mut ended = 0;
    for transition in &applied.written {
        match transition {
            Transition::Promote { .. } | Transition::Probe { .. } => report.promoted += 1,
            Transition::Reclaim(_) | Transition::Stale(_) => {
                report.reclaimed += 1;
                ended += 1;
            }
            Transition::Fail(_) => {
                report.failed += 1;
                report.gave_up += u32::from(gave_up(transition));
                ended += 1;
            }
            _ => {}
        }
    }
    let running = view
        .tasks
        .iter()
        .filter(|task| task.status == Status::Running)
        .count();
    report.running = count_u32(running.saturating_sub(ended));
    let bad_rows = report.held.get(&HeldReason::BadRow).copied().unwrap_or(0);
    report.ready = report.held.values().sum::<u32>().saturating_sub(bad_rows);
}

fn started(process: &Waiting) -> Started {
    Started {
        task: process.work.task.clone(),
        run: process.work.run,
        lock: process.work.lock.clone(),
        pid: process.identity.pid,
        workspace: process.workspace.to_string_lossy().into_owned(),
        branch: process.branch.clone(),
    }
}

pub(super) fn gave_up(transition: &Transition) -> bool {
    matches!(transition, Transition::Fail(failure) if matches!(failure.verdict, Verdict::Tripped { .. }))
}

fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
