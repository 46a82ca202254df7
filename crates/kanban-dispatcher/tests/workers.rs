//! Workers are real processes, and the dispatcher keeps them honest: none runs before its identity is committed, every end is
//! recorded with its cause, a stop reaches the whole process group, survivors are adopted, and no stranger is ever signalled.

mod support;

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

// ===== tools =====

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

// ===== the gate =====

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

// ===== ends =====

#[test]
fn three_ends_without_a_word_in_a_row_give_the_task_up() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 0")?;
    tick_until(&fleet, &mut dispatcher, &id, "blocked")?;
    let detail = show(&fleet, &id)?;
    assert_eq!(outcomes(&detail), ["crashed"; 3]);
    let attempt = ["claimed", "spawned", "protocol_violation"];
    let expected = [&["created"][..], &attempt, &attempt, &attempt, &["gave_up"]].concat();
    assert_eq!(kinds(&detail), expected);
    let gave_up = &detail.events.last().ok_or("no events")?.payload;
    assert_eq!(gave_up["protocol_violations"], json!(3));
    assert_eq!(gave_up["protocol_violation_limit"], json!(3));
    let error = detail.task.last_failure_error.unwrap_or_default();
    assert!(error.contains("exited 0 without completing"), "{error}");
    for _ in 0..3 {
        assert_eq!(dispatcher.tick().started(), 0, "given up is given up");
    }
    Ok(())
}

#[test]
fn try_later_is_no_failure_and_the_task_rests() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 75")?;
    for attempt in 1..=4 {
        let report = dispatcher.tick();
        assert_eq!(
            fleet.part(&report, "alpha")?.started,
            std::slice::from_ref(&id),
            "{attempt}"
        );
        tick_until(&fleet, &mut dispatcher, &id, "ready")?;
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.held.get(&HeldReason::Cooldown), Some(&1));
        fleet.advance(299);
        assert_eq!(dispatcher.tick().started(), 0);
        fleet.advance(1);
    }
    let detail = show(&fleet, &id)?;
    assert_eq!(outcomes(&detail), ["rate_limited"; 4]);
    assert_eq!(detail.task.consecutive_failures, 0);
    Ok(())
}

#[test]
fn other_ends_are_counted_with_their_cause_until_the_breaker_trips() -> Result {
    let cases = [
        (
            "exit 3",
            "exited with code 3",
            json!({"exit_kind": "nonzero_exit", "exit_code": 3}),
            2,
        ),
        (
            "kill -KILL $$",
            "killed by signal 9",
            json!({"exit_kind": "signaled", "exit_code": 9, "infrastructure": true}),
            5,
        ),
        (
            "kill -TERM $$",
            "killed by signal 15",
            json!({"exit_kind": "signaled", "exit_code": 15}),
            2,
        ),
        (
            "exit 78",
            "exited with code 78",
            json!({"exit_kind": "nonzero_exit", "exit_code": 78}),
            1,
        ),
        (
            "exec /no/such/program",
            "exited with code 127",
            json!({"exit_code": 127}),
            2,
        ),
    ];
    for (script, words, expected, attempts) in cases {
        let (fleet, id, mut dispatcher) = one(script)?;
        tick_until(&fleet, &mut dispatcher, &id, "blocked")?;
        let detail = show(&fleet, &id)?;
        assert_eq!(outcomes(&detail), vec!["crashed"; attempts], "{script}");
        // Never below what the peer would take for a recovery.
        let stored = i64::try_from(attempts.max(2))?;
        assert_eq!(detail.task.consecutive_failures, stored, "{script}");
        let error = detail.task.last_failure_error.clone().unwrap_or_default();
        assert!(error.contains(words), "{script}: {error}");
        let crashed = detail.events.iter().find(|event| event.kind == "crashed");
        let payload = &crashed.ok_or("no crash")?.payload;
        for (name, value) in expected.as_object().ok_or("no object")? {
            assert_eq!(&payload[name], value, "{script}: {payload}");
        }
        assert_eq!(
            kinds(&detail)
                .iter()
                .filter(|kind| **kind == "gave_up")
                .count(),
            1
        );
        assert_eq!(dispatcher.workers_alive(), 0);
    }
    Ok(())
}

