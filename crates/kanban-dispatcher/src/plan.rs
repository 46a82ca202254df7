//! The dry run: what a tick would do now. Nothing is locked, written, started or signalled.

use fingerprint_quarantine::SqliteStamp;
use rusqlite::Connection;
use serde::Serialize;

use crate::board::{Drift, drift, observe, open_read_only, refuse_newer};
use crate::clock::Clock;
use crate::config::Config;
use crate::decide::{Decision, decide};
use crate::discover::discover;
use crate::error::Error;
use crate::onlooker::Onlooker;
use crate::report::held_by_reason;
use crate::root::{Board, Root, Slug};
use crate::share::{Asking, share};
use crate::transition::{Claim, Transition};
use crate::view::{HeldCounts, HeldReason, View};

/// What a tick would do on one board.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BoardPlan {
    /// The board.
    pub slug: Slug,
    /// Whether there would be a turn at all.
    pub state: PlanState,
    /// Why not, or what would be repaired first.
    pub reason: Option<String>,
    /// Tasks that would be claimed and started, best first.
    pub would_start: Vec<String>,
    /// Tasks that would become ready.
    pub would_promote: Vec<String>,
    /// Tasks whose claims would end.
    pub would_reclaim: Vec<String>,
    /// Tasks whose attempts would be recorded as failed.
    pub would_fail: Vec<String>,
    /// Ready tasks that would stay, by reason.
    #[serde(serialize_with = "held_by_reason")]
    pub held: HeldCounts,
}

/// Whether a board would have a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanState {
    /// It would be ticked.
    Tick,
    /// Its schema would be repaired first; what follows cannot be told before.
    Repair,
    /// It has no database.
    Absent,
    /// It cannot be read.
    Unreadable,
}

/// What a tick of every board below `root` would do now.
///
/// The boards are opened read-only (SQLite itself may leave an empty `-wal` and a `-shm` beside one). What a running dispatcher keeps in memory (quarantine, its workers' exit codes) is not known here.
///
/// # Errors
/// The boards cannot be listed. What is wrong with one board is in its plan.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{Clock, Config, NewTask, Root, Slug, Store, plan};
///
/// let dir = tempfile::tempdir()?;
/// let root = Root::at(dir.path());
/// let mut store = Store::init(&root.board(&Slug::default()), &Clock::system())?;
/// let id = store.create(&NewTask { title: "x".into(), assignee: Some("a".into()), ..NewTask::default() })?;
/// let config = Config::from_toml("worker = { command = [\"true\"], require_profile = false }")?;
/// assert_eq!(plan(&root, &config)?[0].would_start, [id]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(root: &Root, config: &Config) -> Result<Vec<BoardPlan>, Error> {
    plan_at(root, config, &Clock::system())
}

/// The same by another clock than the machine's.
///
/// # Errors
/// As [`plan`].
pub fn plan_at(root: &Root, config: &Config, clock: &Clock) -> Result<Vec<BoardPlan>, Error> {
    let onlooker = Onlooker::new(root, config, clock);
    let plan = |board: &Board| plan_board(&onlooker, config, board);
    let boards = discover(root)?;
    let served = boards.iter().filter(|board| root.serves(board.slug()));
    let mut plans: Vec<BoardPlan> = served.map(plan).collect();
    limit_all(&mut plans, onlooker.room());
    Ok(plans)
}

/// Takes away what exceeds the limit over all boards. Which boards have waited longest only a running dispatcher knows; here none has.
fn limit_all(plans: &mut [BoardPlan], room: usize) {
    let places = share_unseen(
        room,
        &plans
            .iter()
            .map(|plan| plan.would_start.len())
            .collect::<Vec<_>>(),
    );
    for (plan, places) in plans.iter_mut().zip(places) {
        let waits = plan.would_start.len() - places;
        plan.would_start.truncate(places);
        if waits > 0 {
            let waits = u32::try_from(waits).unwrap_or(u32::MAX);
            *plan.held.entry(HeldReason::HostCap).or_default() += waits;
        }
    }
}

