//! One dispatcher per root, whoever it is: the peer's real gateway and our daemon keep each other out, and so do single ticks.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use kanban_dispatcher::FileLock;
use serde_json::{Value, json};

use super::gateway::Gateway;
use super::house::{House, Result};

const WORKER: &str =
    r#"exec "$2" --root "$HERMES_KANBAN_HOME" complete "$HERMES_KANBAN_TASK" --summary "by ours""#;

/// Ticks once as the peer does, in whose middle it waits until its standard input ends.
const SLOW_TICK: &str = "
import sys
from hermes_cli import kanban_db as kb
def spawn(task, workspace):
    print('in the middle', flush=True)
    sys.stdin.read()
    raise RuntimeError('no worker today')
kb.dispatch_once(kb.connect(), spawn_fn=spawn)
";

/// An installation with a board, and a worker program for the peer's gateway, which completes its task.
fn house() -> Result<(House, PathBuf)> {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    let quick = "kanban:\n  dispatch_interval_seconds: 1\n  auto_decompose: false\n";
    fs::write(house.root().join("config.yaml"), quick)?;
    let worker = house.path("peer-worker");
    let text = format!(
        "#!/bin/sh\nexec '{}' --root '{}' complete \"$HERMES_KANBAN_TASK\" --summary \"by the gateway\"\n",
        env!("CARGO_BIN_EXE_kanban"),
        house.root().display(),
    );
    fs::write(&worker, text)?;
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755))?;
    Ok((house, worker))
}

/// Who has done a task.
fn done_by(house: &House, id: &str) -> Result<String> {
    house.until_task("default", id, "done")?;
    let runs = house.board("default").runs(id)?;
    Ok(runs[0]["summary"].as_str().ok_or("no summary")?.to_owned())
}

#[test]
fn while_a_gateway_runs_we_stand_by_and_when_it_is_killed_we_take_over() -> Result {
    let (house, worker) = house()?;
    let mut gateway = Gateway::start(&house, &worker)?;
    assert!(gateway.dispatches()?, "nobody else is there");
    let tick = house.kanban(&["tick", "--json"])?;
    assert_eq!(tick.code, Some(75), "{tick:?}");
    assert_eq!(tick.json()?["standby"]["reason"], "another_dispatcher");
    let mut daemon = house.daemon()?;
    house.until("the daemon says that it stands by", || {
        Ok(house.log().contains("stands by").then_some(()))
    })?;
    // Many of our ticks go by before the gateway has its next one.
    let first = house.peer_creates("default", "first", &[])?;
    assert_eq!(done_by(&house, &first)?, "by the gateway");
    assert!(daemon.is_running()?);
    assert!(!house.log().contains("takes over"), "{}", house.log());

    gateway.kill()?;
    let second = house.peer_creates("default", "second", &[])?;
    assert_eq!(done_by(&house, &second)?, "by ours");
    assert!(house.log().contains("takes over"), "{}", house.log());
    assert_eq!(house.log().matches("stands by").count(), 1, "said once");
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}

#[test]
fn a_gateway_that_comes_second_never_dispatches() -> Result {
    let (house, worker) = house()?;
    let daemon = house.daemon()?;
    let lock = house.root().join("kanban/.dispatcher.lock");
    house.until("the daemon leads", || {
        Ok((lock.exists() && FileLock::try_acquire(&lock)?.is_none()).then_some(()))
    })?;
    let mut gateway = Gateway::start(&house, &worker)?;
    assert!(!gateway.dispatches()?);
    let id = house.peer_creates("default", "task", &[])?;
    assert_eq!(done_by(&house, &id)?, "by ours");
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}

#[test]
fn a_tick_of_either_program_keeps_the_others_tick_out() -> Result {
    let (house, _) = house()?;
    let id = house.peer_creates("default", "task", &[])?;
    let board = house.board("default");

    // Ours, held as a turn holds it: the peer's dispatch does nothing.
    let held = FileLock::try_acquire(&board.beside(".dispatch.lock"))?.ok_or("not free")?;
    let said = house.peer_json(&["dispatch", "--json"])?;
    let counts = said.as_object().ok_or("no object")?;
    let is_nothing =
        |value: &Value| *value == json!(0) || *value == json!([]) || *value == json!(false);
    assert!(
        !counts.is_empty() && counts.values().all(is_nothing),
        "{said}"
    );
    assert_eq!(board.kinds(&id)?, ["created"]);
    drop(held);

    // The peer's, in the middle of its tick: ours does nothing, and then goes on.
    let mut peer = house
        .python(SLOW_TICK)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(peer.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    assert_eq!(line.trim(), "in the middle");
    let report = house.kanban_ok(&["tick", "--json"])?.json()?;
    assert_eq!(report["boards"][0]["outcome"], "busy", "{report}");
    assert_eq!(board.kinds(&id)?[..2], ["created", "claimed"]);
    assert_eq!(board.runs(&id)?.len(), 1, "the peer's alone");
    drop(peer.stdin.take());
    peer.wait()?;
    assert_eq!(
        board.task(&id)?["status"],
        "ready",
        "its worker could not start"
    );
    let report = house.kanban_ok(&["tick", "--json"])?.json()?;
    assert_eq!(report["boards"][0]["started"], json!([id]), "{report}");
    assert_eq!(board.runs(&id)?.len(), 2);
    house.until_task("default", &id, "done")
}
