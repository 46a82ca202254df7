//! The dry run: what a tick would do now. Nothing is locked, written, started or signalled.

use std::sync::Arc;

use fingerprint_quarantine::SqliteStamp;
use rusqlite::Connection;
use serde::Serialize;

use crate::board::{Drift, drift, observe, open_read_only};
use crate::clock::Clock;
use crate::config::Config;
use crate::decide::{Decision, decide};
use crate::discover::discover;
use crate::error::Error;
use crate::ledger::{self, Ledger};
use crate::report::held_by_reason;
use crate::root::{Board, Root, Slug};
use crate::site::Site;
use crate::tick::{Tick, policy};
use crate::transition::Transition;
use crate::view::HeldCounts;
use crate::wake::Wake;
use crate::worker::Gate;

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
    /// Tasks that would be claimed and started, best first; the limit over all boards is not applied.
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
/// let config = Config::from_toml("worker.require_profile = false")?;
/// assert_eq!(plan(&root, &config)?[0].would_start, [id]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(root: &Root, config: &Config) -> Result<Vec<BoardPlan>, Error> {
    let clock = Clock::system();
    let site = Site::new(root.clone(), config, clock, None, Gate::shell());
    if let Ok(Some(db)) = Ledger::read(root) {
        site.workers
            .adopt(ledger::read_workers(&db).unwrap_or_default());
    }
    let tick = Tick::new(Arc::new(site), Arc::new(config.clone()), Wake::new(), false);
    tick.site.workers.poll(tick.monotonic);
    Ok(discover(root)?
        .iter()
        .filter(|board| root.serves(board.slug()))
        .map(|board| plan_board(&tick, board))
        .collect())
}

fn plan_board(tick: &Tick, board: &Board) -> BoardPlan {
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
    match look(tick, board) {
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

fn look(tick: &Tick, board: &Board) -> Result<Look, Error> {
    let db: Connection = open_read_only(board.db())?;
    db.busy_timeout(tick.config.busy_timeout_ms)?;
    let lacks = drift(&db)?;
    if !lacks.is_empty() {
        return Ok(Look::Lacks(lacks));
    }
    let view = observe(&db)?;
    let local = [
        tick.site.our_prefix.as_str(),
        tick.site.peer_prefix.as_str(),
    ];
    let processes = tick.site.workers.processes(board.slug(), &view, &local);
    Ok(Look::Decided(decide(
        &view,
        &processes,
        &policy(tick, &view),
        tick.now,
    )))
}

fn fill(plan: &mut BoardPlan, decision: Decision) {
    for transition in &decision.transitions {
        let list = match transition {
            Transition::Promote { .. } => &mut plan.would_promote,
            Transition::Reclaim(_) => &mut plan.would_reclaim,
            Transition::Fail(_) => &mut plan.would_fail,
            Transition::Renew { .. } | Transition::Extend { .. } | Transition::Demote { .. } => {
                continue;
            }
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
