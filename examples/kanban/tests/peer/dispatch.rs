//! Boards that the peer made are dispatched by us to the end, and the peer reads what we wrote as its own.
//!
//! Half of the workers report with the peer's program and half with ours. One place per board, so that the order of the
//! claims is the order of the priorities.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::board::{Board, keys};
use super::house::{House, Result};

/// Odd attempts report with the peer's program, even ones with ours.
const WORKER: &str = r#"
if [ $((HERMES_KANBAN_RUN_ID % 2)) = 1 ]; then
    exec "$1" kanban complete "$HERMES_KANBAN_TASK" --summary "told by the peer" --result "12345"
else
    exec "$2" --root "$HERMES_KANBAN_HOME" complete "$HERMES_KANBAN_TASK" --summary "told by us" --result "12345"
fi
"#;

/// A board's tasks by title, with ids.
type Tasks = BTreeMap<&'static str, String>;

#[test]
fn a_board_of_the_peers_is_dispatched_to_the_end_and_the_peer_reads_it_as_its_own() -> Result {
    let house = House::new()?;
    house.settings("max_spawn = 1", WORKER)?;
    house.peer(&["init"])?;
    house.peer(&["boards", "create", "proj"])?;
    let boards = [
        ("default", fill(&house, "default")?),
        ("proj", fill(&house, "proj")?),
    ];

    let mut daemon = house.daemon()?;
    for (slug, _) in &boards {
        house.until_all(slug, "done")?;
    }
    // While the daemon is there, and with the workers gone.
    for (slug, tasks) in &boards {
        the_peer_reads(&house, slug, tasks)?;
    }
    assert!(daemon.is_running()?);
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());

    for (slug, tasks) in &boards {
        let board = house.board(slug);
        rows_are_as_the_format_says(&board, tasks)?;
        claims_follow_priority(&board)?;
        assert_eq!(board.integrity()?, "ok");
    }
    Ok(())
}

/// A diamond, a chain and loners, six tasks, with priorities against the order of creation.
fn fill(house: &House, board: &str) -> Result<Tasks> {
    let mut tasks = Tasks::new();
    for (title, priority, parents) in [
        ("low", "-1", &[][..]),
        ("root", "1", &[]),
        ("left", "2", &["root"]),
        ("right", "7", &["root"]),
        ("join", "9", &["left", "right"]),
        ("high", "5", &[]),
    ] {
        let mut args = vec!["--priority", priority];
        for parent in parents {
            args.extend(["--parent", tasks[parent].as_str()]);
        }
        let id = house.peer_creates(board, title, &args)?;
        tasks.insert(title, id);
    }
    Ok(tasks)
}

fn the_peer_reads(house: &House, slug: &str, tasks: &Tasks) -> Result {
    let list = house.peer_json(&["--board", slug, "list", "--json"])?;
    let list = list.as_array().ok_or("no list")?;
    assert_eq!(list.len(), tasks.len());
    assert!(list.iter().all(|task| task["status"] == "done"), "{list:?}");

    let stats = house.peer_json(&["--board", slug, "stats", "--json"])?;
    assert_eq!(stats["by_status"], json!({ "done": tasks.len() }));
    let diagnostics = house.peer_json(&["--board", slug, "diagnostics", "--json"])?;
    assert_eq!(diagnostics, json!([]));

    for (title, id) in tasks {
        let shown = house.peer_json(&["--board", slug, "show", id, "--json"])?;
        assert_eq!(shown["task"]["title"], *title);
        assert_eq!(shown["task"]["status"], "done");
        assert_eq!(shown["task"]["result"], "12345");
        let runs = house.peer_json(&["--board", slug, "runs", id, "--json"])?;
        let run = &runs[0];
        assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
        assert_eq!(
            (&run["status"], &run["outcome"]),
            (&json!("done"), &json!("completed"))
        );
        assert_eq!(run["profile"], "coder");
        let by = if run["id"].as_i64().ok_or("no id")? % 2 == 1 {
            "told by the peer"
        } else {
            "told by us"
        };
        assert_eq!(run["summary"], by);
        assert_eq!(shown["latest_summary"], by);
        // `show` tells the same attempt and the events with it.
        assert_eq!(shown["runs"][0]["id"], run["id"]);
        let kinds: Vec<&str> = shown["events"]
            .as_array()
            .ok_or("no events")?
            .iter()
            .filter_map(|event| event["kind"].as_str())
            .collect();
        let waited = matches!(*title, "left" | "right" | "join");
        let expected: &[&str] = if waited {
            &["created", "promoted", "claimed", "spawned", "completed"]
        } else {
            &["created", "claimed", "spawned", "completed"]
        };
        assert_eq!(kinds, expected, "{title}");
    }
    Ok(())
}

