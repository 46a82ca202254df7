//! The daemon: it works until it is told to stop, its workers outlive it, and there is one per root.

use std::fs;

use rustix::process::Signal;

use super::house::{House, Result, is_alive};

#[test]
fn sigterm_ends_it_with_success_and_its_worker_goes_on() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    let mut daemon = house.daemon(&[])?;
    let worker = house.worker(&id)?;
    assert_eq!(
        daemon.stop(&house, Signal::TERM)?.code(),
        Some(0),
        "{}",
        daemon.log()
    );
    assert!(daemon.log().contains("workers go on"), "{}", daemon.log());
    assert!(is_alive(worker));

    // The next one adopts it.
    let tick = house.ok(&["tick", "--json"])?.json()?;
    assert_eq!(tick["boards"][0]["running"], 1);
    assert_eq!(tick["boards"][0]["reclaimed"], 0);
    assert!(is_alive(worker));
    assert_eq!(house.task::<u32>("worker_pid", &id)?, worker);
    Ok(())
}

#[test]
fn sigint_ends_it_too() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let mut daemon = house.daemon(&[])?;
    daemon.says(&house, "dispatcher starts")?;
    assert_eq!(
        daemon.stop(&house, Signal::INT)?.code(),
        Some(0),
        "{}",
        daemon.log()
    );
    Ok(())
}

#[test]
fn a_second_sigint_ends_it_at_once() -> Result {
    let house = House::with_board()?;
    house.settings_with(
        "true",
        "busy_timeout_ms = 600000\nboard_deadline_seconds = 600",
    )?;
    house.add(&["work", "--assignee", "anyone"])?;
    // Somebody else writes for so long that the tick does not end.
    let db = house.db()?;
    db.execute_batch("BEGIN IMMEDIATE")?;
    let mut daemon = house.daemon(&[])?;
    daemon.ticks(&house)?;
    daemon.signal(Signal::INT)?;
    daemon.says(&house, "told to stop")?;
    assert_eq!(
        daemon.stop(&house, Signal::INT)?.code(),
        Some(130),
        "{}",
        daemon.log()
    );
    Ok(())
}

#[test]
fn a_second_one_stands_by_and_takes_over() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let mut first = house.daemon(&[])?;
    first.serves(&house)?;

    let tick = house.say(&["tick"])?;
    tick.fails(75, &["another dispatcher holds it", "kanban status"]);
    let tick = house.say(&["tick", "--json"])?;
    assert_eq!(tick.code, Some(75));
    assert_eq!(tick.json()?["standby"]["reason"], "another_dispatcher");
    assert_eq!(house.say(&["run", "--once"])?.code, Some(75));

    let mut second = house.daemon(&[])?;
    second.says(&house, "dispatcher stands by")?;
    assert_eq!(first.stop(&house, Signal::TERM)?.code(), Some(0));
    second.says(&house, "dispatcher takes over")?;
    second.serves(&house)?;
    assert_eq!(
        second.stop(&house, Signal::TERM)?.code(),
        Some(0),
        "{}",
        second.log()
    );
    Ok(())
}

#[test]
fn status_tells_by_its_exit_code_how_things_are() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let before = house.say(&["status"])?;
    assert_eq!(before.code, Some(3));
    assert!(before.out.contains("never ran here"), "{before:?}");

    let mut daemon = house.daemon(&[])?;
    daemon.serves(&house)?;
    house.broken_board("bad")?;
    let said = house.until("degraded", || match house.say(&["status", "--json"])? {
        said if said.code == Some(4) => Ok(said),
        said => Err(format!("{said:?}").into()),
    })?;
    let status = said.json()?;
    assert_eq!(
        (&status["schema"], &status["version"]),
        (&"kanban.status".into(), &1.into())
    );
    assert_eq!(status["dispatcher"]["state"], "serving");
    let (fine, bad) = (&status["boards"][0], &status["boards"][1]);
    assert_eq!(
        (&fine["slug"], &fine["state"]),
        (&"default".into(), &"ok".into())
    );
    assert_eq!(
        (&bad["slug"], &bad["state"]),
        (&"bad".into(), &"held".into())
    );
    for key in [
        "class",
        "reason",
        "since",
        "next_retry",
        "repair_attempts",
        "suppressed",
    ] {
        assert!(!bad[key].is_null(), "{key}: {bad}");
    }

    let table = house.say(&["status"])?;
    assert_eq!(table.code, Some(4));
    let head: Vec<&str> = table
        .out
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let wanted = [
        "slug",
        "state",
        "class",
        "reason",
        "since",
        "next_retry",
        "repair_attempts",
    ];
    let more = ["last_tick", "ready", "running", "held", "suppressed"];
    assert_eq!(head, [&wanted[..], &more].concat());
    assert!(!table.out.contains('\u{1b}'), "colours are for terminals");

    fs::remove_dir_all(house.root().join("kanban/boards/bad"))?;
    daemon.serves(&house)?;
    daemon.stop(&house, Signal::TERM)?;
    assert_eq!(house.say(&["status"])?.code, Some(3));
    Ok(())
}

