//! Boards with something to start: a tick reads, decides and claims; what a claim costs, without a process and with one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kanban_dispatcher::{Config, Dispatcher, Gate, Job, WorkerCommand};
use rusqlite::Connection;

use super::plain_claims::Plain;
use super::{Plan, claim_syncs, sound};
use crate::Result;
use crate::fleet::{Fleet, connect};
use crate::meter::{Repeat, measured, median, now_ns, until};
use crate::peer::Peer;
use crate::report::{Line, NONE, Section, Value};
use crate::settings::Mode;

pub(super) const BACKLOG: usize = 64;
const FEW: usize = 4;

/// No task is given up, and no board rests, however often a start is refused.
const SETTINGS: &str = "check.interval_seconds = 0\nworkers_max = 500\nfailure_limit = 1000\nbreaker.deaths = 0\n\
                        dispatch_interval_seconds = 0.01";

/// A thousand tasks beside those that are ready, so many of them done: of the others half wait for a parent, and half for a person.
fn thousand(done: usize) -> String {
    let todo = done + (995 - done) / 2;
    format!(
        "DELETE FROM tasks;
        DELETE FROM task_events;
        INSERT INTO tasks (id, title, status, created_at) VALUES ('t_parent', 'parent', 'triage', 1);
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 995)
        INSERT INTO tasks (id, title, assignee, status, created_at) SELECT printf('t_old%04d', i), 'task', 'coder',
            CASE WHEN i <= {done} THEN 'done' WHEN i <= {todo} THEN 'todo' ELSE 'blocked' END, 1 FROM n;
        INSERT INTO task_links (parent_id, child_id) SELECT 't_parent', id FROM tasks WHERE status = 'todo';
        INSERT INTO task_events (task_id, kind, created_at) SELECT id, 'blocked', 1 FROM tasks WHERE status = 'blocked';"
    )
}

/// What becomes of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The launcher refuses: claim and failure are written, and there is no process.
    Refused,
    /// A process that ends at once.
    True,
}

pub(crate) fn measure(plan: &Plan) -> Result<Section> {
    eprintln!("claims");
    let rounds = plan.or(21, 3);
    let mut lines = Vec::new();
    for (name, sql, ready) in [
        ("1,000 tasks, 4 ready, 500 done", &*thousand(500), FEW),
        (
            "1,000 tasks, 4 ready, the others done",
            &*thousand(995),
            FEW,
        ),
        ("backlog of 64", "", BACKLOG),
    ] {
        let value = |ns: Option<f64>| ns.map_or(NONE, Value::Time);
        let refused = in_turns(plan, sql, ready, Start::Refused, rounds)?;
        lines.push(
            Line::new(
                format!("{name}, claimed"),
                Value::Time(refused.ours.claimed),
            )
            .limit(value(refused.limit.map(|limit| limit.claimed)))
            .peer(value(refused.peer.map(|peer| peer.claimed))),
        );
        let started = in_turns(plan, sql, ready, Start::True, rounds)?;
        for (what, all) in [("and refused", refused), ("and started", started)] {
            lines.push(
                Line::new(format!("{name}, {what}"), Value::Time(all.ours.whole))
                    .limit(value(all.limit.map(|limit| limit.whole)))
                    .peer(value(all.peer.map(|peer| peer.whole))),
            );
        }
    }
    lines.extend(claim_syncs::measure(plan)?);
    let about = "Time on the wall per claim; both sides have synced a claim before its worker runs. \"Claimed\": from the start of the tick until the launcher is \
                 asked for the first command, when all claims are committed; of the peer, until its first claim begins, and all its \
                 claims. Ours are synced with what comes of them, before a worker passes its gate; the peer's each by itself. Their \
                 workspaces are there already. \"And refused\": the whole tick where the launcher refuses, so that each failure is \
                 written too, and all is synced. \"And started\": the whole tick, with a process for each, that waits at its gate \
                 (which is this program, as with `kanban run`) and then becomes `true`; the peer starts `true` at once. The limit is \
                 the rows of the claims alone, and with those of the failures and their sync: nothing is asked but which tasks are \
                 ready. All three in turns.";
    Ok(Section {
        title: "Claims",
        about: about.to_owned(),
        lines,
    })
}

/// Nanoseconds for one claim: until it is committed, and of the whole tick.
#[derive(Debug, Clone, Copy)]
struct PerClaim {
    claimed: f64,
    whole: f64,
}

/// What one state of a board costs.
#[derive(Debug, Clone, Copy)]
struct Found {
    ours: PerClaim,
    /// Where no process is started.
    limit: Option<PerClaim>,
    peer: Option<PerClaim>,
}

