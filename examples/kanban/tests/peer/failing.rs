//! A worker that fails: the peer reads its end, its own look does not undo the breaker, and its `unblock` starts it again.

use serde_json::{Value, json};

use super::board::keys;
use super::house::{House, Result};

/// Fails until the test says otherwise.
const WORKER: &str = r#"
if [ -e "$3/mended" ]; then
    exec "$1" kanban complete "$HERMES_KANBAN_TASK" --summary "mended"
fi
echo "cannot go on" >&2
exit 3
"#;

#[test]
fn a_task_given_up_by_us_stays_blocked_under_the_peers_eyes_until_the_peer_frees_it() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "fails", &[])?;
    let child = house.peer_creates("default", "waits", &["--parent", &id])?;
    let daemon = house.daemon()?;
    house.until_task("default", &id, "blocked")?;

    let board = house.board("default");
    let kinds = [
        "created", "claimed", "spawned", "crashed", "claimed", "spawned", "crashed", "gave_up",
    ];
    let events = board.events(&id)?;
    assert_eq!(board.kinds(&id)?, kinds);
    let runs = board.runs(&id)?;
    let crash = &events[3]["payload"];
    assert_eq!(keys(crash), ["pid", "claimer", "exit_kind", "exit_code"]);
    assert_eq!(crash["pid"], events[2]["payload"]["pid"]);
    assert_eq!(crash["claimer"], events[1]["payload"]["lock"]);
    assert_eq!(crash["exit_kind"], "nonzero_exit");
    assert_eq!(crash["exit_code"], 3);
    let gave_up = &events[7]["payload"];
    let pid = &events[6]["payload"]["pid"];
    assert_eq!(
        gave_up,
        &json!({
            "failures": 2, "effective_limit": 2, "limit_source": "dispatcher",
            "error": format!("pid {pid} exited with code 3"), "trigger_outcome": "crashed",
            "pid": pid, "claimer": events[6]["payload"]["claimer"],
        })
    );
    let task = board.task(&id)?;
    assert_eq!(task["consecutive_failures"], 2);
    assert_eq!(task["last_failure_error"], gave_up["error"]);
    for column in [
        "claim_lock",
        "claim_expires",
        "worker_pid",
        "current_run_id",
    ] {
        assert_eq!(task[column], Value::Null, "{column}");
    }
    for (run, event) in runs.iter().zip([3, 6]) {
        assert_eq!(
            (&run["status"], &run["outcome"]),
            (&json!("crashed"), &json!("crashed"))
        );
        let metadata: Value = serde_json::from_str(run["metadata"].as_str().ok_or("none")?)?;
        assert_eq!(metadata, events[event]["payload"]);
        assert_eq!(&events[event]["run_id"], &run["id"]);
    }

    // The peer tells the same story, and its own rules see it: two failures in a row, the last one a crash.
    let shown = house.peer_json(&["show", &id, "--json"])?;
    assert_eq!(shown["task"]["status"], "blocked");
    let told: Vec<&str> = shown["events"]
        .as_array()
        .ok_or("no events")?
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    assert_eq!(told, kinds);
    assert_eq!(shown["runs"][1]["outcome"], "crashed");
    assert_eq!(shown["runs"][1]["error"], gave_up["error"]);
    assert!(house.peer(&["log", &id])?.out.contains("cannot go on"));
    let diagnostics = house.peer_json(&["diagnostics", "--json"])?;
    let found = &diagnostics[0]["diagnostics"][0];
    assert_eq!(found["kind"], "repeated_failures", "{diagnostics}");
    assert_eq!(found["count"], 2);
    assert_eq!(found["data"]["most_recent_outcome"], "crashed");

    // `list` and `dispatch` promote what they take for wrongly blocked: not this.
    house.peer(&["list"])?;
    house.peer(&["dispatch", "--max", "0", "--json"])?;
    assert_eq!(board.task(&id)?["status"], "blocked");
    assert_eq!(board.kinds(&id)?, kinds);

    std::fs::write(house.path("mended"), "")?;
    house.peer(&["unblock", &id])?;
    house.until_task("default", &id, "done")?;
    house.until_task("default", &child, "done")?;
    let kinds = board.kinds(&id)?;
    assert_eq!(kinds[8..], ["unblocked", "claimed", "spawned", "completed"]);
    assert_eq!(board.task(&id)?["consecutive_failures"], 0);
    assert_eq!(daemon.stop()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_breaker_of_one_is_not_undone_by_a_peer_that_takes_the_limit_for_two() -> Result {
    let house = House::new()?;
    house.settings("failure_limit = 1", WORKER)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "fails", &[])?;
    let own = house.peer_creates("default", "fails by its own limit", &["--max-retries", "3"])?;
    let daemon = house.daemon()?;
    house.until_all("default", "blocked")?;

    let board = house.board("default");
    house.peer(&["list"])?;
    house.peer(&["dispatch", "--max", "0", "--json"])?;
    let gave_up = |id: &str| -> Result<Vec<Value>> {
        let events = board.events(id)?;
        let told = events
            .into_iter()
            .filter(|event| event["kind"] == "gave_up");
        Ok(told.map(|mut event| event["payload"].take()).collect())
    };
    for (id, failures, source) in [(&id, 1, "dispatcher"), (&own, 3, "task")] {
        assert_eq!(board.task(id)?["status"], "blocked", "{source}");
        let told = gave_up(id)?;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["failures"], failures);
        assert_eq!(told[0]["effective_limit"], failures);
        assert_eq!(told[0]["limit_source"], source);
        assert_eq!(board.runs(id)?.len() as i64, failures);
    }
    assert_eq!(daemon.stop()?.code(), Some(0));
    Ok(())
}

