//! A board whose workers die as soon as they start: seen by the daemon one by one, as their ends come.

use std::fs;

use rustix::process::Signal;

use super::house::{House, Result};

#[test]
fn six_tasks_whose_workers_die_at_once_make_the_board_rest_and_none_is_charged() -> Result {
    let house = House::with_board()?;
    house.settings_with("exit 9", "workers_max = 6")?;
    // One interval is all there is: every end is news, and what has just failed waits for the next interval.
    let file = house.root().join("kanban/dispatcher.toml");
    let settings = fs::read_to_string(&file)?;
    fs::write(
        &file,
        settings.replace("interval_seconds = 0.05", "interval_seconds = 6000"),
    )?;
    let ids: Vec<String> = (0..6)
        .map(|n| house.add(&[&format!("work {n}"), "--assignee", "anyone"]))
        .collect::<Result<_>>()?;
    let mut daemon = house.daemon(&[])?;
    let rests = house.until("a board that rests", || {
        let said = house.say(&["status", "--json"])?;
        let board = said.json()?["boards"][0].clone();
        match board["state"] == "paused" && board["held"]["breaker"] == 6 {
            true => Ok((said.code, board)),
            false => Err(board.to_string().into()),
        }
    })?;
    let (code, board) = rests;
    assert_eq!(code, Some(4), "somebody should look");
    let reason = board["reason"].as_str().ok_or("no reason")?;
    assert!(
        reason.contains("6 tasks") && reason.contains("exit code 9"),
        "{reason}"
    );
    assert!(
        board["next_retry"].is_number() && board["paused"].is_null(),
        "{board}"
    );
    for id in &ids {
        assert_eq!(house.task::<String>("status", id)?, "ready");
        assert_eq!(house.task::<i64>("consecutive_failures", id)?, 0);
    }
    daemon.says(&house, "board rests: 6 tasks")?;
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}
