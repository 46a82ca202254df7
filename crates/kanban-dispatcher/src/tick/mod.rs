//! One board's turn, as one straight line: admit -> lock -> visit -> (repair once, visit again) -> settle.

pub(crate) mod caution;
pub(crate) mod cautious;
mod claims;
mod damage;
mod guard;
mod mend;
mod missed;
pub(crate) mod outcome;
pub(crate) mod quiet;
mod refusals;
pub(crate) mod state;
mod workers;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use error_classify::Class;
use fingerprint_quarantine::{Admission, Reason};

use self::claims::limit_claims;
use self::mend::Mended;
use self::outcome::{absent, fail, held_report, locked_elsewhere, log_no_worker, log_work};
use self::quiet::{COMMIT, Quiet, Rest};
use self::state::BoardState;
use self::workers::Scene;
use crate::board::{apply_while, note_told, prove_writable};
use crate::config::Config;
use crate::decide::{decide, note_failures};
use crate::error::{Error, ErrorKind};
use crate::ledger::levers::Pauses;
use crate::lock::FileLock;
use crate::report::{BoardReport, Outcome};
use crate::resilience::{self, Reaction};
use crate::site::Site;
use crate::strain::{Allowed, Trouble};
use crate::view::HeldReason;
use crate::wake::Wake;
use crate::worker::{CommandLauncher, Launcher, find_program};

pub(crate) use self::claims::policy;
pub(crate) use self::outcome::panicked;

/// A row that refused a change is set aside for this many intervals, so that it does not take the others' room.
const REFUSED_INTERVALS: u32 = 10;

/// What all boards of one tick share: the settings and the time, read once.
#[derive(Debug)]
pub(crate) struct Tick {
    pub(crate) site: Arc<Site>,
    pub(crate) config: Arc<Config>,
    /// Unix seconds.
    pub(crate) now: i64,
    pub(crate) monotonic: Duration,
    /// Says stop, perhaps in the middle of the tick.
    pub(crate) wake: Wake,
    /// Between two intervals, because a worker has ended.
    pub(crate) is_early: bool,
    /// Which pass over all boards this is, or comes after.
    pub(crate) number: u64,
    /// Boards on which nothing starts.
    pub(crate) pauses: Arc<Pauses>,
    /// The configured command, for a dispatcher without a launcher of its own.
    pub(crate) command: CommandLauncher,
    /// Why no worker can be started at all.
    pub(crate) no_worker: Option<Trouble>,
    /// Why none can be started in a worktree, once somebody has asked.
    no_git: OnceLock<Option<Trouble>>,
    /// The ledger was there when the tick began.
    pub(crate) needs_ledger: bool,
    /// How many more boards may be looked through in this tick.
    pub(crate) checks: AtomicUsize,
}

impl Tick {
    pub(crate) fn new(site: Arc<Site>, config: Arc<Config>, wake: Wake, is_early: bool) -> Self {
        let mut tick = Self {
            now: site.clock.unix(),
            monotonic: site.clock.monotonic(),
            command: CommandLauncher::new(config.worker.command.clone()),
            no_worker: None,
            no_git: OnceLock::new(),
            pauses: Arc::default(),
            needs_ledger: site.ledger.is_needed(),
            checks: AtomicUsize::new(0),
            site,
            config,
            wake,
            is_early,
            number: 0,
        };
        let check = catch_unwind(AssertUnwindSafe(|| tick.launcher().check()));
        let check = check.unwrap_or_else(|_| Err(io::Error::other("the launcher panicked")));
        let missing = |why: String| Trouble {
            class: Class::Missing,
            why,
        };
        tick.no_worker = check.err().map(|error| missing(error.to_string()));
        if let Allowed::None(trouble) = tick.site.strain.allows(tick.monotonic) {
            tick.no_worker = Some(trouble);
        }
        if !tick.site.ledger.is_writable(tick.needs_ledger) {
            // A claim now would only be given back: no gate opens before its process is known there.
            tick.no_worker = Some(missing("the ledger cannot be written".to_owned()));
        }
        tick
    }

    /// Why no task's worker can be started in a worktree here: the machine lacks the program that makes them. To be asked only when a
    /// task wants one.
    pub(crate) fn lacks_git(&self) -> Option<&Trouble> {
        let look = || {
            let missing = |error: io::Error| Trouble {
                class: Class::Missing,
                why: format!("{error}, which worktrees are made by"),
            };
            find_program("git").map_err(missing).err()
        };
        self.no_git.get_or_init(look).as_ref()
    }

    pub(crate) fn launcher(&self) -> &dyn Launcher {
        self.site.launcher.as_deref().unwrap_or(&self.command)
    }
}

