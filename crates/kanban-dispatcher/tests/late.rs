//! Turns that come back after their deadline: each tick still tells of each of its boards once, and of no other.

mod support;

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::{fs, io};

use kanban_dispatcher::{Builder, FileLock, Job, Status, Wake, WorkerCommand};

use self::support::{Fleet, LONG, Result, task, until};

/// A start on the board "hangs" takes until one on another board has begun, and that one until the turn of "hangs" is over.
fn builder(fleet: &Fleet) -> Result<Builder> {
    let (release, hang) = channel::<()>();
    let hang = Mutex::new(hang);
    let hangs = fleet.slug("hangs");
    let lock = fleet.board("hangs")?.tick_lock();
    let builder = fleet.builder(|config| config.board_deadline_seconds = Duration::from_secs(1));
    Ok(builder.launcher(move |job: &Job<'_>| {
        if job.board.slug().as_str() == hangs {
            let released = hang.lock().map(|hang| hang.recv());
            released
                .map_err(|error| io::Error::other(error.to_string()))?
                .map_err(io::Error::other)?;
        } else {
            let _ = release.send(());
            let is_over = || Ok(!lock.exists() || FileLock::try_acquire(&lock)?.is_some());
            until("the other turn is over", is_over)
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(WorkerCommand {
            argv: LONG.map(Into::into).to_vec(),
            env: Vec::new(),
        })
    }))
}

#[test]
fn a_turn_that_comes_back_in_a_tick_that_was_not_for_its_board_is_told_by_the_next_one() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("other", 0)?;
    fleet.ready("hangs", 1)?;
    let (wake, mut dispatcher) = (Wake::new(), builder(&fleet)?.build());
    let its = wake.clone();
    let thread = thread::spawn(move || dispatcher.run(&its));
    let goes_on = |what: &str, is_so: &dyn Fn() -> Result<bool>| {
        until(what, || {
            fleet.clock.advance(Duration::from_millis(50));
            wake.news();
            Ok(thread.is_finished() || is_so()?)
        })
    };
    goes_on("it hangs", &|| {
        Ok(fleet.status("hangs").is_ok_and(|it| it.reason.is_some()))
    })?;
    let ticks = || -> Result<_> {
        let status = Status::read(&fleet.root, &fleet.clock)?;
        Ok(status.dispatcher.ticks.unwrap_or_default())
    };
    // Watched, and with the next pass some time away.
    let passed = ticks()?;
    fleet.advance(60);
    goes_on("a pass", &|| Ok(ticks()? > passed))?;
    fleet.store("other")?.create(&task(0))?;
    for board in ["other", "hangs"] {
        goes_on(board, &|| Ok(fleet.status(board)?.running > 0))?;
    }
    wake.stop();
    assert!(thread.join().is_ok());
    Ok(())
}

#[test]
fn of_a_board_that_was_made_anew_while_its_old_turn_hung_one_turn_is_told() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("other", 0)?;
    fleet.ready("hangs", 1)?;
    let mut dispatcher = builder(&fleet)?.build();
    dispatcher.tick();
    fs::remove_dir_all(fleet.board("hangs")?.dir())?;
    dispatcher.tick();
    fleet.ready("hangs", 0)?;
    fleet.store("other")?.create(&task(0))?;
    let report = dispatcher.tick();
    let hangs = fleet.slug("hangs");
    let of_it = |slug: &kanban_dispatcher::Slug| slug.as_str() == hangs;
    let told = report.boards.iter().filter(|it| of_it(&it.slug)).count();
    assert_eq!(told, 1, "{report:?}");
    Ok(())
}
