//! People change what a board says, and are told what came of it: also what becomes of a worker whose task they take away.

use std::fs::{File, OpenOptions};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::house::{House, Result, is_alive};

#[test]
fn every_verb_that_writes_answers_with_the_task_on_demand() -> Result {
    let house = House::with_board()?;
    let made = |title: &str| house.add(&[title]);
    let (a, b) = (made("a")?, made("b")?);
    for (args, schema, about, status) in [
        (
            &["comment", &a, "look", "here"][..],
            "kanban.comment",
            &a,
            "ready",
        ),
        (&["link", &a, &b], "kanban.link", &b, "todo"),
        (
            &["promote", &b, "now", "--force"],
            "kanban.promote",
            &b,
            "ready",
        ),
        (&["unlink", &a, &b], "kanban.unlink", &b, "ready"),
        (
            &["schedule", &b, "next", "week"],
            "kanban.schedule",
            &b,
            "scheduled",
        ),
        (&["unblock", &b], "kanban.unblock", &b, "ready"),
        (&["block", &b, "which?"], "kanban.block", &b, "blocked"),
        (&["assign", &b, "Ann"], "kanban.assign", &b, "blocked"),
        (&["reassign", &b, "-"], "kanban.reassign", &b, "blocked"),
        (
            &["complete", &a, "--summary", " "],
            "kanban.complete",
            &a,
            "done",
        ),
        (&["edit", &a, "--result", "42"], "kanban.edit", &a, "done"),
        (&["archive", &a], "kanban.archive", &a, "archived"),
    ] {
        let said = house.ok(&[args, &["--json"]].concat())?;
        let told = said.json()?;
        assert_eq!(
            (&told["schema"], &told["board"]),
            (&schema.into(), &"default".into())
        );
        assert_eq!(
            (&told["id"], &told["status"]),
            (&about.as_str().into(), &status.into()),
            "{args:?}"
        );
        assert_eq!(said.err, "");
    }
    let show = house.show(&b)?;
    let comments: Vec<&Value> = show["comments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| &c["body"])
        .collect();
    assert_eq!(comments, ["SCHEDULED: next week", "BLOCKED: which?"]);
    // In words the same goes to standard error, and standard output stays empty.
    let said = house.ok(&["assign", &b, "ann"])?;
    assert_eq!(
        (said.out.as_str(), said.err.trim()),
        ("", format!("task {b} is for ann").as_str())
    );
    Ok(())
}

#[test]
fn a_task_is_added_in_every_shape() -> Result {
    let house = House::with_board()?;
    let words = [
        "--goal",
        "--goal-max-turns",
        "7",
        "--model",
        "m-1",
        "--triage",
        "--idempotency-key",
        "k",
    ];
    let id = house.add(&[&["aim"][..], &words].concat())?;
    assert_eq!(
        house.add(&[&["aim"][..], &words].concat())?,
        id,
        "made once"
    );
    let task = &house.show(&id)?["task"];
    assert_eq!(
        (&task["goal_mode"], &task["goal_max_turns"]),
        (&true.into(), &7.into())
    );
    assert_eq!(
        (&task["model_override"], &task["status"]),
        (&"m-1".into(), &"triage".into())
    );

    let id = house.add(&["here", "--workspace", "dir:sub/dir"])?;
    let wanted = house.beside("sub/dir");
    assert_eq!(
        house.task::<String>("workspace_path", &id)?,
        wanted.to_str().ok_or("not UTF-8")?
    );
    let id = house.add(&["home", "--workspace", "worktree:~/repo", "--branch", "fix"])?;
    let wanted = house.beside("repo");
    assert_eq!(
        house.task::<String>("workspace_path", &id)?,
        wanted.to_str().ok_or("not UTF-8")?
    );
    assert_eq!(house.task::<String>("branch_name", &id)?, "fix");

    let id = house.add(&["held", "--initial-status", "blocked"])?;
    let kinds = house.show(&id)?;
    assert_eq!(
        (&kinds["events"][0]["kind"], &kinds["events"][1]["kind"]),
        (&"created".into(), &"blocked".into())
    );
    Ok(())
}

#[test]
fn what_is_asked_for_the_wrong_way_is_told() -> Result {
    let house = House::with_board()?;
    house.ok(&["init", "shop"])?;
    let a = house.add(&["a"])?;
    let there = format!("shop/{a}");
    for (code, args, words) in [
        (
            2,
            &["add", "x", "--branch", "b"][..],
            "a branch is for a worktree",
        ),
        (2, &["add", "x", "--workspace", "git"], "worktree:PATH"),
        (
            2,
            &["add", "x", "--workspace", "dir:/x", "--dir", "."],
            "cannot be used with",
        ),
        (2, &["add", "x", "--skill", "a,b"], "not one skill"),
        (2, &["add", "x", "--goal-max-turns", "3"], "--goal"),
        (2, &["comment", &a, " "], "an author and a text"),
        (2, &["edit", &a], "nothing is to be changed"),
        (2, &["edit", &a, "--summary", "x"], "--result"),
        (2, &["edit", &a, "--title", " "], "a title is not empty"),
        (2, &["reassign", &a, "ann", "--reason", "x"], "--reclaim"),
        (
            2,
            &["link", &format!("default/{a}"), &there],
            "of its own board",
        ),
        (1, &["link", &a, &a], "cannot wait for itself"),
        (1, &["link", &a, "t_0"], "find task"),
        (1, &["unlink", &a, "t_0"], "find a link"),
        (1, &["edit", &a, "--result", "x"], "allowed are done"),
        (1, &["reclaim", &a], "nobody has claimed it"),
        (1, &["promote", &a], "it is ready"),
    ] {
        house.say(args)?.fails(code, &[words]);
    }
    assert_eq!(
        house.show(&a)?["events"].as_array().map(Vec::len),
        Some(1),
        "nothing was written"
    );
    Ok(())
}

#[test]
fn a_task_that_is_made_is_no_failure_whoever_reads_the_answer() -> Result {
    let house = House::with_board()?;
    let full = || -> Result<Stdio> { Ok(OpenOptions::new().write(true).open("/dev/full")?.into()) };
    let closed = || -> Result<Stdio> {
        let (reader, writer) = rustix::pipe::pipe()?;
        drop(reader);
        Ok(File::from(writer).into())
    };
    for (n, json) in [(1, false), (3, true)] {
        for (more, out) in [(0, full()?), (1, closed()?)] {
            let args = ["add", "once", "--json"];
            let mut command = house.command(&args[..if json { 3 } else { 2 }]);
            let output = command.stdout(out).stderr(Stdio::piped()).output()?;
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{err}");
            let list = house.ok(&["list", "--json"])?.json()?;
            let tasks = list["tasks"].as_array().ok_or("no list")?;
            assert_eq!(tasks.len(), n + more, "{err}");
            let told = tasks
                .iter()
                .filter(|task| task["id"].as_str().is_some_and(|id| err.contains(id)));
            assert_eq!(told.count(), 1, "{err}");
        }
    }
    Ok(())
}

#[test]
fn a_block_that_is_refused_leaves_no_comment() -> Result {
    let house = House::with_board()?;
    let id = house.add(&["ask"])?;
    house.ok(&["complete", &id])?;
    house
        .say(&["block", &id, "which quarter?"])?
        .fails(1, &["it is done"]);
    house
        .say(&["schedule", &id, "later"])?
        .fails(1, &["it is done"]);
    assert_eq!(house.show(&id)?["comments"], Value::Array(Vec::new()));
    Ok(())
}

#[test]
fn a_worker_changes_its_own_task_only_and_only_while_its_attempt_is_current() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    house.ok(&["tick"])?;
    house.worker(&id)?;
    let other = house.add(&["not yours"])?;
    let worker = |run: &'static str| {
        [
            ("HERMES_KANBAN_TASK", id.as_str()),
            ("HERMES_KANBAN_RUN_ID", run),
        ]
    };
    for args in [
        &["archive", &other][..],
        &["assign", &other, "me"],
        &["reassign", &other, "me"],
        &["reclaim", &other],
        &["promote", &other],
        &["schedule", &other],
        &["edit", &other, "--title", "mine"],
    ] {
        house
            .say_with(&worker("1"), args)?
            .fails(1, &["own task only"]);
    }
    for args in [
        &["archive", &id][..],
        &["reclaim", &id],
        &["reassign", &id, "me", "--reclaim"],
        &["schedule", &id],
        &["edit", &id, "--title", "mine"],
    ] {
        house
            .say_with(&worker("99"), args)?
            .fails(1, &["attempt 99", "1 is"]);
    }
    // Words and the order of tasks are everybody's.
    for args in [
        &["comment", &other, "hello"][..],
        &["link", &other, &id],
        &["unlink", &other, &id],
    ] {
        let said = house.say_with(&worker("99"), args)?;
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    assert_eq!(house.task::<String>("status", &id)?, "running");
    let said = house.say_with(&worker("1"), &["schedule", &id, "later"])?;
    assert_eq!(
        (said.code, house.task::<String>("status", &id)?.as_str()),
        (Some(0), "scheduled")
    );
    Ok(())
}