fn rows_are_as_the_format_says(board: &Board, tasks: &Tasks) -> Result {
    let mut told_by_us = 0;
    for id in tasks.values() {
        let task = board.task(id)?;
        for column in [
            "claim_lock",
            "claim_expires",
            "worker_pid",
            "current_run_id",
        ]
        .iter()
        .chain(&["last_failure_error", "block_kind"])
        {
            assert_eq!(task[*column], Value::Null, "{column}");
        }
        assert_eq!(task["consecutive_failures"], 0);
        assert_eq!(task["block_recurrences"], 0);
        assert_eq!(task["result"], "12345");
        assert!(task["started_at"].is_i64() && task["completed_at"].is_i64());
        let scratch = board
            .db
            .with_file_name(if board.db.ends_with("hermes/kanban.db") {
                "kanban/workspaces"
            } else {
                "workspaces"
            });
        assert_eq!(
            task["workspace_path"].as_str(),
            scratch.join(id).to_str(),
            "written back at dispatch"
        );

        let runs = board.runs(id)?;
        assert_eq!(runs.len(), 1);
        let run = &runs[0];
        assert_eq!(
            (&run["status"], &run["outcome"]),
            (&json!("done"), &json!("completed"))
        );
        for column in [
            "claim_lock",
            "claim_expires",
            "worker_pid",
            "error",
            "step_key",
        ] {
            assert_eq!(run[column], Value::Null, "{column}");
        }
        assert_eq!(run["started_at"], task["started_at"]);
        assert_eq!(run["ended_at"], task["completed_at"]);
        told_by_us += usize::from(run["summary"] == "told by us");

        for event in board.events(id)? {
            let (payload, run_id) = (&event["payload"], &event["run_id"]);
            match event["kind"].as_str().ok_or("a kind that is no text")? {
                "claimed" => {
                    assert_eq!(keys(payload), ["lock", "expires", "run_id"]);
                    assert_eq!((&payload["run_id"], run_id), (&run["id"], &run["id"]));
                    let ends = payload["expires"].as_i64().ok_or("no expiry")?;
                    let began = event["created_at"].as_i64().ok_or("no time")?;
                    assert_eq!(ends - began, 900);
                }
                "spawned" => {
                    assert_eq!(keys(payload), ["pid"]);
                    assert!(payload["pid"].as_i64().is_some_and(|pid| pid > 1));
                    assert_eq!(run_id, &run["id"]);
                }
                "completed" => {
                    assert_eq!(
                        payload,
                        &json!({ "result_len": 5, "summary": run["summary"] })
                    );
                    assert_eq!(keys(payload), ["result_len", "summary"]);
                    assert_eq!(run_id, &run["id"]);
                }
                "promoted" => assert_eq!((payload, run_id), (&Value::Null, &Value::Null)),
                "created" => assert_eq!(run_id, &Value::Null),
                other => return Err(format!("unexpected event {other}").into()),
            }
        }
    }
    assert_eq!(told_by_us, tasks.len() / 2);
    Ok(())
}

/// Replays the board's events: each claim took the best of what was ready then.
fn claims_follow_priority(board: &Board) -> Result {
    let mut ready: Vec<Value> = Vec::new();
    let events = board.rows(
        "SELECT e.kind, e.payload ->> 'status' AS status, t.id, t.priority, t.created_at \
         FROM task_events e JOIN tasks t ON t.id = e.task_id ORDER BY e.id",
        [],
    )?;
    let mut claims = 0;
    for event in events {
        match event["kind"].as_str() {
            Some("created") if event["status"] == "ready" => ready.push(event),
            Some("promoted") => ready.push(event),
            Some("claimed") => {
                let place = |event: &Value| {
                    let number = |name: &str| event[name].as_i64().unwrap_or_default();
                    let id = event["id"].as_str().unwrap_or_default().to_owned();
                    (-number("priority"), number("created_at"), id)
                };
                let best = ready.iter().map(place).min();
                assert_eq!(Some(place(&event)), best, "{ready:?}");
                ready.retain(|other| other["id"] != event["id"]);
                claims += 1;
            }
            _ => {}
        }
    }
    assert!(ready.is_empty() && claims == 6);
    Ok(())
}
