//! One board's turn, as one straight line: look -> decide -> write -> start. `turn.rs` is its frame.

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
mod turn;
mod workers;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use error_classify::Class;

use self::claims::limit_claims;
use self::quiet::Rest;
use self::state::BoardState;
use self::workers::Scene;
use crate::board::{apply_while, note_told, prove_writable};
use crate::config::Config;
use crate::decide::{decide, note_failures};
use crate::error::Error;
use crate::ledger::levers::Pauses;
use crate::report::BoardReport;
use crate::site::Site;
use crate::strain::{Allowed, Trouble};
use crate::wake::Wake;
use crate::worker::{CommandLauncher, Launcher, find_program};

pub(crate) use self::claims::policy;
pub(crate) use self::outcome::panicked;
pub(crate) use self::turn::tick_board;

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
