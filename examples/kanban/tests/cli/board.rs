//! A board can be used without Hermes: made, filled, looked at, worked off.

use std::fs;

use super::house::{House, Result};

#[test]
fn init_makes_a_board_once_and_boards_lists_it() -> Result {
    let house = House::new()?;
    assert!(house.ok(&["init"])?.err.contains("board default made"));
    assert!(house.ok(&["init"])?.err.contains("board default is there"));
    house.ok(&["init", "Shop"])?;
    assert!(house.root().join("kanban/boards/shop/board.json").exists());

    let boards = house.ok(&["boards", "--json"])?.json()?;
    assert_eq!(boards["schema"], "kanban.boards");
    assert_eq!(boards["version"], 1);
    let board = |n: usize, key: &str| boards["boards"][n][key].clone();
    assert_eq!(
        (board(0, "slug"), board(0, "current")),
        ("default".into(), true.into())
    );
    assert_eq!(
        (board(1, "slug"), board(1, "exists")),
        ("shop".into(), true.into())
    );

    let table = house.ok(&["boards"])?.out;
    assert!(table.starts_with("slug "), "{table}");
    assert_eq!(table.lines().count(), 3);
    Ok(())
}

#[test]
fn a_task_is_added_listed_and_shown() -> Result {
    let house = House::with_board()?;
    let words = [
        "write it",
        "--assignee",
        "Coder",
        "--priority",
        "-3",
        "--body",
        "all of it",
    ];
    let more = [
        "--tenant",
        "acme",
        "--skill",
        "a",
        "--skill",
        "b",
        "--max-runtime",
        "30m",
    ];
    let id = house.add(&[&words[..], &more, &["--max-retries", "4", "--dir", "."]].concat())?;
    assert!(id.starts_with("t_"), "{id}");
    assert_eq!(house.task::<i64>("max_runtime_seconds", &id)?, 1_800);
    assert_eq!(house.task::<i64>("max_retries", &id)?, 4);
    assert_eq!(house.task::<String>("skills", &id)?, "[\"a\", \"b\"]");
    let dir = house.task::<String>("workspace_path", &id)?;
    assert!(dir.starts_with('/') && fs::metadata(dir)?.is_dir());

    let list = house.ok(&["list", "--json"])?.json()?;
    assert_eq!(
        (&list["schema"], &list["version"]),
        (&"kanban.list".into(), &1.into())
    );
    assert_eq!(list["board"], "default");
    assert_eq!(list["tasks"][0]["id"], *id);
    assert_eq!(list["tasks"][0]["assignee"], "coder");
    assert_eq!(list["tasks"][0]["priority"], -3);

    let show = house.show(&id)?;
    let keys: Vec<&String> = show.as_object().ok_or("no object")?.keys().collect();
    let wanted = [
        "schema",
        "version",
        "board",
        "task",
        "latest_summary",
        "parents",
        "children",
    ];
    assert_eq!(
        keys,
        [&wanted[..], &["comments", "events", "runs"]].concat()
    );
    assert_eq!(show["schema"], "kanban.show");
    assert_eq!(show["events"][0]["kind"], "created");

    let page = house.ok(&["show", &format!("default/{id}")])?.out;
    assert!(
        page.contains("write it") && page.contains("all of it"),
        "{page}"
    );
    assert!(house.ok(&["list"])?.out.contains("write it"));
    Ok(())
}

#[test]
fn a_child_waits_for_its_parent() -> Result {
    let house = House::with_board()?;
    let parent = house.add(&["first"])?;
    let child = house
        .ok(&["add", "then", "--parent", &parent, "--json"])?
        .json()?;
    assert_eq!(
        (&child["schema"], &child["status"]),
        (&"kanban.add".into(), &"todo".into())
    );
    let child = child["id"].as_str().ok_or("no id")?;

    let words = [
        "--summary",
        "done so",
        "--result",
        "42",
        "--metadata",
        "{\"pages\": 3}",
    ];
    house.ok(&[&["complete", &parent], &words[..]].concat())?;
    let parent = house.show(&parent)?;
    assert_eq!(parent["task"]["status"], "done");
    assert_eq!(parent["runs"][0]["summary"], "done so");
    assert_eq!(parent["runs"][0]["metadata"]["pages"], 3);
    assert_eq!(parent["children"][0], *child);
    let ready = house.ok(&["list", "--status", "ready", "--json"])?.json()?;
    assert_eq!(ready["tasks"][0]["id"], *child);
    Ok(())
}

#[test]
fn a_blocked_task_goes_on_when_it_is_unblocked() -> Result {
    let house = House::with_board()?;
    let id = house.add(&["ask"])?;
    let said = house.ok(&["block", &id, "which", "quarter?", "--kind", "needs_input"])?;
    assert!(said.err.contains("is blocked"), "{said:?}");
    let events = &house.show(&id)?["events"];
    assert_eq!(events[1]["kind"], "commented");
    assert_eq!(events[2]["payload"]["reason"], "which quarter?");

    assert!(house.ok(&["unblock", &id])?.err.contains("is ready"));
    let again = house.ok(&["block", &id, "again", "--kind", "needs_input"])?;
    assert!(again.err.contains("is triage"), "{again:?}");
    house
        .say(&["unblock", &id])?
        .fails(1, &["it is triage", "kanban show"]);
    Ok(())
}

#[test]
fn the_board_is_chosen_as_the_peer_chooses_it() -> Result {
    let house = House::with_board()?;
    house.ok(&["init", "shop"])?;
    house.ok(&["init", "lab"])?;
    let id = house
        .ok(&["--board", "shop", "add", "count"])?
        .out
        .trim()
        .to_owned();
    // The option may stand behind the verb too, and the task may name its board.
    house.ok(&["show", &id, "--board", "shop"])?;
    house.ok(&["show", &format!("shop/{id}")])?;
    house
        .say(&["show", &id])?
        .fails(1, &["find task", "default"]);
    let both = house.say(&["--board", "lab", "show", &format!("shop/{id}")])?;
    both.fails(2, &["--board lab", "once"]);

    house.ok(&["complete", &format!("shop/{id}")])?;
    let board_of = |vars: &[(&str, &str)]| -> Result<String> {
        let list = house.say_with(vars, &["list", "--json"])?.json()?;
        Ok(list["board"].as_str().unwrap_or_default().to_owned())
    };
    fs::write(house.root().join("kanban/current"), "lab\n")?;
    assert_eq!(board_of(&[])?, "lab");
    assert_eq!(board_of(&[("HERMES_KANBAN_BOARD", "shop")])?, "shop");
    // A candidate that does not exist is passed over.
    assert_eq!(board_of(&[("HERMES_KANBAN_BOARD", "gone")])?, "lab");
    fs::write(house.root().join("kanban/current"), "gone\n")?;
    assert_eq!(board_of(&[])?, "default");
    Ok(())
}

#[test]
fn the_environments_database_beats_every_choice_and_says_so() -> Result {
    let house = House::with_board()?;
    house.ok(&["init", "shop"])?;
    let id = house
        .ok(&["--board", "shop", "add", "count"])?
        .out
        .trim()
        .to_owned();
    let db = house.root().join("kanban/boards/shop/kanban.db");
    let vars = [("HERMES_KANBAN_DB", db.to_str().ok_or("not UTF-8")?)];
    let said = house.say_with(&vars, &["--board", "shop", "show", &id])?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let said = house.say_with(&vars, &["--board", "default", "show", &id])?;
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("HERMES_KANBAN_DB wins"), "{said:?}");
    Ok(())
}