/// The first attempt asks with our program, the second one with the peer's.
const ASKING: &str = r#"
if [ "$HERMES_KANBAN_RUN_ID" = 1 ]; then
    exec "$2" --root "$HERMES_KANBAN_HOME" block "$HERMES_KANBAN_TASK" "which one?" --kind needs_input
else
    exec "$1" kanban block "$HERMES_KANBAN_TASK" "which one?" --kind capability
fi
"#;

#[test]
fn a_worker_that_asks_blocks_its_task_alike_with_either_program() -> Result {
    let house = House::new()?;
    house.settings("", ASKING)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "asks", &[])?;
    let daemon = house.daemon()?;
    let board = house.board("default");
    house.until_task("default", &id, "blocked")?;

    house.peer(&["list"])?;
    assert_eq!(
        board.task(&id)?["status"],
        "blocked",
        "its own look frees nothing"
    );
    let shown = house.peer_json(&["show", &id, "--json"])?;
    assert_eq!(shown["task"]["status"], "blocked");
    assert_eq!(shown["runs"][0]["outcome"], "blocked");
    assert_eq!(shown["latest_summary"], "which one?");
    house.peer(&["unblock", &id])?;
    house.until("the second question", || {
        Ok((board.runs(&id)?.len() == 2).then_some(()))
    })?;
    house.until_task("default", &id, "blocked")?;

    let events = board.events(&id)?;
    let blocked: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "blocked")
        .collect();
    let runs = board.runs(&id)?;
    assert_eq!((blocked.len(), runs.len()), (2, 2));
    for ((event, run), kind) in blocked.iter().zip(&runs).zip(["needs_input", "capability"]) {
        assert_eq!(
            event["payload"],
            json!({ "reason": "which one?", "kind": kind, "recurrences": 1 })
        );
        assert_eq!(keys(&event["payload"]), ["reason", "kind", "recurrences"]);
        assert_eq!(&event["run_id"], &run["id"]);
        for column in ["status", "outcome"] {
            assert_eq!(run[column], "blocked");
        }
        assert_eq!(run["summary"], "which one?");
        for column in [
            "error",
            "metadata",
            "claim_lock",
            "claim_expires",
            "worker_pid",
        ] {
            assert_eq!(run[column], Value::Null, "{column}");
        }
    }
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}
