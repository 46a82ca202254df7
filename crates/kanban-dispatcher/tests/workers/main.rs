//! Workers are real processes, and the dispatcher keeps them honest: none runs before its identity is committed, every end is
//! recorded with its cause, a stop reaches the whole process group, survivors are adopted, and no stranger is ever signalled.

#[path = "../support/mod.rs"]
mod support;

mod claims;
mod ends;
mod restarts;
mod stops;
mod strangers;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

use kanban_dispatcher::{
    Clock, Complete, Detail, Dispatcher, ErrorKind, HeldReason, Job, NewTask, Outcome, Root, Store,
    WorkerCommand, Workspace,
};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use support::child::{self, Role};
use support::{Fleet, LONG, Result, START, connect, task, until, value};

/// The other processes: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some("worker") => work(),
        Some("doomed dispatcher") => be_doomed(),
        _ => Ok(()),
    }
}

/// A worker that looks at its own row as the first thing it does, and then does what a worker does.
fn work() -> Result {
    let (clock, root) = (
        Clock::system(),
        Root::at(child::variable("HERMES_KANBAN_HOME")?),
    );
    let board = root.board(&child::variable("HERMES_KANBAN_BOARD")?.parse()?);
    let id = child::variable("HERMES_KANBAN_TASK")?;
    let run: i64 = child::variable("HERMES_KANBAN_RUN_ID")?.parse()?;
    let recorded: (Option<i64>, String, Option<i64>) = connect(board.db())?.query_row(
        "SELECT worker_pid, claim_lock, current_run_id FROM tasks WHERE id = ?1",
        [&id],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let lock = child::variable("HERMES_KANBAN_CLAIM_LOCK")?;
    let known = recorded == (Some(std::process::id().into()), lock, Some(run));
    let mut store = Store::open(&board, &clock)?;
    store.heartbeat(&id, Some(run), Some("begun"), None)?;
    let done = Complete {
        run: Some(run),
        summary: Some(if known { "known" } else { "unknown" }.to_owned()),
        ..Complete::default()
    };
    Ok(store.complete(&id, &done)?)
}

/// A dispatcher that can never commit who its worker is: its own launcher takes the board's write lock for ever.
fn be_doomed() -> Result {
    static LOCK: Mutex<Option<Connection>> = Mutex::new(None);
    let root = Root::at(child::variable("TEST_ROOT")?);
    let ran = child::variable("TEST_RAN")?;
    let mut config = kanban_dispatcher::Config::default();
    config.worker.require_profile = false;
    config.busy_timeout_ms = Duration::from_secs(60);
    config.board_deadline_seconds = Duration::from_secs(60);
    let mut dispatcher = Dispatcher::builder(root, config)
        .launcher(move |job: &Job<'_>| {
            let db = connect(job.board.db())
                .map_err(|error| std::io::Error::other(error.to_string()))?;
            db.execute_batch("BEGIN IMMEDIATE")
                .map_err(std::io::Error::other)?;
            *LOCK
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(db);
            Ok(shell(&format!("echo ran > {ran}; sleep 120")))
        })
        .build();
    child::say_ready()?;
    dispatcher.tick();
    Err("the tick came to an end".into())
}

fn shell(script: &str) -> WorkerCommand {
    WorkerCommand {
        argv: ["sh", "-c", script].map(Into::into).to_vec(),
        env: Vec::new(),
    }
}

/// A fleet with a board "alpha", one ready task, and a dispatcher whose workers run `script`.
fn one(script: &str) -> Result<(Fleet, String, Dispatcher)> {
    one_of(script, &task(0))
}

fn one_of(script: &str, new: &NewTask) -> Result<(Fleet, String, Dispatcher)> {
    let fleet = Fleet::new()?;
    let id = fleet.store("alpha")?.create(new)?;
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let dispatcher = fleet
        .builder(|config| config.worker.command = Some(command))
        .build();
    Ok((fleet, id, dispatcher))
}

fn show(fleet: &Fleet, id: &str) -> Result<Detail> {
    Ok(fleet.store("alpha")?.show(id)?)
}

fn outcomes(detail: &Detail) -> Vec<&str> {
    detail
        .runs
        .iter()
        .map(|run| run.outcome.as_deref().unwrap_or("open"))
        .collect()
}

fn kinds(detail: &Detail) -> Vec<&str> {
    detail
        .events
        .iter()
        .map(|event| event.kind.as_str())
        .collect()
}