#[test]
fn without_a_dispatcher_a_reclaimed_worker_goes_on_and_is_refused() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    house.ok(&["tick"])?;
    let pid = house.worker(&id)?;
    let said = house.ok(&["reclaim", &id, "--reason", "it hangs"])?;
    assert!(
        said.err.contains("no dispatcher runs here") && said.err.contains(&pid.to_string()),
        "{said:?}"
    );
    assert!(is_alive(pid), "it is not ours to signal from here");
    let run = &house.show(&id)?["runs"][0];
    assert_eq!(
        (&run["outcome"], &run["error"]),
        (&"reclaimed".into(), &"manual_reclaim: it hangs".into())
    );

    let stale = [
        ("HERMES_KANBAN_TASK", id.as_str()),
        ("HERMES_KANBAN_RUN_ID", "1"),
    ];
    house
        .say_with(&stale, &["complete", &id])?
        .fails(1, &["attempt 1"]);
    assert_eq!(house.task::<String>("status", &id)?, "ready");
    // The next dispatcher knows it again, stops it, and starts no other one beside it.
    house.ok(&["tick"])?;
    assert_eq!(house.task::<String>("status", &id)?, "ready");
    house.until("the stopped worker's end", || match is_alive(pid) {
        true => Err("it lives".into()),
        false => Ok(()),
    })?;
    Ok(())
}