#[test]
fn fifty_ends_at_once_leave_no_zombie_and_are_all_recorded() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 50)?;
    let command = ["sh", "-c", "exit 4"].map(str::to_owned).to_vec();
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.command = Some(command);
            config.failure_limit = 1.try_into().expect("not zero");
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 50);
    let pids: Vec<i64> = {
        let db = fleet.connect("alpha")?;
        let mut statement = db.prepare("SELECT worker_pid FROM tasks")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<std::result::Result<_, _>>()?
    };
    let mut failed = 0;
    until("all ends are recorded", || {
        failed += fleet.part(&dispatcher.tick(), "alpha")?.failed;
        Ok(failed == 50)
    })?;
    for pid in pids {
        assert!(
            !PathBuf::from(format!("/proc/{pid}")).exists(),
            "{pid} is a zombie"
        );
    }
    let db = fleet.connect("alpha")?;
    let recorded =
        "SELECT count(*) FROM task_runs WHERE outcome = 'crashed' AND error LIKE '%code 4'";
    assert_eq!(value::<i64>(&db, recorded)?, 50);
    assert_eq!(
        value::<i64>(
            &connect(&fleet.root.ledger())?,
            "SELECT count(*) FROM workers"
        )?,
        0
    );
    Ok(())
}

#[test]
fn the_end_of_somebody_elses_child_in_the_same_process_is_left_to_them() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 4")?;
    let mut theirs = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
    let stat = format!("/proc/{}/stat", theirs.id());
    until("it waits for whoever started it", || {
        Ok(fs::read_to_string(&stat)?.contains(") Z "))
    })?;
    tick_until(&fleet, &mut dispatcher, &id, "blocked")?;
    assert_eq!(theirs.wait()?.code(), Some(7));
    Ok(())
}

#[test]
fn a_worker_that_cannot_be_started_is_counted_and_given_up() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let dir = fleet.store("alpha")?.create(&NewTask {
        workspace: Workspace::Dir(Some("not/absolute".to_owned())),
        ..task(9)
    })?;
    let mut dispatcher = fleet
        .builder(|config| config.failure_limit = 3.try_into().expect("not zero"))
        .launcher(|_: &Job<'_>| Err(std::io::Error::other("no such thing as a worker")))
        .build();
    for failures in 1..=3 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(
            (alpha.outcome, alpha.started.len(), alpha.failed),
            (Outcome::Ticked, 0, 2)
        );
        assert_eq!(alpha.gave_up, if failures == 3 { 2 } else { 0 });
        assert_eq!(show(&fleet, &id)?.task.consecutive_failures, failures);
    }
    assert_eq!(dispatcher.tick().started(), 0);
    let detail = show(&fleet, &id)?;
    assert_eq!(detail.task.status, "blocked");
    assert_eq!(
        outcomes(&detail),
        ["spawn_failed", "spawn_failed", "gave_up"]
    );
    assert_eq!(
        kinds(&detail),
        [
            "created",
            "claimed",
            "spawn_failed",
            "claimed",
            "spawn_failed",
            "claimed",
            "gave_up"
        ]
    );
    let error = detail.task.last_failure_error.unwrap_or_default();
    assert!(error.contains("no such thing as a worker"), "{error}");
    let error = show(&fleet, &dir)?
        .task
        .last_failure_error
        .unwrap_or_default();
    assert!(error.starts_with("workspace: "), "{error}");
    assert!(fleet.processes().is_empty());
    Ok(())
}

// ===== stops =====

/// Ignores SIGTERM, and so does its descendant. Both are long in their loops before the test looks.
const STUBBORN: &str = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo up > up; \
                        while :; do sleep 1; done";
/// Ends on SIGTERM, and its descendant does not.
const ORPHANING: &str = "sh -c 'trap \"\" TERM; echo up > up; while :; do sleep 1; done' & wait";

