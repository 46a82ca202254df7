//! What somebody wants that no file of a board shows is done within a second, and not by the next pass only. The clock stands still unless a
//! test moves it.

mod support;

use std::time::Duration;

use fingerprint_quarantine::FileState;
use kanban_dispatcher::Levers;

use self::support::daemon::Daemon;
use self::support::{Fleet, Result, drop_column, until};

/// Moves the clock on until it is so, but not to the next pass.
fn soon(daemon: &Daemon<'_>, what: &str, is_so: impl Fn() -> Result<bool>) -> Result {
    const STEP: Duration = Duration::from_millis(20);
    let mut gone = Duration::ZERO;
    until(what, || {
        if gone > Duration::from_secs(50) {
            return Err(format!("not before the next pass: {what}").into());
        }
        gone += STEP;
        daemon.move_on(STEP);
        is_so()
    })
}

fn levers(fleet: &Fleet) -> Result<Levers> {
    Ok(Levers::open(&fleet.root, &fleet.clock)?)
}

#[test]
fn a_board_that_comes_is_served_with_the_watch_and_without() -> Result {
    for watch in [true, false] {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 0)?;
        let daemon = Daemon::start(&fleet, |config| config.watch = watch)?;
        // Its directory first, as whoever makes a board does.
        std::fs::create_dir_all(fleet.board("beta")?.dir())?;
        daemon.move_on(Duration::from_secs(1));
        let id = fleet.ready("beta", 1)?.remove(0);
        soon(
            &daemon,
            &format!("it is served with watch = {watch}"),
            || Ok(fleet.show("beta", &id)?.task.status == "running"),
        )?;
    }
    Ok(())
}

#[test]
fn a_directory_becomes_a_board_though_nothing_changes_in_that_of_the_boards() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 0)?;
    std::fs::create_dir_all(fleet.board("beta")?.dir())?;
    let boards = fleet.root.boards_dir();
    until("the listing is sure", || {
        Ok(!FileState::of(&boards).is_young())
    })?;
    let daemon = Daemon::start(&fleet, |config| config.watch = false)?;
    let id = fleet.ready("beta", 1)?.remove(0);
    soon(&daemon, "it is served", || {
        Ok(fleet.show("beta", &id)?.task.status == "running")
    })
}

#[test]
fn a_pause_that_is_lifted_is_over() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 0)?;
    let daemon = Daemon::start(&fleet, |_| ())?;
    let alpha = fleet.slug("alpha").parse()?;
    let is_told = |text: &str| {
        let lines = fleet.lines_of("alpha");
        lines.iter().any(|line| line.message.contains(text))
    };
    levers(&fleet)?.pause(&alpha, None)?;
    soon(&daemon, "it is told", || Ok(is_told("board is paused")))?;
    let id = daemon.add("alpha")?;
    until("the task waits", || {
        Ok(fleet.status("alpha")?.held["paused"] == 1)
    })?;
    levers(&fleet)?.resume(&alpha)?;
    soon(&daemon, "it is started", || {
        Ok(fleet.show("alpha", &id)?.task.status == "running")
    })?;
    assert!(is_told("board is resumed"));
    Ok(())
}

#[test]
fn a_held_board_that_is_released_is_tried_again() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 0)?;
    }
    drop_column(&fleet.connect("alpha")?, "tasks", "title")?;
    let daemon = Daemon::start(&fleet, |_| ())?;
    let next_retry = || -> Result<_> { Ok(fleet.status("alpha")?.next_retry) };
    let before = next_retry()?;
    assert!(before.is_some(), "it is held");
    // A hold that began within one second of another one would end with it.
    daemon.move_on(Duration::from_secs(5));
    levers(&fleet)?.release(&fleet.slug("alpha").parse()?)?;
    soon(&daemon, "it was tried, and is held anew", || {
        Ok(next_retry()?.is_some_and(|next| Some(next) != before))
    })
}