/// As a dispatcher shares in its first tick: blindly, since it knows no board yet, and then again what nobody took.
fn share_unseen(room: usize, wants: &[usize]) -> Vec<usize> {
    let new = |wants, last_served| Asking { wants, last_served };
    let blind = vec![new(usize::MAX, 0); wants.len()];
    let first: Vec<usize> = share(room, &blind)
        .into_iter()
        .zip(wants)
        .map(|(place, wants)| place.min(*wants))
        .collect();
    let left = room - first.iter().sum::<usize>();
    let waiting: Vec<Asking> = first
        .iter()
        .zip(wants)
        .map(|(place, wants)| new(wants - place, u64::from(*place > 0)))
        .collect();
    let second = share(left, &waiting);
    first.iter().zip(second).map(|(a, b)| a + b).collect()
}

fn plan_board(onlooker: &Onlooker, config: &Config, board: &Board) -> BoardPlan {
    let mut plan = BoardPlan {
        slug: board.slug().clone(),
        state: PlanState::Tick,
        reason: None,
        would_start: Vec::new(),
        would_promote: Vec::new(),
        would_reclaim: Vec::new(),
        would_fail: Vec::new(),
        held: HeldCounts::new(),
    };
    let stamp = SqliteStamp::of(board.db());
    if stamp.is_absent() {
        plan.state = PlanState::Absent;
        return plan;
    }
    if stamp.is_empty_file() {
        plan.state = PlanState::Unreadable;
        plan.reason = Some("the file is empty: it lost its content, or never had any".to_owned());
        return plan;
    }
    match look(onlooker, config, board) {
        Ok(Look::Lacks(lacks)) => {
            plan.state = PlanState::Repair;
            plan.reason = Some(format!("missing: {}", Drift::list(&lacks)));
        }
        Ok(Look::Decided(decision)) => fill(&mut plan, decision),
        Err(error) => {
            plan.state = PlanState::Unreadable;
            plan.reason = Some(error.chain());
        }
    }
    plan
}

enum Look {
    Lacks(Vec<Drift>),
    Decided(Decision),
}

fn look(onlooker: &Onlooker, config: &Config, board: &Board) -> Result<Look, Error> {
    let db: Connection = open_read_only(board.db())?;
    db.busy_timeout(config.busy_timeout_ms)?;
    refuse_newer(&db)?;
    let lacks = drift(&db)?;
    if !lacks.is_empty() {
        return Ok(Look::Lacks(lacks));
    }
    let view = observe(&db)?;
    let (processes, policy) = onlooker.facts(board.slug(), &view);
    let mut decision = decide(&view, &processes, &policy, onlooker.now());
    limit_claims(onlooker, board.slug(), &view, &mut decision);
    Ok(Look::Decided(decision))
}

/// Takes away the claims that a tick would not make, as far as that can be told from outside.
fn limit_claims(onlooker: &Onlooker, slug: &Slug, view: &View, decision: &mut Decision) {
    let mut hold = |reason, is_held: &dyn Fn(&Claim) -> bool| {
        let held = decision.claims.extract_if(.., |claim| is_held(claim));
        let count = u32::try_from(held.count()).unwrap_or(u32::MAX);
        if count > 0 {
            *decision.held.entry(reason).or_default() += count;
        }
    };
    hold(HeldReason::Paused, &|_| onlooker.is_paused(slug));
    hold(HeldReason::NoWorker, &|_| onlooker.has_no_worker());
    let worktrees = view.worktrees();
    hold(HeldReason::NoWorker, &|claim| {
        worktrees.contains(&*claim.task) && onlooker.lacks_git()
    });
    let live_on = onlooker.live_on(slug, view);
    hold(HeldReason::WorkerEnding, &|claim| {
        live_on.contains(&claim.task)
    });
    let (most, _) = onlooker.starts_max(slug);
    let waits = decision.claims.len().saturating_sub(most);
    if waits > 0 {
        decision.claims.truncate(most);
        let waits = u32::try_from(waits).unwrap_or(u32::MAX);
        *decision.held.entry(HeldReason::Breaker).or_default() += waits;
    }
}

fn fill(plan: &mut BoardPlan, decision: Decision) {
    for transition in &decision.transitions {
        let list = match transition {
            Transition::Promote { .. } | Transition::Probe { .. } => &mut plan.would_promote,
            Transition::Reclaim(_) | Transition::Stale(_) => &mut plan.would_reclaim,
            Transition::Fail(_) => &mut plan.would_fail,
            _ => continue,
        };
        list.push(transition.task().to_owned());
    }
    plan.would_start = decision
        .claims
        .into_iter()
        .map(|claim| claim.task)
        .collect();
    plan.held = decision.held;
}
