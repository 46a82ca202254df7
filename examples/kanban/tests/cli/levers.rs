//! The operator's levers, from another process than the daemon's: in force within one tick, and durable.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{House, Result};

/// One board as `status` shows it, once it is as `is_right` wants it.
fn board(house: &House, slug: &str, is_right: impl Fn(&Value) -> bool) -> Result<Value> {
    house.until(slug, || {
        let status = house.say(&["status", "--json"])?.json()?;
        let boards = status["boards"].as_array().ok_or("no boards")?;
        let board = boards.iter().find(|board| board["slug"] == slug);
        match board.filter(|board| is_right(board)) {
            Some(board) => Ok(board.clone()),
            None => Err(status.to_string().into()),
        }
    })
}

#[test]
fn a_paused_board_starts_nothing_until_it_is_resumed_whatever_daemon_runs() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let said = house.ok(&["pause", "default", "--reason", "new disk"])?;
    assert!(
        said.err.contains("board default is paused: new disk"),
        "{said:?}"
    );
    let id = house.add(&["work", "--assignee", "anyone"])?;

    for _ in 0..2 {
        let mut daemon = house.daemon(&[])?;
        let paused = board(&house, "default", |board| {
            board["held"] == json!({"paused": 1})
        })?;
        assert_eq!(paused["state"], "paused");
        assert_eq!(paused["paused"]["reason"], "new disk");
        daemon.serves(&house)?;
        daemon.stop(&house, Signal::TERM)?;
    }
    assert_eq!(house.task::<String>("status", &id)?, "ready");
    let table = house.say(&["status"])?.out;
    assert!(
        table.contains("paused") && table.contains("new disk"),
        "{table}"
    );

    let mut daemon = house.daemon(&[])?;
    daemon.serves(&house)?;
    house.ok(&["resume", "default"])?;
    house.worker(&id)?;
    let again = house.ok(&["resume", "default"])?;
    assert!(again.err.contains("was not paused"), "{again:?}");
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}

#[test]
fn a_pause_holds_from_the_moment_the_command_ends() -> Result {
    let house = House::with_board()?;
    // Each worker leaves a file, and ends at once without a word.
    let script = "touch \"$1/started.$HERMES_KANBAN_RUN_ID\"; exec \"$2\" complete \"$HERMES_KANBAN_TASK\" --summary x";
    house.settings_with(script, "")?;
    for n in 0..30 {
        house.add(&[&format!("work {n}"), "--assignee", "anyone"])?;
    }
    // A few places only, so that there is always somebody about to start.
    let file = house.root().join("kanban/dispatcher.toml");
    let settings = fs::read_to_string(&file)?;
    fs::write(&file, format!("workers_max = 2\n{settings}"))?;
    let mut daemon = house.daemon(&[])?;
    house.until("the first", || {
        let db = house.db()?;
        let done: i64 = db.query_row(
            "SELECT count(*) FROM tasks WHERE status = 'done'",
            [],
            |row| row.get(0),
        )?;
        (done > 2)
            .then_some(())
            .ok_or_else(|| done.to_string().into())
    })?;
    house.ok(&["pause", "default"])?;
    // What is committed by now is all there will be: its identity stands in the ledger's and then in the board's `spawned` event.
    let count =
        |sql: &str| -> Result<i64> { Ok(house.db()?.query_row(sql, [], |row| row.get(0))?) };
    let starts = || count("SELECT count(*) FROM task_events WHERE kind = 'spawned'");
    let running = || count("SELECT count(*) FROM tasks WHERE status = 'running'");
    house.until("the last ones end", || match running()? {
        0 => Ok(()),
        running => Err(running.to_string().into()),
    })?;
    let before = starts()?;
    // A tick later, and one more.
    for title in ["first", "second"] {
        house.add(&[title, "--assignee", "anyone"])?;
        // Counted at each look: what was claimed before the pause may only just be given back.
        let ready = || count("SELECT count(*) FROM tasks WHERE status = 'ready'");
        assert!(ready()? > 1, "there is work");
        board(&house, "default", |board| {
            ready().is_ok_and(|ready| board["held"]["paused"] == ready)
        })?;
    }
    assert_eq!(starts()?, before);
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}

#[test]
fn a_released_board_is_looked_at_with_the_next_tick() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    house.broken_board("bad")?;
    let mut daemon = house.daemon(&[])?;
    // Its files were young at the first look, so there is a second one; and then none until the timer.
    let held = house.until("a board that is left alone", || {
        let first = board(&house, "bad", |board| board["state"] == "held")?;
        daemon.passes(&house, 2)?;
        let second = board(&house, "bad", |board| board["state"] == "held")?;
        match first["suppressed"] == second["suppressed"] {
            true => Ok(second),
            false => Err(second.to_string().into()),
        }
    })?;
    house.ok(&["release", "bad"])?;
    let looks = held["suppressed"].as_u64().ok_or("no count")?;
    board(&house, "bad", |board| board["suppressed"] == looks + 1)?;
    daemon.says(&house, "board is released by an operator")?;
    house.ok(&["repair", "bad"])?;
    daemon.says(&house, "one more repair is allowed by an operator")?;
    board(&house, "bad", |board| board["suppressed"] == looks + 2)?;
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}

#[test]
fn a_lever_that_cannot_be_pulled_says_so_and_does_nothing() -> Result {
    let house = House::with_board()?;
    for verb in ["pause", "release", "repair"] {
        house
            .say(&[verb, "misspelled"])?
            .fails(1, &["misspelled", "kanban boards"]);
    }
    house.say(&["pause"])?.fails(2, &["BOARD"]);
    house
        .say(&["--board", "default", "pause", "default"])?
        .fails(2, &["names its own"]);
    fs::remove_dir_all(house.root().join("kanban/.dispatcher"))?;
    fs::create_dir_all(house.root().join("kanban/.dispatcher/state.db"))?;
    for verb in ["pause", "resume", "release", "repair"] {
        house
            .say(&[verb, "default"])?
            .fails(1, &["open the ledger"]);
    }

    let empty = House::new()?;
    fs::remove_dir(empty.root())?;
    empty
        .say(&["pause", "default"])?
        .fails(1, &["find the directory"]);
    assert!(!empty.root().exists());
    Ok(())
}