#[test]
fn the_dispatcher_stops_the_worker_of_a_task_that_is_taken_away() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let mut daemon = house.daemon(&[])?;
    daemon.serves(&house)?;
    let parent = house.add(&["work", "--assignee", "anyone"])?;
    let child = house.add(&["then", "--parent", &parent])?;
    let first = house.worker(&parent)?;

    let said = house.ok(&["reclaim", &parent, "--json"])?.json()?;
    assert_eq!(
        (
            &said["released"]["worker_pid"],
            &said["released"]["is_stopped"]
        ),
        (&first.into(), &true.into())
    );
    // A second worker comes, and only when the first has gone.
    let second = house.until("another worker", || match house.worker(&parent)? {
        pid if pid == first => Err("the first one".into()),
        pid => Ok(pid),
    })?;
    assert!(!is_alive(first));
    house.until("it is recorded", || {
        match house.task::<Option<u32>>("worker_pid", &parent)? {
            Some(pid) if pid == second => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })?;

    let said = house.ok(&["archive", &parent])?;
    assert!(
        said.err.contains("is stopped by the dispatcher"),
        "{said:?}"
    );
    assert_eq!(house.task::<String>("status", &child)?, "ready");
    house.until("the end of its worker", || match is_alive(second) {
        true => Err("it lives".into()),
        false => Ok(()),
    })?;
    assert_eq!(house.task::<String>("status", &parent)?, "archived");
    assert_eq!(daemon.stop(&house, Signal::TERM)?.code(), Some(0));
    Ok(())
}
