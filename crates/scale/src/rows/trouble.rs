//! Boards that cannot be served: what they cost, and what they cost the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kanban_dispatcher::{Config, Dispatcher, Outcome, TickReport};

use super::Plan;
use crate::Result;
use crate::fleet::{Fleet, Looks, connect};
use crate::meter::{Costs, Repeat, measured};
use crate::peer::Peer;
use crate::report::{Line, NONE, Section, Value, thousands};
use crate::roles::Other;
use crate::settings::Mode;

/// A column is missing, and the repair fails at one of its last statements: the name of an index is taken.
const BEYOND_REPAIR: &str = "\
ALTER TABLE tasks DROP COLUMN goal_mode;
DROP INDEX idx_events_run;
CREATE TABLE idx_events_run (x);";

/// What was written to the log.
static LOGGED: AtomicU64 = AtomicU64::new(0);

/// Counts what `kanban run` would write to standard error.
pub(crate) fn count_the_log() -> Result {
    struct Counter;
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LOGGED.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    tracing_subscriber::fmt()
        .with_writer(|| Counter)
        .with_ansi(false)
        .try_init()
        .map_err(|error| error.to_string().into())
}

// ===== drift =====

pub(crate) fn drifted(plan: &Plan) -> Result<Section> {
    let count = plan.or(1_000, 50);
    eprintln!("{count} boards beyond repair");
    let fleet = Fleet::new(&plan.place, count, BEYOND_REPAIR)?;
    let looks = Looks::new(&fleet)?;
    let config = Mode::Sweep.config("")?.ok_or("there is a sweep")?;
    let mut dispatcher = Dispatcher::new(fleet.root.clone(), config);
    let (_, first) = measured(|| dispatcher.tick());
    all_held(&dispatcher.tick())?;
    let (mut costs, mut limit) = (Costs::default(), Costs::default());
    let (mut ticks, before) = (0_usize, LOGGED.load(Ordering::Relaxed));
    for _ in Repeat::new(31, Duration::from_secs(10)) {
        limit.push(measured(|| looks.one()).1);
        let (report, cost) = measured(|| dispatcher.tick());
        all_held(&report)?;
        costs.push(cost);
        ticks += 1;
    }
    let logged = (LOGGED.load(Ordering::Relaxed) - before) as f64 / (ticks * count) as f64;
    drop(dispatcher);
    let peer = peer(plan)?;
    let (ours, limit, first) = (
        costs.median().each(count),
        limit.median().each(count),
        first.each(count),
    );
    let peers = |of: fn(&Beyond) -> Value| peer.as_ref().map_or(NONE, of);
    let lines = vec![
        Line::new("CPU", Value::Time(ours.cpu))
            .limit(Value::Time(limit.cpu))
            .peer(peers(|peer| Value::Time(peer.cpu))),
        Line::new("wall", Value::Time(ours.wall))
            .limit(Value::Time(limit.wall))
            .peer(peers(|peer| Value::Time(peer.wall))),
        Line::new("log", Value::Bytes(logged))
            .limit(Value::Bytes(0.0))
            .peer(peers(|peer| Value::Bytes(peer.log))),
        Line::new("the first tick, wall", Value::Time(first.wall)),
    ];
    let about = format!(
        "{} boards lack a column, and the repair of each fails. Per board, in the ticks after the first and between probes; \
         the limit is one `statx`. The peer has {PEERS} such boards, and logs as its gateway does.",
        thousands(count as f64)
    );
    Ok(Section {
        title: "Drifted beyond repair",
        about,
        lines,
    })
}

fn all_held(report: &TickReport) -> Result {
    let not_held = |board: &&kanban_dispatcher::BoardReport| board.outcome != Outcome::Held;
    match report.boards.iter().find(not_held) {
        Some(board) => Err(format!("a board is not held: {board:?}").into()),
        None => Ok(()),
    }
}

const PEERS: usize = 20;

/// Per board.
struct Beyond {
    cpu: f64,
    wall: f64,
    log: f64,
}

fn peer(plan: &Plan) -> Result<Option<Beyond>> {
    let Some(python) = &plan.python else {
        return Ok(None);
    };
    let fleet = Fleet::new(&plan.place, PEERS, BEYOND_REPAIR)?;
    let mut peer = Peer::on(python, &fleet, None)?;
    peer.pass(PEERS)?;
    let mut costs = Costs::default();
    let mut log = 0.0;
    for _ in Repeat::new(5, Duration::from_secs(8)) {
        let pass = peer.pass(PEERS)?;
        costs.push(pass.cost);
        log = pass.log / PEERS as f64;
    }
    let cost = costs.median().each(PEERS);
    Ok(Some(Beyond {
        cpu: cost.cpu,
        wall: cost.wall,
        log,
    }))
}

// ===== locks =====

const BOARDS: usize = 20;
const LOCKED: usize = 3;

pub(crate) fn locked(plan: &Plan) -> Result<Section> {
    eprintln!("{LOCKED} of {BOARDS} boards locked");
    let fleet = Fleet::idle(&plan.place, BOARDS)?;
    let settings = "workers_max = 100\nworker.command = [\"sleep\", \"1\"]";
    let config: Config = Mode::Sweep
        .config(settings)?
        .ok_or("the settings are wrong")?;
    let wait = config.busy_timeout_ms;
    let mut dispatcher = Dispatcher::builder(fleet.root.clone(), config)
        .gate(plan.gate.clone())
        .build();
    for _ in 0..3 {
        dispatcher.tick();
    }
    for board in &fleet.boards {
        connect(board)?.execute_batch(
            "INSERT INTO tasks (id, title, assignee, status, created_at) VALUES ('t_new', 'task', 'coder', 'ready', 1)",
        )?;
    }
    let mut other = Other::locking(&fleet.boards[..LOCKED])?;
    other.once()?;
    let (mut started, mut ticks, mut needed, mut costs) = (0, 0, None, Costs::default());
    for _ in Repeat::new(5, Duration::from_secs(30)) {
        let (report, cost) = measured(|| dispatcher.tick());
        costs.push(cost);
        ticks += 1;
        started += report.started();
        if started == BOARDS - LOCKED {
            needed = needed.or(Some(ticks));
        }
    }
    let needed = needed.ok_or_else(|| format!("only {started} have started in {ticks} ticks"))?;
    drop((other, dispatcher));
    let peer = peer_locked(plan, wait)?;
    let about = format!(
        "{LOCKED} of {BOARDS} boards are write-locked by another process, and each has a ready task. The limit is the busy timeout. The \
         peer was given the same one; its own is 480 times as long."
    );
    let lines = vec![
        Line::new(
            "ticks until the others have started",
            Value::Count(f64::from(needed)),
        )
        .limit(Value::Count(1.0)),
        Line::new("a tick, wall", Value::Time(costs.median().wall))
            .limit(Value::Time(wait.as_nanos() as f64))
            .peer(peer),
    ];
    Ok(Section {
        title: "Write-locked boards",
        about,
        lines,
    })
}

fn peer_locked(plan: &Plan, wait: Duration) -> Result<Value> {
    let Some(python) = &plan.python else {
        return Ok(NONE);
    };
    let fleet = Fleet::idle(&plan.place, BOARDS)?;
    let mut peer = Peer::on(python, &fleet, Some(wait))?;
    peer.pass(BOARDS)?;
    let mut other = Other::locking(&fleet.boards[..LOCKED])?;
    other.once()?;
    Ok(Value::Time(peer.pass(BOARDS)?.cost.wall))
}
