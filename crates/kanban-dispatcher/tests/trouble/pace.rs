//! What cannot be done now is tried again at a pace.

use super::*;

#[test]
fn an_end_that_cannot_be_recorded_does_not_keep_the_dispatcher_busy() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.store("alpha")?.create(&NewTask {
        max_runtime: Some(5),
        ..task(0)
    })?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.stop_grace_seconds = Duration::ZERO;
            config.dispatch_interval_seconds = Duration::from_secs(5);
        })
        .build();
    let wake = Wake::new();
    let (send, receive) = channel();
    std::thread::scope(|scope| -> Result {
        let run = scope.spawn(|| {
            let _ = send.send(fs::read_link("/proc/thread-self"));
            dispatcher.run(&wake);
        });
        let watch = || -> Result {
            let stat = Path::new("/proc").join(receive.recv()??).join("stat");
            until("it works", || Ok(fleet.processes().len() == 1))?;
            until("it is known", || {
                Ok(fleet.show("alpha", &id)?.task.status == "running")
            })?;
            let _locked = other(&fleet, "alpha", "BEGIN IMMEDIATE")?;
            // Its time is over. No tick comes after that one, since the clock stands still again.
            fleet.advance(6);
            until("its end was found and not recorded", || {
                Ok(fleet.processes().is_empty() && !fleet.complaints().is_empty())
            })?;
            let before = cpu(&stat)?;
            let clock = Clock::system();
            until("some time has gone by", || {
                Ok(clock.monotonic() > Duration::from_millis(1500))
            })?;
            let used = cpu(&stat)? - before;
            // No assertion, which would leave the dispatcher running.
            match used {
                0..10 => Ok(()),
                _ => Err(format!("{used} of 150 ticks of the processor").into()),
            }
        };
        let watched = watch();
        wake.stop();
        run.join().map_err(|_| "the dispatcher panicked")?;
        watched
    })?;
    assert_eq!(fleet.show("alpha", &id)?.task.status, "running");
    dispatcher.tick();
    assert_eq!(outcomes(&fleet.show("alpha", &id)?)[0], "timed_out");
    Ok(())
}

#[test]
fn a_board_that_stays_locked_never_seems_to_work_while_others_have_news() -> Result {
    let fleet = Fleet::new()?;
    let id = &fleet.ready("locked", 1)?[0];
    fleet.ready("busy", 0)?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.busy_timeout_ms = Duration::from_millis(1);
            config.workers_max = std::num::NonZeroUsize::MIN;
        })
        .build();
    let locked = other(&fleet, "locked", "BEGIN IMMEDIATE")?;
    for _ in 0..6 {
        // Whoever has news asks for every place there is.
        fleet.sql("busy", "INSERT INTO task_comments (task_id, author, body, created_at) VALUES ('t_0', 'a', 'b', 1)")?;
        let report = dispatcher.tick();
        let part = fleet.part(&report, "locked")?;
        assert_eq!(part.outcome, Outcome::Busy, "{part:?}");
    }
    let lines = fleet.lines_of("locked");
    assert!(
        !lines
            .iter()
            .any(|line| line.message.contains("works again")),
        "{lines:#?}"
    );
    drop(locked);
    dispatcher.tick();
    assert_eq!(fleet.show("locked", id)?.task.status, "running");
    Ok(())
}

#[test]
fn a_failure_that_was_held_back_is_counted_until_it_is_told_though_the_board_works() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("locked", 0)?;
    let mut dispatcher = fleet
        .builder(|config| config.busy_timeout_ms = Duration::from_millis(1))
        .build();
    dispatcher.tick();
    for suppressed in [0, 1] {
        fleet.store("locked")?.create(&task(0))?;
        let lock = other(&fleet, "locked", "BEGIN IMMEDIATE")?;
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "locked")?.outcome, Outcome::Busy);
        drop(lock);
        dispatcher.tick();
        assert_eq!(fleet.status("locked")?.suppressed, suppressed);
    }
    // Its window ends in silence, and the board has no turn.
    fleet.advance(61);
    dispatcher.tick();
    assert_eq!(fleet.status("locked")?.suppressed, 0);
    Ok(())
}

/// What a thread has used of a processor, in ticks of 10 ms.
fn cpu(stat: &Path) -> Result<u64> {
    let text = fs::read_to_string(stat)?;
    let rest = &text[text.rfind(')').ok_or("no name")? + 1..];
    let times = rest.split_ascii_whitespace().skip(11).take(2);
    Ok(times
        .map(str::parse::<u64>)
        .sum::<std::result::Result<u64, _>>()?)
}
