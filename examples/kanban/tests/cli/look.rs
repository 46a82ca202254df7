//! Looking leaves no trace, and ends quietly when nobody reads on.

use super::house::{House, Result};
use super::said::Said;

#[test]
fn nothing_is_created_by_looking() -> Result {
    let house = House::new()?;
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["show", "t_1"],
        &["show", "shop/t_1"],
        &["why", "shop/t_1"],
        &["--board", "shop", "list"],
        &["add", "x"],
        &["complete", "t_1"],
        &["boards"],
        &["status"],
        &["status", "--json"],
        &["tick", "--dry-run"],
    ] {
        house.say(args)?;
        assert_eq!(house.files()?, Vec::<std::path::PathBuf>::new(), "{args:?}");
    }
    Ok(())
}

#[test]
fn a_dry_run_tells_what_would_start_and_starts_nothing() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&["greet", "--assignee", "anyone"])?;
    let files = house.files()?;
    let plan = house.ok(&["tick", "--dry-run", "--json"])?.json()?;
    assert_eq!(
        (&plan["schema"], &plan["version"]),
        (&"kanban.plan".into(), &1.into())
    );
    let board = &plan["boards"][0];
    assert_eq!(
        (&board["slug"], &board["state"]),
        (&"default".into(), &"tick".into())
    );
    assert_eq!(board["would_start"], serde_json::json!([id]));
    let table = house.ok(&["tick", "--dry-run"])?.out;
    assert!(
        table.contains("would_start") && table.contains(&id),
        "{table}"
    );
    assert_eq!(house.files()?, files);
    assert_eq!(house.task::<String>("status", &id)?, "ready");
    Ok(())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() -> Result {
    let house = House::with_board()?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let said: Said = house.command(&["list"]).stdout(writer).output()?.into();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    Ok(())
}

#[test]
fn what_a_task_is_called_cannot_steer_the_terminal() -> Result {
    let house = House::with_board()?;
    let id = house.add(&["red\u{1b}[31m", "--body", "one\n\u{1b}]0;two\u{7}"])?;
    for args in [&["list"][..], &["show", &id]] {
        let out = house.ok(args)?.out;
        assert!(!out.contains(['\u{1b}', '\u{7}']), "{out:?}");
    }
    Ok(())
}

#[test]
fn every_verb_explains_itself() -> Result {
    let house = House::new()?;
    for verb in [
        "demo",
        "run",
        "tick",
        "status",
        "boards",
        "init",
        "add",
        "list",
        "show",
        "why",
        "complete",
        "block",
        "unblock",
        "heartbeat",
        "pause",
        "resume",
        "release",
        "repair",
    ] {
        let said = house.ok(&[verb, "--help"])?;
        assert!(said.out.contains("Usage: kanban"), "{said:?}");
        assert!(
            said.out.lines().all(|line| line.chars().count() <= 100),
            "{said:?}"
        );
    }
    assert!(
        house
            .ok(&["--help"])?
            .out
            .contains("Exit codes: 0 done, 1 failed, 2 usage")
    );
    Ok(())
}

#[test]
fn why_gives_the_one_reason_and_when_it_can_change() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let nobodys = house.add(&["greet"])?;
    let somebodys = house.add(&["greet", "--assignee", "anyone"])?;
    let why = |id: &str| {
        house
            .ok(&["why", &format!("default/{id}"), "--json"])?
            .json()
    };
    let answer = why(&nobodys)?;
    assert_eq!(
        (&answer["schema"], &answer["version"]),
        (&"kanban.why".into(), &1.into())
    );
    assert_eq!(
        (&answer["board"], &answer["task"]),
        (&"default".into(), &nobodys.clone().into())
    );
    assert_eq!(
        (&answer["reason"], &answer["next_change"]),
        (&"unassigned".into(), &serde_json::Value::Null)
    );
    assert_eq!(why(&somebodys)?["reason"], "no_dispatcher");
    let page = house.ok(&["why", &nobodys])?.out;
    assert!(
        page.contains("unassigned") && page.contains("nobody is to do it"),
        "{page}"
    );
    house.ok(&["complete", &nobodys, "--summary", "x"])?;
    assert_eq!(why(&nobodys)?["reason"], "done");

    house
        .say(&["why", "t_none"])?
        .fails(1, &["failed to find task t_none on board \"default\""]);
    house
        .say(&["why", "shop/t_1"])?
        .fails(1, &["failed to find board \"shop\"", "does not exist"]);
    Ok(())
}