#[test]
fn settings_are_read_again_unless_the_interval_was_said() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let interval = || -> Result<f64> {
        let status = house.say(&["status", "--json"])?.json()?;
        status["dispatcher"]["interval_seconds"]
            .as_f64()
            .ok_or_else(|| status.to_string().into())
    };
    let write = |seconds: f64| -> Result {
        let text = format!("dispatch_interval_seconds = {seconds}\n");
        Ok(fs::write(
            house.root().join("kanban/dispatcher.toml"),
            text,
        )?)
    };

    let mut daemon = house.daemon(&[])?;
    daemon.serves(&house)?;
    write(0.125)?;
    house.until("the new interval", || match interval()? {
        0.125 => Ok(()),
        other => Err(other.to_string().into()),
    })?;
    daemon.stop(&house, Signal::TERM)?;

    let mut daemon = house.daemon(&["--interval", "0.04"])?;
    daemon.says(&house, "settings are not read again")?;
    daemon.serves(&house)?;
    write(0.25)?;
    // Wait for two ticks that saw, or would have seen, the new file.
    let id = house.add(&["nobody's"])?;
    for status in ["ready", "done"] {
        counted(&house, "ready", u64::from(status == "ready"))?;
        house.say(&["complete", &id])?;
    }
    assert!((interval()? - 0.04).abs() < 1e-9);
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}

#[test]
fn status_is_watched_until_the_interrupt() -> Result {
    let house = House::with_board()?;
    let mut watch = house.watch()?;
    watch.says(&house, "\n{\"schema\":\"kanban.status\"")?;
    assert_eq!(watch.stop(&house, Signal::INT)?.code(), Some(3));
    Ok(())
}

/// Waits until the dispatcher has counted this many tasks of the default board.
fn counted(house: &House, what: &str, count: u64) -> Result {
    house.until(what, || {
        let status = house.say(&["status", "--json"])?.json()?;
        match status["boards"][0][what] == count {
            true => Ok(()),
            false => Err(status.to_string().into()),
        }
    })
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() -> Result {
    let house = House::with_board()?;
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_kanban"))
        .arg("--root")
        .arg(house.root())
        .args(["run", "--once"])
        .stderr(full)
        .status()?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[test]
fn a_worker_that_fails_at_once_is_tried_again_at_the_next_interval_and_not_before() -> Result {
    let house = House::with_board()?;
    let text = "dispatch_interval_seconds = 600\n[worker]\nrequire_profile = false\ncommand = [\"false\"]\n";
    fs::create_dir_all(house.root().join("kanban"))?;
    fs::write(house.root().join("kanban/dispatcher.toml"), text)?;
    let id = house.add(&["fails", "--assignee", "anyone", "--max-retries", "1000"])?;
    let mut daemon = house.daemon(&[])?;
    house.until("the failure is recorded", || {
        let shown = house.say(&["show", &id, "--json"])?.json()?;
        // Its end and, if there were one, the next claim are one transaction.
        match (
            &shown["runs"][0]["outcome"],
            shown["runs"].as_array().map(Vec::len),
        ) {
            (outcome, Some(1)) if outcome == "crashed" => Ok(()),
            (_, runs) => Err(format!("{runs:?} runs").into()),
        }
    })?;
    daemon.stop(&house, Signal::TERM)?;
    Ok(())
}