#[test]
fn an_attempt_that_takes_too_long_is_stopped_in_steps_and_leaves_nothing_behind() -> Result {
    for (script, needs_kill) in [(STUBBORN, true), (ORPHANING, false)] {
        let limited = NewTask {
            max_runtime: Some(10),
            ..task(0)
        };
        let (fleet, id, mut dispatcher) = one_of(script, &limited)?;
        dispatcher.tick();
        let up = fleet.board("alpha")?.workspaces_dir().join(&id).join("up");
        until("the descendants are there", || Ok(up.exists()))?;
        fleet.advance(9);
        let report = dispatcher.tick();
        assert_eq!(
            fleet.part(&report, "alpha")?.stopped,
            0,
            "one second is left"
        );

        fleet.advance(1);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
        if needs_kill {
            // SIGTERM is ignored; the grace is five seconds.
            for _ in 0..4 {
                fleet.advance(1);
                let report = dispatcher.tick();
                assert_eq!(fleet.part(&report, "alpha")?.failed, 0);
                assert!(fleet.processes().len() >= 2);
            }
            fleet.advance(1);
        }
        let mut failed = 0;
        until("the end is recorded", || {
            failed += fleet.part(&dispatcher.tick(), "alpha")?.failed;
            Ok(failed == 1)
        })?;
        let first = show(&fleet, &id)?;
        let run = first.runs.first().ok_or("no run")?;
        assert_eq!(run.outcome.as_deref(), Some("timed_out"));
        let timed_out = first.events.iter().find(|event| event.kind == "timed_out");
        let payload = &timed_out.ok_or("no such event")?.payload;
        assert_eq!(payload["sigkill"], json!(needs_kill), "{payload}");
        assert_eq!(payload["limit_seconds"], json!(10));
        assert_eq!(first.task.consecutive_failures, 1);

        // It was started again in that tick: what is alive belongs to the second attempt.
        fleet.store("alpha")?.complete(&id, &Complete::default())?;
        let second = first.runs.get(1).map(|run| run.id).ok_or("no second run")?;
        let of_first = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let run = format!("HERMES_KANBAN_RUN_ID={second}");
            !environ
                .split(|byte| *byte == 0)
                .any(|entry| entry == run.as_bytes())
        };
        until("nothing of the first attempt is left", || {
            Ok(!fleet.processes().iter().any(of_first))
        })?;
    }
    Ok(())
}

#[test]
fn a_claim_that_somebody_took_away_stops_the_worker_and_a_finished_worker_is_left_alone() -> Result
{
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let pid = |id: &str| Ok::<_, Box<dyn std::error::Error>>(show(&fleet, id)?.runs[0].worker_pid);
    let (archived, done) = (
        pid(&ids[0])?.ok_or("no pid")?,
        pid(&ids[1])?.ok_or("no pid")?,
    );
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET status = 'archived', claim_lock = NULL, claim_expires = NULL, worker_pid = NULL WHERE id = '{}'",
            ids[0]
        ),
    )?;
    fleet
        .store("alpha")?
        .complete(&ids[1], &Complete::default())?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
    until("the first has ended", || {
        dispatcher.tick();
        Ok(dispatcher.workers_alive() == 1)
    })?;
    assert!(!is_alive(archived));
    fleet.advance(59);
    dispatcher.tick();
    assert!(is_alive(done), "it reported by itself and may tidy up");
    assert_eq!(dispatcher.workers_alive(), 1);
    fleet.advance(1);
    assert_eq!(fleet.part(&dispatcher.tick(), "alpha")?.stopped, 1);
    until("the other has ended", || {
        dispatcher.tick();
        Ok(!is_alive(done))
    })?;
    Ok(())
}

// ===== claims =====

