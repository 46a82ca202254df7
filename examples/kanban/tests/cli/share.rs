//! Places for workers between two intervals: whoever has waited longest is first, also a board that nobody was asked to look at.

use std::fs;

use rustix::process::Signal;

use super::house::{House, Result};

/// Works until there is a file `free.TASK` in the root.
const WORKER: &str = "while [ ! -e \"$1/free.$HERMES_KANBAN_TASK\" ] && [ -d \"$1/kanban\" ]; do sleep 0.05; done; \
                      exec \"$2\" complete \"$HERMES_KANBAN_TASK\" --summary x";

#[test]
fn a_freed_place_goes_to_a_board_whose_first_task_came_after_the_last_tick() -> Result {
    let house = House::with_board()?;
    // Nobody but the dispatcher's own news makes it tick within this test.
    house.settings_with(WORKER, "workers_max = 1")?;
    let file = house.root().join("kanban/dispatcher.toml");
    let settings = fs::read_to_string(&file)?;
    fs::write(
        &file,
        settings.replace("interval_seconds = 0.05", "interval_seconds = 6000"),
    )?;
    house.ok(&["init", "single"])?;
    let endless: Vec<String> = ["3", "2", "1"]
        .iter()
        .map(|priority| house.add(&["work", "--assignee", "anyone", "--priority", priority]))
        .collect::<Result<_>>()?;
    let mut daemon = house.daemon(&[])?;
    let running = |id: &str| {
        house.until(id, || match house.task::<String>("status", id)? {
            status if status == "running" => Ok(()),
            status => Err(status.into()),
        })
    };
    running(&endless[0])?;
    let single = house.ok(&["--board", "single", "add", "urgent", "--assignee", "anyone"])?;
    let single = single.out.trim();

    let free = |id: &str| fs::write(house.root().join(format!("free.{id}")), "");
    free(&endless[0])?;
    let of_single = || {
        house
            .ok(&["--board", "single", "show", single, "--json"])?
            .json()
    };
    house.until("its start", || {
        let shown = of_single()?;
        match shown["task"]["status"] == "running" {
            true => Ok(()),
            false => Err(shown["task"].to_string().into()),
        }
    })?;
    assert_eq!(house.task::<String>("status", &endless[1])?, "ready");
    // And then the others go on.
    free(single)?;
    running(&endless[1])?;
    assert_eq!(of_single()?["task"]["status"], "done");
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}
