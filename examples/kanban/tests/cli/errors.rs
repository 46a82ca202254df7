//! What goes wrong is told with what to do about it, and with an exit code that a script can act on.

use std::fs;

use super::house::{House, Result};

#[test]
fn an_unknown_key_is_named_with_its_line() -> Result {
    let house = House::with_board()?;
    let file = house.beside("mine.toml");
    fs::write(&file, "failure_limit = 3\n\n[worker]\ncomand = [\"x\"]\n")?;
    let file = file.to_str().ok_or("not UTF-8")?;
    for verb in [
        &["run"][..],
        &["run", "--once"],
        &["tick"],
        &["tick", "--dry-run"],
    ] {
        let said = house.say(&[verb, &["--config", file]].concat())?;
        said.fails(
            78,
            &["failed to read the configuration", file, "comand", "line 4"],
        );
    }
    // The same for the file that nobody named.
    fs::create_dir_all(house.root().join("kanban"))?;
    fs::write(house.root().join("kanban/dispatcher.toml"), "lanes = 0\n")?;
    house
        .say(&["tick"])?
        .fails(78, &["dispatcher.toml", "line 1", "lanes"]);
    Ok(())
}

#[test]
fn settings_that_are_named_must_be_there() -> Result {
    let house = House::with_board()?;
    house
        .say(&["run", "--config", "none.toml"])?
        .fails(78, &["none.toml"]);
    Ok(())
}

#[test]
fn a_missing_board_or_task_is_told_with_the_way_out() -> Result {
    let house = House::new()?;
    house
        .say(&["list"])?
        .fails(1, &["kanban: failed to", "kanban init", "default"]);
    house
        .say(&["--board", "shop", "add", "x"])?
        .fails(1, &["shop", "kanban init"]);
    house.ok(&["init"])?;
    house
        .say(&["show", "t_0"])?
        .fails(1, &["t_0", "kanban list"]);
    house.say(&["complete", "t_0"])?.fails(1, &["t_0"]);
    house
        .say(&["add", "x", "--parent", "t_0"])?
        .fails(1, &["t_0"]);
    Ok(())
}

#[test]
fn a_root_that_is_not_there_is_no_place_to_dispatch() -> Result {
    let house = House::new()?;
    fs::remove_dir(house.root())?;
    for verb in [&["tick"][..], &["run"], &["run", "--once"]] {
        house
            .say(verb)?
            .fails(1, &["failed to find the directory", "kanban init"]);
    }
    Ok(())
}

#[test]
fn what_is_asked_for_the_wrong_way_is_a_usage_error() -> Result {
    let house = House::with_board()?;
    for args in [
        &["frobnicate"][..],
        &["--board", "../etc", "list"],
        &["--board", "shop", "status"],
        &["show", "a/b/"],
        &["block", "t_1", "--kind", "boredom"],
        &["complete", "t_1", "--metadata", "[1]"],
        &["list", "--status", "redy"],
        &["add", "x", "--max-runtime", "soon"],
        &["add", "x", "--dir", "nowhere"],
        &["add", " "],
        &["run", "--interval", "0"],
    ] {
        let said = house.say(args)?;
        said.fails(2, &[]);
        assert!(!said.err.is_empty(), "{args:?}");
    }
    Ok(())
}

#[test]
fn a_board_that_is_no_database_is_told_and_left_alone() -> Result {
    let house = House::with_board()?;
    house.broken_board("bad")?;
    house
        .say(&["--board", "bad", "list"])?
        .fails(1, &["failed to", "bad", "kanban status"]);
    let text = fs::read_to_string(house.root().join("kanban/boards/bad/kanban.db"))?;
    assert!(text.starts_with("no database at all"));
    Ok(())
}

#[test]
fn a_filter_that_cannot_be_read_is_told() -> Result {
    let house = House::with_board()?;
    let said = house.say_with(&[("KANBAN_LOG", "kanban=loud")], &["list"])?;
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("KANBAN_LOG"), "{said:?}");
    Ok(())
}