#[test]
fn a_claim_is_renewed_for_as_long_as_its_worker_lives() -> Result {
    let (fleet, id, mut dispatcher) = one("exec sleep 120")?;
    dispatcher.tick();
    let expires = || -> Result<(i64, i64)> {
        Ok(fleet.connect("alpha")?.query_row(
            "SELECT t.claim_expires, r.claim_expires FROM tasks t JOIN task_runs r ON r.id = t.current_run_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?)
    };
    assert_eq!(expires()?, (START + 900, START + 900));
    fleet.advance(599);
    dispatcher.tick();
    assert_eq!(expires()?.0, START + 900, "most of it is left");
    for renewed in 1..=5 {
        fleet.advance(if renewed == 1 { 1 } else { 600 });
        assert_eq!(dispatcher.tick().started(), 0);
        let now = START + 600 * renewed;
        assert_eq!(expires()?, (now + 900, now + 900));
    }
    // Even when the dispatcher was away for longer than the claim is valid.
    fleet.advance(5000);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.reclaimed, 0);
    assert_eq!(expires()?.0, fleet.clock.unix() + 900);
    let detail = show(&fleet, &id)?;
    assert_eq!(
        kinds(&detail),
        ["created", "claimed", "spawned"],
        "and nothing is told of it"
    );
    fleet.has_processes(1)?;
    Ok(())
}

#[test]
fn a_stale_attempt_is_refused_and_the_current_one_goes_on() -> Result {
    let (fleet, id, mut dispatcher) = one("exec sleep 120")?;
    dispatcher.tick();
    let stale = show(&fleet, &id)?.runs[0].id;
    let pid = show(&fleet, &id)?.runs[0].worker_pid.ok_or("no pid")?;
    kill_process(
        Pid::from_raw(pid.try_into()?).ok_or("no pid")?,
        Signal::KILL,
    )?;
    until("it is started again", || {
        Ok(dispatcher.tick().started() == 1)
    })?;
    let current = show(&fleet, &id)?.runs[1].id;
    assert_ne!(stale, current);

    let done = |run| Complete {
        run: Some(run),
        summary: Some("done".to_owned()),
        ..Complete::default()
    };
    let mut store = fleet.store("alpha")?;
    let before = show(&fleet, &id)?;
    let refused = store
        .complete(&id, &done(stale))
        .err()
        .ok_or("not refused")?;
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let refused = store.heartbeat(&id, Some(stale), None, None).err();
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Refused));
    let block = kanban_dispatcher::Block {
        run: Some(stale),
        ..kanban_dispatcher::Block::default()
    };
    assert_eq!(
        store.block(&id, &block).err().map(|e| e.kind()),
        Some(ErrorKind::Refused)
    );
    assert_eq!(show(&fleet, &id)?, before, "nothing has changed");

    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.running, 1);
    fleet.has_processes(1)?;
    store.complete(&id, &done(current))?;
    assert_eq!(show(&fleet, &id)?.task.status, "done");
    Ok(())
}

// ===== restarts =====

#[test]
fn the_next_dispatcher_adopts_the_survivors_and_starts_nothing_twice() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 3);
    fleet.has_processes(3)?;
    first.shut_down();
    drop(first);
    fleet.has_processes(3)?;

    // One ends, and one reports, while nobody is there.
    let pid = show(&fleet, &ids[0])?.runs[0].worker_pid.ok_or("no pid")?;
    let pid = Pid::from_raw(pid.try_into()?).ok_or("no pid")?;
    kill_process(pid, Signal::KILL)?;
    fleet
        .store("alpha")?
        .complete(&ids[1], &Complete::default())?;
    fleet.has_processes(2)?;
    fleet.advance(2000);

    let mut second = fleet.dispatcher();
    let report = second.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.failed), (&vec![ids[0].clone()], 1));
    assert_eq!(second.workers_alive(), 3);
    assert_eq!(outcomes(&show(&fleet, &ids[0])?), ["crashed", "open"]);
    assert_eq!(show(&fleet, &ids[1])?.task.status, "done");
    let adopted = show(&fleet, &ids[2])?;
    assert_eq!(
        (outcomes(&adopted), kinds(&adopted).len()),
        (vec!["open"], 3)
    );
    // Its claim, which had run out, is valid again.
    let db = fleet.connect("alpha")?;
    let expires: i64 = value(
        &db,
        "SELECT min(claim_expires) FROM tasks WHERE status = 'running'",
    )?;
    assert_eq!(expires, fleet.clock.unix() + 900);
    for _ in 0..3 {
        assert_eq!(second.tick().started(), 0);
    }

    // An adopted worker can be stopped, too.
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE task_runs SET max_runtime_seconds = 1 WHERE task_id = '{}'",
            ids[2]
        ),
    )?;
    let report = second.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
    let mut failed = 0;
    until("it has ended", || {
        failed += fleet.part(&second.tick(), "alpha")?.failed;
        Ok(failed == 1)
    })?;
    assert_eq!(outcomes(&show(&fleet, &ids[2])?)[0], "timed_out");
    Ok(())
}

