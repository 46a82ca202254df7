//! Ends are noted when they happen, each with its cause, and nothing is left of the processes.

use std::fs;

use rustix::process::Signal;

use super::house::{House, Result};

/// A worker that waits for all to begin the end.
const TOGETHER: &str = "echo $$ > \"$1/worker.$HERMES_KANBAN_TASK\"; \
     while [ -d \"$1/kanban\" ] && [ ! -e \"$1/go\" ]; do sleep 0.05; done; exit 4";

#[test]
fn fifty_ends_at_once_are_recorded_before_the_next_interval_and_leave_no_zombie() -> Result {
    let house = House::with_board()?;
    house.settings_with(TOGETHER, "workers_max = 50")?;
    let settings = house.root().join("kanban/dispatcher.toml");
    let text = fs::read_to_string(&settings)?;
    // No interval comes round in this test: only the ends themselves can make it look.
    fs::write(
        &settings,
        text.replace("interval_seconds = 0.05", "interval_seconds = 3600"),
    )?;
    let ids = (0..50)
        .map(|_| house.add(&["work", "--assignee", "anyone", "--max-retries", "1"]))
        .collect::<Result<Vec<_>>>()?;
    let mut daemon = house.daemon(&[])?;
    let mut workers = Vec::new();
    for id in &ids {
        workers.push(house.worker(id)?);
    }
    fs::write(house.root().join("go"), "")?;
    house.until("every end on the board", || {
        let ended = "SELECT count(*) FROM task_runs WHERE outcome IN ('crashed', 'gave_up') AND error LIKE '%exited with code 4'";
        match house.db()?.query_row(ended, [], |row| row.get::<_, i64>(0))? {
            50 => Ok(()),
            count => Err(format!("{count} of 50: {}", daemon.log()).into()),
        }
    })?;
    // Recorded is reaped: not even for a moment more is one of them a zombie.
    for worker in workers {
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        assert!(!stat.contains(") Z "), "{stat}");
    }
    assert_eq!(daemon.stop(&house, Signal::TERM)?.code(), Some(0));
    Ok(())
}
