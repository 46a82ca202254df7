//! One board's turn, as one straight line: admit -> lock -> visit -> (repair once, visit again) -> settle.

mod mend;
mod outcome;
mod room;
pub(crate) mod state;
mod workers;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use error_classify::Class;
use fingerprint_quarantine::Admission;

use self::mend::Mended;
use self::outcome::{absent, fail, held_report, log_work};
use self::room::Room;
use self::state::BoardState;

use crate::board::apply;
use crate::config::Config;
use crate::decide::{Decision, decide};
use crate::error::Error;
use crate::lock::FileLock;
use crate::report::{BoardReport, Outcome};
use crate::resilience::{self, Reaction};
use crate::site::Site;

pub(crate) use self::outcome::panicked;
use crate::view::{HeldReason, Policy, Status, View};
use crate::wake::Wake;

/// What all boards of one tick share: the settings and the time, read once, and the room for new workers.
#[derive(Debug)]
pub(crate) struct Tick {
    pub(crate) site: Arc<Site>,
    pub(crate) config: Arc<Config>,
    /// Unix seconds.
    pub(crate) now: i64,
    pub(crate) monotonic: Duration,
    pub(crate) room: AtomicUsize,
    /// Says stop, perhaps in the middle of the tick.
    pub(crate) wake: Wake,
}

/// Runs one board's turn. Whatever happens, it ends with one outcome.
pub(crate) fn tick_board(tick: &Tick, state: &mut BoardState) -> BoardReport {
    let site = &*tick.site;
    let slug = state.board.slug().clone();
    // Before the attempt: what changes during it must count as a change.
    let stamp = state.observe();
    if stamp.is_absent() {
        return absent(tick, state);
    }
    let mut attempt = match site.resilience.quarantine.admit_stamped(&slug, stamp) {
        Admission::Go(attempt) => attempt,
        Admission::Held(held) => return held_report(state, &held),
        Admission::Probing => return BoardReport::new(&slug, Outcome::Busy),
    };
    let lock = match tick_lock(state) {
        Ok(Some(lock)) => lock,
        Ok(None) => return BoardReport::new(&slug, Outcome::Busy),
        Err(error) => {
            return fail(
                tick,
                state,
                &error,
                None,
                BoardReport::new(&slug, Outcome::Failed),
            );
        }
    };

    let mut report = BoardReport::new(&slug, Outcome::Ticked);
    let mut result = if stamp.is_empty_file() {
        // Not even opened: SQLite would delete a log that lies beside it, which may be all that is left.
        state.close(site);
        Err(Error::emptied(state.board.db()))
    } else {
        visit(tick, state, &mut report)
    };
    if let Err(error) = &result {
        let reaction = resilience::reaction(&resilience::classify(&state.board, error));
        match reaction {
            Reaction::Reopen => {
                state.close(site);
                result = visit(tick, state, &mut report);
            }
            Reaction::Repair => match mend::repair_schema(tick, state) {
                Ok(Mended::Repaired(made)) => {
                    report.repaired = made;
                    // The repair wrote: what follows is judged by the file as it left it.
                    attempt.restamp(state.observe());
                    result = visit(tick, state, &mut report);
                }
                Ok(Mended::NotDrift) => {}
                Ok(Mended::Spent) => {}
                Err(error) => result = Err(error),
            },
            Reaction::Hold | Reaction::Leave => {}
        }
    }
    drop(lock);
    match result {
        Ok(()) => {
            let ended = attempt.ok();
            site.resilience.log_success(&slug, ended.is_some());
            log_work(&report);
            state.succeeded(tick.now, &report);
            report
        }
        Err(error) => {
            let held = is_hold(state, &error).then(|| {
                state.close(site);
                attempt.failed_leaving(&state.observe(), &resilience::hold(&tick.config.quarantine))
            });
            fail(tick, state, &error, held.as_ref(), report)
        }
    }
}

/// Whether a failure puts its board on hold. Damage is confirmed on an independent connection first.
fn is_hold(state: &BoardState, error: &Error) -> bool {
    let verdict = resilience::classify(&state.board, error);
    match resilience::reaction(&verdict) {
        Reaction::Hold if verdict.class() == Class::Corrupt => mend::is_damaged(&state.board),
        // A repair that was allowed has been tried by now.
        Reaction::Hold | Reaction::Repair => true,
        Reaction::Reopen | Reaction::Leave => false,
    }
}