// ===== strangers =====

#[test]
fn a_process_that_is_not_proven_ours_is_never_signalled() -> Result {
    let mut fleet = Fleet::new()?;
    // Real times: what processes are told apart by is when they started.
    let now = Clock::system().unix();
    fleet.clock = Clock::manual(now);
    let mut innocent = Innocent::start()?;
    // Makes the ledger.
    fleet.dispatcher().tick();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let (ours, peers) = (format!("rs.{host}:1:0"), format!("{host}:999"));
    // Two whose workers this process may be, the peer's and one of ours that no ledger knows, silent and over their time; two that
    // began so long before it that their workers must be gone; and one whose pid, as the ledger knows, was another process's.
    let ids = fleet.ready("alpha", 5)?;
    let db = fleet.connect("alpha")?;
    let rows = [
        (&peers, 10),
        (&ours, 10),
        (&peers, 9000),
        (&ours, 9000),
        (&ours, 10),
    ];
    for (id, (lock, began)) in ids.iter().zip(rows) {
        db.execute(
            "INSERT INTO task_runs (task_id, status, claim_lock, worker_pid, started_at, max_runtime_seconds) \
             VALUES (?1, 'running', ?2, ?3, ?4, 1)",
            (id, lock, innocent.pid(), now - began),
        )?;
        db.execute(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4, started_at = ?5, \
             last_heartbeat_at = ?5, max_retries = 99, current_run_id = last_insert_rowid() WHERE id = ?1",
            (id, lock, innocent.pid(), now - 5, now - began),
        )?;
    }
    let known = &ids[4];
    let run: i64 = value(
        &db,
        &format!("SELECT current_run_id FROM tasks WHERE id = '{known}'"),
    )?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    connect(&fleet.root.ledger())?.execute(
        "INSERT INTO workers VALUES (?1, ?2, ?3, ?4, 1, ?5)",
        (fleet.slug("alpha"), known, run, innocent.pid(), boot.trim()),
    )?;

    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.stop_grace_seconds = Duration::ZERO;
            config.crash_grace_seconds = 0;
        })
        .build();
    for _ in 0..6 {
        dispatcher.tick();
        assert!(innocent.is_alive()?);
        fleet.advance(1000);
    }
    assert!(test_kill_process(Pid::from_child(&innocent.0)).is_ok());
    let first = |id: &String| Ok(outcomes(&show(&fleet, id)?)[0].to_owned());
    let firsts = ids.iter().map(first).collect::<Result<Vec<String>>>()?;
    // Their claims had run out by then, so whether they crashed nobody knows.
    assert_eq!(
        firsts,
        ["open", "open", "reclaimed", "reclaimed", "timed_out"]
    );
    Ok(())
}

#[test]
fn a_live_claim_of_somebody_else_is_left_to_run() -> Result {
    let fleet = Fleet::new()?;
    let innocent = Innocent::start()?;
    let ids = fleet.ready("alpha", 2)?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let db = fleet.connect("alpha")?;
    // The peer's live worker, and a person elsewhere: both claims have just run out.
    for (id, lock, pid) in [
        (&ids[0], format!("{host}:999"), Some(innocent.pid())),
        (&ids[1], "elsewhere:1".to_owned(), None),
    ] {
        db.execute(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4 WHERE id = ?1",
            (id, lock, pid, START - 1),
        )?;
    }
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(
        (alpha.reclaimed, &alpha.started),
        (1, &vec![ids[1].clone()])
    );
    let detail = show(&fleet, &ids[0])?;
    assert_eq!(
        (detail.task.status.as_str(), kinds(&detail)),
        ("running", vec!["created", "claim_extended"])
    );
    Ok(())
}
