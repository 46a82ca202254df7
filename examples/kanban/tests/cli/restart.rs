//! A restart is no event: the old daemon claims nothing more and leaves its workers alone, however it is ended, and the next one
//! goes on with them.

use std::fs;

use rustix::process::Signal;

use super::house::{House, Result, is_alive};

/// A worker that writes its process id down, waits until it may report, and reports.
const REPORTS: &str = "echo $$ > \"$1/worker.$HERMES_KANBAN_TASK\"; \
     while [ -d \"$1/kanban\" ] && [ ! -e \"$1/go\" ]; do sleep 0.05; done; \
     exec \"$2\" complete \"$HERMES_KANBAN_TASK\" --summary reported";

#[test]
fn whichever_way_the_daemon_ends_its_worker_lives_on_and_the_next_one_adopts_it() -> Result {
    for signal in [Signal::TERM, Signal::KILL] {
        let house = House::with_board()?;
        house.settings_with(REPORTS, "")?;
        let id = house.add(&["work", "--assignee", "anyone"])?;
        let mut first = house.daemon(&[])?;
        let worker = house.worker(&id)?;
        let code = first.stop(&house, signal)?.code();
        assert_eq!(
            code,
            (signal == Signal::TERM).then_some(0),
            "{}",
            first.log()
        );
        assert!(is_alive(worker));

        let mut second = house.daemon(&[])?;
        second.serves(&house)?;
        // Two more of its ticks: each starts what became ready since the last.
        for title in ["next", "after that"] {
            let next = house.add(&[title, "--assignee", "anyone"])?;
            house.worker(&next)?;
        }
        assert!(is_alive(worker));
        assert_eq!(house.task::<u32>("worker_pid", &id)?, worker);

        fs::write(house.root().join("go"), "")?;
        house.until("every task is done", || {
            let open = "SELECT count(*) FROM tasks WHERE status <> 'done'";
            match house
                .db()?
                .query_row(open, [], |row| row.get::<_, i64>(0))?
            {
                0 => Ok(()),
                open => Err(format!("{open} are open: {}", second.log()).into()),
            }
        })?;
        let runs = house.show(&id)?["runs"].take();
        assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
        assert_eq!(runs[0]["outcome"], "completed", "{runs}");
        assert_eq!(house.task::<i64>("consecutive_failures", &id)?, 0);
        let log = second.log();
        assert!(!log.contains("not proven ours"), "known again: {log}");
        assert_eq!(second.stop(&house, Signal::TERM)?.code(), Some(0));
    }
    Ok(())
}

#[test]
fn nothing_is_claimed_after_sigterm_not_even_by_a_tick_that_waits_for_its_turn_to_write() -> Result
{
    let house = House::with_board()?;
    house.settings_with(
        REPORTS,
        "busy_timeout_ms = 600000\nboard_deadline_seconds = 600",
    )?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    let db = house.db()?;
    db.execute_batch("BEGIN IMMEDIATE")?;
    let mut daemon = house.daemon(&[])?;
    daemon.ticks(&house)?;
    daemon.signal(Signal::TERM)?;
    daemon.says(&house, "told to stop")?;
    db.execute_batch("COMMIT")?;
    let status = daemon.stop(&house, Signal::TERM)?;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!(house.task::<String>("status", &id)?, "ready");
    let runs = house.show(&id)?["runs"].take();
    assert_eq!(runs.as_array().map(Vec::len), Some(0), "{runs}");
    Ok(())
}

#[test]
fn what_was_held_back_is_told_before_the_end() -> Result {
    let house = House::with_board()?;
    house.settings_with(REPORTS, "busy_timeout_ms = 1")?;
    house.add(&["work", "--assignee", "anyone"])?;
    let db = house.db()?;
    db.execute_batch("BEGIN IMMEDIATE")?;
    let mut daemon = house.daemon(&[])?;
    house.until("lines held back", || {
        let status = house.say(&["status", "--json"])?.json()?;
        match status["boards"][0]["suppressed"].as_u64() {
            Some(3..) => Ok(()),
            _ => Err(status.to_string().into()),
        }
    })?;
    let status = daemon.stop(&house, Signal::TERM)?;
    assert_eq!(status.code(), Some(0));
    let log = daemon.log();
    let flushed = log.find("more of the same").ok_or_else(|| log.clone())?;
    let ends = log.find("dispatcher ends").ok_or_else(|| log.clone())?;
    assert!(flushed < ends, "{log}");
    Ok(())
}
