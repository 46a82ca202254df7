//! The peer's own dispatcher beside ours: it neither judges nor ends our workers, and where it ends a claim of ours, we obey.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kanban_dispatcher::FileLock;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::house::{House, Result};

/// Works until the test lets it go, and reports with the peer's program.
const WORKER: &str = r#"
while [ -d "$3" ] && [ ! -e "$3/go" ]; do sleep 0.05; done
exec "$1" kanban complete "$HERMES_KANBAN_TASK" --summary "let go"
"#;

#[test]
fn the_peers_dispatch_leaves_our_worker_alone_dead_or_alive() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "long", &[])?;
    let daemon = house.daemon()?;
    let board = house.board("default");
    let first = started(&house, &id, 1)?;
    let lock = board.task(&id)?["claim_lock"].clone();

    // Beside the living daemon, and then in its place: so at least one of the peer's ticks surely is a whole one.
    the_peer_dispatches_nothing(&house)?;
    hold_between_ticks(&house, &daemon)?;
    the_peer_dispatches_nothing(&house)?;
    assert!(is_alive(first));

    // The worker is gone and only its parent may tell how.
    kill_process_group(first, Signal::KILL)?;
    house.until(
        "the worker is dead",
        || Ok((!is_alive(first)).then_some(())),
    )?;
    the_peer_dispatches_nothing(&house)?;
    let task = board.task(&id)?;
    assert_eq!(
        (&task["status"], &task["claim_lock"]),
        (&json!("running"), &lock)
    );
    assert_eq!(task["consecutive_failures"], 0);

    daemon.signal(Signal::CONT)?;
    started(&house, &id, 2)?;
    fs::write(house.path("go"), "")?;
    house.until_task("default", &id, "done")?;
    assert_eq!(
        board.kinds(&id)?,
        [
            "created",
            "claimed",
            "spawned",
            "crashed",
            "claimed",
            "spawned",
            "completed"
        ]
    );
    let crash = &board.events(&id)?[3]["payload"];
    assert_eq!(
        (&crash["exit_kind"], &crash["exit_code"]),
        (&json!("signaled"), &json!(9))
    );
    assert!(
        !house.path("stranger").exists(),
        "the peer started a worker"
    );
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}

/// The same, and deaf to SIGTERM the first time.
const DEAF: &str = r#"
[ "$HERMES_KANBAN_RUN_ID" = 1 ] && trap '' TERM
while [ -d "$3" ] && [ ! -e "$3/go" ]; do sleep 0.05; done
exec "$1" kanban complete "$HERMES_KANBAN_TASK" --summary "let go"
"#;

#[test]
fn a_claim_that_the_peer_ends_ends_our_worker_and_the_task_starts_again() -> Result {
    let house = House::new()?;
    house.settings("worker.stop_grace_seconds = 0.5", DEAF)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "taken back", &[])?;
    let daemon = house.daemon()?;
    let first = started(&house, &id, 1)?;

    house.peer(&["reclaim", &id, "--reason", "changed my mind"])?;
    // Never two at once in one workspace, even if the first one has to be killed.
    let second = started(&house, &id, 2)?;
    assert!(!is_alive(first));
    assert!(is_alive(second));
    the_earlier_attempt_is_refused(&house, &id)?;
    fs::write(house.path("go"), "")?;
    house.until_task("default", &id, "done")?;

    let board = house.board("default");
    assert_eq!(
        board.kinds(&id)?,
        [
            "created",
            "claimed",
            "spawned",
            "reclaimed",
            "claimed",
            "spawned",
            "completed"
        ]
    );
    let outcomes: Vec<Value> = board
        .runs(&id)?
        .iter_mut()
        .map(|run| run["outcome"].take())
        .collect();
    assert_eq!(outcomes, ["reclaimed", "completed"]);
    assert_eq!(board.task(&id)?["consecutive_failures"], 0);
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}

/// A worker of the first attempt, late: neither program lets it write.
fn the_earlier_attempt_is_refused(house: &House, id: &str) -> Result {
    let board = house.board("default");
    let (task, kinds) = (board.task(id)?, board.kinds(id)?);
    let vars = [("HERMES_KANBAN_TASK", id), ("HERMES_KANBAN_RUN_ID", "1")];
    for words in [
        &["complete", id, "--summary", "too late"][..],
        &["heartbeat", id],
        &["block", id],
    ] {
        let ours = house.kanban_with(&vars, words)?;
        assert_eq!(ours.code, Some(1), "{ours:?}");
        assert!(ours.err.contains("no longer the current one"), "{ours:?}");
        // The peer complains, and has 0 for its answer all the same.
        assert!(house.peer_with(&vars, words).is_err(), "{words:?}");
    }
    assert_eq!((board.task(id)?, board.kinds(id)?), (task, kinds));
    Ok(())
}

/// One dispatch of the peer's that finds nothing to do, though it takes an absent worker for crashed at once.
fn the_peer_dispatches_nothing(house: &House) -> Result {
    let stranger = house.path("hermes-stub");
    let script = format!("#!/bin/sh\ntouch '{}'\n", house.path("stranger").display());
    fs::write(&stranger, script)?;
    fs::set_permissions(&stranger, fs::Permissions::from_mode(0o755))?;
    let stranger = stranger.to_string_lossy();
    let vars = [
        ("HERMES_BIN", &*stranger),
        ("HERMES_KANBAN_CRASH_GRACE_SECONDS", "0"),
    ];
    let result = house.peer_with(&vars, &["dispatch", "--json"])?.json()?;
    assert_eq!(result["reclaimed"], 0, "{result}");
    for list in ["crashed", "timed_out", "stale", "auto_blocked", "spawned"] {
        assert_eq!(result[list], json!([]), "{result}");
    }
    Ok(())
}

/// Halts the daemon where it does not hold the board's tick lock.
fn hold_between_ticks(house: &House, daemon: &Daemon) -> Result {
    let lock = house.board("default").beside(".dispatch.lock");
    house.until("the daemon halted between two ticks", || {
        daemon.signal(Signal::STOP)?;
        if FileLock::try_acquire(&lock)?.is_some() {
            return Ok(Some(()));
        }
        daemon.signal(Signal::CONT)?;
        Ok(None)
    })
}

/// Waits for the task's `attempt`th worker; its process.
fn started(house: &House, id: &str, attempt: usize) -> Result<Pid> {
    let board = house.board("default");
    house.until(&format!("attempt {attempt} of {id}"), || {
        if board.runs(id)?.len() < attempt {
            return Ok(None);
        }
        let pid = board.task(id)?["worker_pid"].as_i64();
        Ok(pid.and_then(|pid| Pid::from_raw(pid as i32)))
    })
}

/// Whether the process runs; a zombie does not.
fn is_alive(pid: Pid) -> bool {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = fs::read_to_string(Path::new(&path)).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