/// Ticks until the task has this status.
fn tick_until(fleet: &Fleet, dispatcher: &mut Dispatcher, id: &str, status: &str) -> Result {
    until(&format!("the task is {status}"), || {
        dispatcher.tick();
        Ok(show(fleet, id)?.task.status == status)
    })
}

fn is_alive(pid: i64) -> bool {
    // A zombie has no command line.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// A process that has nothing to do with any board; ended when it is dropped.
struct Innocent(Child);

impl Innocent {
    fn start() -> Result<Self> {
        Ok(Self(Command::new(LONG[0]).arg(LONG[1]).spawn()?))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn is_alive(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Innocent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_finds_its_identity_on_the_board_when_it_begins() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let words = child::words();
    let mut dispatcher = fleet
        .builder(|config| config.claim_ttl_seconds = 100_000_000)
        .launcher(move |_: &Job<'_>| {
            Ok(WorkerCommand {
                argv: words.iter().map(Into::into).collect(),
                env: vec![(child::ROLE.into(), Some("worker".into()))],
            })
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 3);
    for id in &ids {
        tick_until(&fleet, &mut dispatcher, id, "done")?;
        let detail = show(&fleet, id)?;
        assert_eq!(
            kinds(&detail),
            ["created", "claimed", "spawned", "heartbeat", "completed"]
        );
        assert_eq!(outcomes(&detail), ["completed"]);
        assert_eq!(detail.runs[0].summary.as_deref(), Some("known"));
    }
    until("the workers have ended", || {
        dispatcher.tick();
        Ok(dispatcher.workers_alive() == 0)
    })?;
    let events = |id: &String| Ok(show(&fleet, id)?.events.len());
    assert_eq!(
        ids.iter().map(events).collect::<Result<Vec<_>>>()?,
        [5, 5, 5]
    );
    Ok(())
}

#[test]
fn a_worker_whose_dispatcher_dies_before_the_commit_ends_without_running() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let ran = fleet.path().join("ran");
    let paths = [fleet.path(), &ran].map(|path| path.to_string_lossy().into_owned());
    let variables = [("TEST_ROOT", &*paths[0]), ("TEST_RAN", &*paths[1])];
    let mut doomed = Role::start("doomed dispatcher", &variables)?.ready()?;
    until("its worker waits at the gate", || {
        let at_gate = fleet.root.ledger().exists() && fleet.processes().len() == 1;
        Ok(at_gate
            && value::<i64>(
                &connect(&fleet.root.ledger())?,
                "SELECT count(*) FROM workers",
            )? == 1)
    })?;
    doomed.child.kill()?;
    doomed.child.wait()?;
    fleet.has_processes(0)?;
    assert!(!ran.exists(), "it ran");
    let before = show(&fleet, &id)?;
    assert_eq!(before.task.status, "running", "claimed, and nobody at it");
    assert_eq!(kinds(&before), ["created", "claimed"]);

    // The next one does, without waiting for the claim to run out, and once.
    let mut dispatcher = fleet.dispatcher();
    let mut started = Vec::new();
    until("it is started", || {
        started.extend(fleet.part(&dispatcher.tick(), "alpha")?.started.clone());
        Ok(!started.is_empty())
    })?;
    assert_eq!(started, std::slice::from_ref(&id));
    fleet.has_processes(1)?;
    let detail = show(&fleet, &id)?;
    assert_eq!(outcomes(&detail), ["reclaimed", "open"]);
    assert_eq!(detail.task.consecutive_failures, 0);
    Ok(())
}

#[test]
fn a_claim_that_is_taken_away_before_the_commit_never_runs() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let ran = fleet.path().join("ran");
    let script = format!("echo ran > {}", ran.display());
    let mut dispatcher = fleet
        .builder(|_| ())
        .launcher(move |job: &Job<'_>| {
            let taken = || -> Result {
                connect(job.board.db())?
                    .execute_batch("UPDATE tasks SET claim_lock = 'person:1'")
                    .map_err(Into::into)
            };
            taken().map_err(|error| std::io::Error::other(error.to_string()))?;
            Ok(shell(&script))
        })
        .build();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, [] as [&str; 0]);
    assert_eq!(dispatcher.workers_alive(), 0);
    fleet.has_processes(0)?;
    assert!(!ran.exists());
    assert_eq!(kinds(&show(&fleet, &id)?), ["created", "claimed"]);
    Ok(())
}