/// Opens, reads, decides, writes, starts: everything that touches the board's database.
fn visit(tick: &Tick, state: &mut BoardState, report: &mut BoardReport) -> Result<(), Error> {
    let site = &*tick.site;
    let board = Arc::clone(&state.board);
    let slug = board.slug();
    let db = state.open(tick)?;
    let view = crate::board::observe(db)?;
    let local = [site.our_prefix.as_str(), site.peer_prefix.as_str()];
    let processes = site.workers.processes(slug, &view, &local);
    let still_alive = workers::settle_strays(tick, db, slug, &view, report)?;

    let policy = policy(tick, &view);
    let mut decision = decide(&view, &processes, &policy, tick.now);
    let room = limit_claims(tick, &mut decision, &still_alive, report);

    let applied = apply(db, &decision.transitions, &decision.claims, tick.now)?;
    workers::forget_ended(tick, slug, &view, &applied.written);
    workers::count(report, &view, &applied);
    workers::start_claimed(tick, &board, db, &view, &policy, applied.claimed, report)?;
    for (task, reason) in &decision.stops {
        let grace = tick.config.worker.stop_grace_seconds;
        let workers = &site.workers;
        if workers.stop(slug, task, *reason, tick.monotonic, grace) {
            report.stopped += 1;
            tracing::info!(board = %slug, %task, reason = reason.as_str(), "worker is asked to stop");
        }
    }
    room.spend(report.started.len());
    state.close_surplus(tick);
    Ok(())
}

/// Takes away the claims that must wait, and says why they wait.
fn limit_claims<'a>(
    tick: &'a Tick,
    decision: &mut Decision,
    still_alive: &HashSet<String>,
    report: &mut BoardReport,
) -> Room<'a> {
    report.held = std::mem::take(&mut decision.held);
    let claims = &mut decision.claims;
    if tick.wake.is_stopped() {
        // No claim after a stop, also not by the boards that are still to come in this tick.
        claims.clear();
    }
    let wanted = claims.len();
    claims.retain(|claim| !still_alive.contains(&claim.task));
    report.hold_back(HeldReason::WorkerEnding, wanted - claims.len());
    let room = Room::take(tick, claims.len());
    report.hold_back(HeldReason::HostCap, claims.len() - room.taken);
    claims.truncate(room.taken);
    room
}

/// The settings of one board's decision.
pub(crate) fn policy(tick: &Tick, view: &View) -> Policy {
    let (site, config) = (&*tick.site, &*tick.config);
    let names: HashSet<&str> = view
        .tasks
        .iter()
        .filter(|task| {
            matches!(
                task.status,
                Status::Ready | Status::Todo | Status::Running | Status::Blocked
            )
        })
        .filter_map(|task| task.assignee.as_deref().map(str::trim))
        .filter(|name| !name.is_empty())
        .collect();
    let is_spawnable = |name: &str| {
        !config.worker.require_profile
            || (crate::root::is_name(name) && site.root.profile_dir(name).is_dir())
    };
    Policy {
        lock: site.lock.clone(),
        our_prefix: site.our_prefix.clone(),
        peer_prefix: site.peer_prefix.clone(),
        claim_ttl: config.claim_ttl_seconds,
        renew_before: config.renew_before(),
        failure_limit: i64::from(config.failure_limit.get()),
        crash_grace: config.crash_grace_seconds,
        cooldown: config.rate_limit_cooldown_seconds,
        board_cap: config.board_cap(),
        spawnable: names
            .into_iter()
            .filter(|name| is_spawnable(name))
            .map(str::to_owned)
            .collect(),
    }
}

/// The lock under which a board is ticked, by whatever program. `None`: another program is at it.
fn tick_lock(state: &BoardState) -> Result<Option<FileLock>, Error> {
    let path: PathBuf = state.board.tick_lock();
    FileLock::try_acquire(&path).map_err(|error| {
        // Fails closed: without the lock the board is not touched.
        Error::io(format!("take the tick lock {}", path.display()), error).on(state.board.slug())
    })
}