/// Runs one board's turn. Whatever happens, it ends with one outcome.
pub(crate) fn tick_board(tick: &Tick, state: &mut BoardState) -> BoardReport {
    let site = &*tick.site;
    let slug = state.board.slug().clone();
    state.begin_turn();
    // Before the attempt: what changes during it must count as a change.
    let stamp = state.observe();
    let mut before = stamp;
    if stamp.is_absent() {
        let report = absent(tick, state);
        if !state.was_seen && !site.workers.has_any(&slug) {
            state.quiet = Some(Box::new(Quiet::absent(stamp)));
        }
        return report;
    }
    let mut attempt = match site.resilience.quarantine.admit_stamped(&slug, stamp) {
        Admission::Go(attempt) => attempt,
        Admission::Held(held) => {
            state.quiet = Some(Box::new(Quiet::held(stamp, &held, tick.monotonic)));
            return held_report(state, held.retry_in);
        }
        Admission::Probing => return BoardReport::new(&slug, Outcome::Busy),
    };
    let lock = match tick_lock(state) {
        Ok(Some(lock)) => lock,
        Ok(None) => return locked_elsewhere(tick, state),
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

    state.locked_since = None;
    if attempt.why() != Reason::New {
        state.caution.returns();
        // A plain turn may never meet what a look through the file has found.
        state.must_check |= state.failed_with(Class::Corrupt);
    }
    let mut report = BoardReport::new(&slug, Outcome::Ticked);
    let is_checked = !stamp.is_empty_file() && damage::is_check_due(tick, state);
    let mut result = if stamp.is_empty_file() {
        // Not even opened: SQLite would delete a log that lies beside it, which may be all that is left.
        state.close(site);
        Err(Error::emptied(state.board.db()))
    } else if is_checked {
        damage::check(tick, state).and_then(|()| visit(tick, state, &mut report))
    } else {
        visit(tick, state, &mut report)
    };
    if matches!(result, Ok(Rest::Overtaken)) {
        // That may be what this turn is for, and nothing will tell of it again.
        result = visit(tick, state, &mut report);
    }
    if let Err(error) = &result {
        let reaction = resilience::reaction(&resilience::classify(&state.board, error));
        let is_lasting = matches!(reaction, Reaction::Repair | Reaction::Hold);
        if is_lasting && tick.is_early && stamp.is_young() {
            // Called by a write of this moment, of which more may follow: the next pass judges what has become of it.
            state.close(site);
            state.must_check |= is_checked;
            report.outcome = Outcome::Busy;
            return report;
        }
        match reaction {
            Reaction::Reopen => {
                state.close(site);
                result = visit(tick, state, &mut report);
            }
            Reaction::Repair | Reaction::Hold => match mend(tick, state, error) {
                Ok(Mended::Repaired(made)) => {
                    report.repaired = made;
                    // The repair wrote: what follows is judged by the file as it left it.
                    before = state.observe();
                    attempt.restamp(before);
                    result = visit(tick, state, &mut report);
                }
                // Another program was quicker, or it is no drift of ours: what is there now decides.
                Ok(Mended::Complete) => result = visit(tick, state, &mut report),
                Ok(Mended::NotNeeded | Mended::Spent) => {}
                Err(error) => result = Err(error),
            },
            Reaction::Leave => {}
        }
    }
    let mut has_seen_all = true;
    if matches!(&result, Err(error) if is_hold(state, error)) {
        // What mends it may be committed and not yet shown, and then no file would change any more.
        match state.is_lull(
            tick.config.busy_timeout_ms.min(COMMIT),
            tick.config.busy_timeout_ms,
        ) {
            Some(true) => {}
            Some(false) => result = visit(tick, state, &mut report),
            None => has_seen_all = !state.has_missed(),
        }
    }
    drop(lock);
    match result {
        Ok(rest) => {
            let ended = attempt.ok();
            if !report.held.contains_key(&HeldReason::NoWorker) {
                site.resilience.log_success(&slug, ended.is_some());
            }
            log_work(tick.number, &report);
            log_no_worker(tick, state, &report);
            state.succeeded(tick.now, &report);
            state.quiet = Quiet::after(rest, before, state, &report).map(Box::new);
            report
        }
        Err(error) => {
            if resilience::classify(&state.board, &error).class() == Class::ReadOnly {
                // Opened when it could not be written, and so for good: the next turn opens it anew.
                state.close(site);
            }
            let is_hold = has_seen_all && is_hold(state, &error);
            let held = is_hold.then(|| {
                state.close(site);
                let hold = resilience::hold(&tick.config.quarantine);
                attempt.failed_leaving(&state.left(before), &hold)
            });
            if held.is_none() && is_damage(state, &error) {
                // One read came back wrong. The page may still be in the connection's memory, and is not read again from there.
                state.close(site);
            }
            fail(tick, state, &error, held.as_ref(), report)
        }
    }
}

/// Whether an error speaks of damage, confirmed or not.
fn is_damage(state: &BoardState, error: &Error) -> bool {
    resilience::classify(&state.board, error).class() == Class::Corrupt
}

/// The one repair that an error may lead to.
fn mend(tick: &Tick, state: &mut BoardState, error: &Error) -> Result<Mended, Error> {
    let verdict = resilience::classify(&state.board, error);
    match (resilience::reaction(&verdict), verdict.class()) {
        (Reaction::Repair, _) => mend::repair_schema(tick, state),
        (_, Class::Corrupt) => damage::repair(tick, state, error),
        _ => Ok(Mended::NotNeeded),
    }
}

/// Whether a failure puts its board on hold. Damage does when it is confirmed; the next tick asks again about what is not.
fn is_hold(state: &BoardState, error: &Error) -> bool {
    let verdict = resilience::classify(&state.board, error);
    match resilience::reaction(&verdict) {
        Reaction::Hold if verdict.class() == Class::Corrupt => error.kind() == ErrorKind::Damaged,
        // A repair that was allowed has been tried by now.
        Reaction::Hold | Reaction::Repair => true,
        Reaction::Reopen | Reaction::Leave => false,
    }
}

/// Opens, reads, decides, writes, starts: everything that touches the board's database.
fn visit(tick: &Tick, state: &mut BoardState, report: &mut BoardReport) -> Result<Rest, Error> {
    let site = &*tick.site;
    let board = state.board.clone();
    let slug = board.slug();
    // A second visit in one turn has what the first one left.
    let room = state.room.saturating_sub(report.started.len());
    let has_failed = state.failure.is_some();
    let (mut view, db, refusals, caution) = state.look(tick)?;
    refusals.set_aside(&mut view, tick.monotonic);
    site.workers
        .rebase(slug, &mut view, tick.now, &site.clock, tick.monotonic);
    let local = [site.our_prefix.as_str(), site.peer_prefix.as_str()];
    let processes = site.workers.processes(slug, &view, &local);
    site.workers
        .unproven
        .tell(slug, &view, &processes, &site.our_prefix, tick.now);
    let still_alive = workers::settle_strays(tick, db, slug, &view, report)?;

    let policy = policy(tick, &view);
    note_told(db, &mut view.tasks, &policy.spawnable)?;
    let mut decision = decide(&view, &processes, &policy, tick.now);
    refusals.rest(tick, &decision.transitions);
    let unjudged = caution.clone();
    let shown = cautious::judge(tick, db, &view, caution, &mut decision);
    limit_claims(
        tick,
        &view,
        &mut decision,
        (refusals, caution),
        &still_alive,
        room,
        report,
    );

    let (transitions, claims) = (&decision.transitions, &decision.claims);
    if has_failed && transitions.is_empty() && claims.is_empty() {
        // For want of places or tasks there is nothing to write: that alone is no sign that it works.
        prove_writable(db)?;
    }
    let may_claim = || !tick.wake.is_stopped();
    // What could not be written is judged again by the next turn, and as if for the first time.
    let applied = apply_while(db, transitions, claims, tick.now, may_claim)
        .inspect_err(|_| *caution = unjudged)?;
    let refused_until = tick.monotonic + REFUSED_INTERVALS * tick.config.dispatch_interval_seconds;
    refusals.add(&applied.refused, refused_until);
    workers::forget_ended(tick, slug, &view, &applied.written);
    workers::count(report, &view, &applied);
    workers::log_set_aside(slug, &applied);
    note_failures(&mut view, &applied.written);
    cautious::tell(tick, db, slug, caution, shown)?;
    let scene = Scene {
        tick,
        board: &board,
        view: &view,
        policy: &policy,
    };
    workers::start_claimed(&scene, db, applied.claimed, (caution, refusals), report)?;
    for (task, reason) in &decision.stops {
        workers::stop(tick, slug, task, *reason, report);
    }
    let strays = &still_alive;
    let rest = quiet::rest(tick, state, &view, &processes, &decision, report, strays);
    let rest = rest.confirmed(tick, state);
    // Workers give signs of life.
    let is_expected = rest == Rest::Restless || report.running > 0;
    state.close_surplus(tick, is_expected);
    Ok(rest)
}

/// The lock under which a board is ticked, by whatever program. `None`: another program is at it.
fn tick_lock(state: &BoardState) -> Result<Option<FileLock>, Error> {
    let path: PathBuf = state.board.tick_lock();
    FileLock::try_acquire(&path).map_err(|error| {
        // Fails closed: without the lock the board is not touched.
        Error::io(format!("take the tick lock {}", path.display()), error).on(state.board.slug())
    })
}
