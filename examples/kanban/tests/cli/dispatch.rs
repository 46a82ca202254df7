//! One pass over all boards, by `tick` and by `run --once`.

use super::house::{House, Result};

#[test]
fn a_tick_starts_a_worker_that_reports_back() -> Result {
    let house = House::with_board()?;
    let script = "exec \"$2\" complete \"$HERMES_KANBAN_TASK\" --summary \"by $HERMES_PROFILE\"";
    house.settings_with(script, "")?;
    let id = house.add(&["greet", "--assignee", "anyone"])?;
    let tick = house.ok(&["tick", "--json"])?.json()?;
    assert_eq!(
        (&tick["schema"], &tick["version"]),
        (&"kanban.tick".into(), &1.into())
    );
    assert_eq!(tick["standby"], serde_json::Value::Null);
    let board = &tick["boards"][0];
    assert_eq!(
        (&board["slug"], &board["outcome"]),
        (&"default".into(), &"ticked".into())
    );
    assert_eq!(board["started"], serde_json::json!([id]));
    assert_eq!(board["running"], 1);

    let run = house.until("the task's end", || {
        let show = house.show(&id)?;
        match show["task"]["status"].as_str() {
            Some("done") => Ok(show["runs"][0].clone()),
            _ => Err(show.to_string().into()),
        }
    })?;
    assert_eq!(
        (&run["outcome"], &run["summary"]),
        (&"completed".into(), &"by anyone".into())
    );
    Ok(())
}

#[test]
fn a_broken_board_has_its_own_line_and_stops_nobody() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    house.broken_board("bad")?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    let said = house.ok(&["tick", "--json"])?;
    let boards = &said.json()?["boards"];
    assert_eq!(boards[0]["started"], serde_json::json!([id]));
    assert_eq!(
        (&boards[1]["slug"], &boards[1]["outcome"]),
        (&"bad".into(), &"held".into())
    );
    assert!(boards[1]["failure"]["reason"].is_string(), "{boards}");
    assert!(said.err.contains("bad"), "{said:?}");

    let table = house.ok(&["tick"])?.out;
    assert!(
        table.starts_with("slug ") && table.contains("held"),
        "{table}"
    );
    house.worker(&id)?;
    Ok(())
}

#[test]
fn once_tells_by_its_exit_code_how_the_boards_are() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    assert_eq!(house.say(&["run", "--once"])?.code, Some(0));
    house.broken_board("bad")?;
    assert_eq!(house.say(&["run", "--once"])?.code, Some(4));
    Ok(())
}

#[test]
fn log_lines_are_json_when_asked_for() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    house.broken_board("bad")?;
    let said = house.ok(&["--log-format", "json", "tick", "--json"])?;
    assert!(!said.err.is_empty());
    for line in said.err.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        assert!(
            line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let quiet = house.say_with(&[("KANBAN_LOG", "off")], &["tick", "--json"])?;
    assert_eq!(quiet.err, "");
    Ok(())
}