/// Ours, the limit and the peer's, in turns: the machine is as fast for the one as for the other, and none finds warm caches.
fn in_turns(plan: &Plan, sql: &str, ready: usize, start: Start, rounds: usize) -> Result<Found> {
    let mut ours = Ours::new(plan, sql, start)?;
    // The limit knows of no processes.
    let mut plain = match start {
        Start::Refused => Some(Plain::new(plan, sql)?),
        Start::True => None,
    };
    let mut theirs = match &plan.python {
        Some(python) => Some(Theirs::new(plan, python, sql, start)?),
        None => None,
    };
    let (mut costs, mut limits, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for round in Repeat::new(rounds, Duration::from_secs(16)) {
        costs.push(ours.round(round, ready)?);
        if let Some(plain) = &mut plain {
            limits.push(plain.round(round, ready)?);
        }
        if let Some(theirs) = &mut theirs {
            peers.push(theirs.round(round, ready)?);
        }
    }
    Ok(Found {
        ours: per_claim(&costs, ready),
        limit: (!limits.is_empty()).then(|| per_claim(&limits, ready)),
        peer: (!peers.is_empty()).then(|| per_claim(&peers, ready)),
    })
}

/// A dispatcher, and the first instant at which its launcher was asked; 0 is not yet.
pub(super) struct Asked {
    pub(super) dispatcher: Dispatcher,
    first: Arc<AtomicU64>,
}

impl Asked {
    pub(super) fn new(fleet: &Fleet, gate: &Gate, start: Start) -> Result<Self> {
        let config: Config = Mode::Sweep.config(SETTINGS)?.ok_or("there is no sweep")?;
        let first = Arc::new(AtomicU64::new(0));
        let asked = Arc::clone(&first);
        let command = move |_: &Job<'_>| {
            let _ = asked.compare_exchange(0, now_ns(), Ordering::Relaxed, Ordering::Relaxed);
            match start {
                Start::Refused => Err(io::Error::other("refused")),
                Start::True => Ok(WorkerCommand {
                    argv: vec!["true".into()],
                    env: Vec::new(),
                }),
            }
        };
        let builder = Dispatcher::builder(fleet.root.clone(), config);
        Ok(Self {
            dispatcher: builder.gate(gate.clone()).launcher(command).build(),
            first,
        })
    }

    /// One tick that must make so many claims: when the first command was asked for, and what the whole took.
    pub(super) fn tick(&mut self, ready: usize, start: Start) -> Result<(f64, f64)> {
        self.first.store(0, Ordering::Relaxed);
        let begun = now_ns();
        let (report, cost) = measured(|| self.dispatcher.tick());
        sound(&report)?;
        let claimed = match start {
            Start::Refused => report.boards.first().map_or(0, |board| board.failed) as usize,
            Start::True => report.started(),
        };
        if claimed != ready {
            return Err(format!("{claimed} claims and not {ready}: {report:?}").into());
        }
        let claimed = self.first.load(Ordering::Relaxed) - begun;
        Ok((claimed as f64, cost.wall))
    }
}

/// The medians, for one claim each.
fn per_claim(rounds: &[(f64, f64)], ready: usize) -> PerClaim {
    PerClaim {
        claimed: median(rounds.iter().map(|round| round.0)) / ready as f64,
        whole: median(rounds.iter().map(|round| round.1)) / ready as f64,
    }
}

/// What makes so many new tasks ready in this round, and removes those of the round before. Their workspace is there already: how long
/// one takes to be made is another question.
pub(super) fn feed(round: usize, ready: usize) -> Vec<String> {
    let removed = [
        ("tasks", "id"),
        ("task_runs", "task_id"),
        ("task_events", "task_id"),
    ]
    .map(|(table, column)| format!("DELETE FROM {table} WHERE {column} LIKE 't_new%'"));
    let workspace = std::env::temp_dir();
    let workspace = workspace.display();
    let made = (0..ready).map(|n| {
        format!(
            "INSERT INTO tasks (id, title, assignee, status, created_at, workspace_kind, workspace_path) \
             VALUES ('t_new{round:03}{n:03}', 'task', 'coder', 'ready', 1, 'dir', '{workspace}')"
        )
    });
    removed.into_iter().chain(made).collect()
}

pub(super) fn write(db: &Connection, sql: &[String]) -> Result {
    Ok(db.execute_batch(&format!("BEGIN; {}; COMMIT", sql.join("; ")))?)
}

struct Ours {
    _fleet: Fleet,
    asked: Asked,
    db: Connection,
    start: Start,
}

impl Ours {
    fn new(plan: &Plan, sql: &str, start: Start) -> Result<Self> {
        let fleet = Fleet::new(&plan.place, 1, sql)?;
        Ok(Self {
            asked: Asked::new(&fleet, &plan.gate, start)?,
            db: connect(&fleet.boards[0])?,
            _fleet: fleet,
            start,
        })
    }

    fn round(&mut self, round: usize, ready: usize) -> Result<(f64, f64)> {
        let dispatcher = &mut self.asked.dispatcher;
        until("the workers have ended", Duration::from_secs(30), || {
            sound(&dispatcher.tick())?;
            Ok(dispatcher.workers_alive() == 0)
        })?;
        sound(&dispatcher.tick())?;
        write(&self.db, &feed(round, ready))?;
        self.asked.tick(ready, self.start)
    }
}

struct Theirs {
    _fleet: Fleet,
    peer: Peer,
    start: Start,
}

impl Theirs {
    fn new(plan: &Plan, python: &Path, sql: &str, start: Start) -> Result<Self> {
        let fleet = Fleet::new(&plan.place, 1, sql)?;
        let mut peer = Peer::on(python, &fleet, None)?;
        // The first time it checks the file.
        peer.claims(&[], false)?;
        Ok(Self {
            _fleet: fleet,
            peer,
            start,
        })
    }

    fn round(&mut self, round: usize, ready: usize) -> Result<(f64, f64)> {
        let claims = self
            .peer
            .claims(&feed(round, ready), self.start == Start::True)?;
        if claims.count != ready as u64 {
            return Err(format!("the peer made {} claims and not {ready}", claims.count).into());
        }
        Ok((claims.claimed, claims.wall))
    }
}
