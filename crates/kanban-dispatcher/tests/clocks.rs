//! The wall clock is for people: boards store it, and nothing is decided by its steps. Workers age on the monotonic clock, so a clock
//! that is set by two hours, either way, stops nobody, doubles nobody, and makes nobody wait longer.

mod support;

use std::time::Duration;

use kanban_dispatcher::{
    BoardReport, Dispatcher, DispatcherState, Health, HeldReason, NewTask, Status,
};
use support::{Fleet, Result, connect, outcomes, script, task, until};

const TWO_HOURS: i64 = 7200;

/// A fleet whose board "alpha" has three running tasks, each with a limit of 1000 s and a heartbeat of now.
fn three_at_work() -> Result<(Fleet, Vec<String>, Dispatcher)> {
    let fleet = Fleet::new()?;
    let limited = |priority| NewTask {
        max_runtime: Some(1000),
        ..task(priority)
    };
    let mut store = fleet.store("alpha")?;
    let ids = [3, 2, 1].map(|priority| store.create(&limited(priority)));
    let ids: Vec<String> = ids.into_iter().collect::<std::result::Result<_, _>>()?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 3);
    heartbeat(&fleet, &ids)?;
    dispatcher.tick();
    Ok((fleet, ids, dispatcher))
}

fn heartbeat(fleet: &Fleet, ids: &[String]) -> Result {
    let mut store = fleet.store("alpha")?;
    for id in ids {
        store.heartbeat(id, None, None, None)?;
    }
    Ok(())
}

/// Nothing happened: no worker was stopped, started or ended.
fn is_calm(part: &BoardReport) -> bool {
    let counts = [part.stopped, part.failed, part.reclaimed, part.gave_up];
    part.started.is_empty() && counts == [0; 4] && part.running == 3
}

#[test]
fn a_step_of_the_wall_clock_stops_and_doubles_nobody_and_the_time_limit_still_holds() -> Result {
    // With and without a sign of life in the new time.
    for (step, is_heard) in [
        (TWO_HOURS, false),
        (TWO_HOURS, true),
        (-TWO_HOURS, false),
        (-TWO_HOURS, true),
    ] {
        let (fleet, ids, mut dispatcher) = three_at_work()?;
        let workers = fleet.processes();
        fleet.advance(100);
        fleet.clock.step(step);
        for _ in 0..3 {
            if is_heard {
                heartbeat(&fleet, &ids)?;
            }
            let report = dispatcher.tick();
            let alpha = fleet.turn(&report, "alpha")?;
            assert!(alpha.is_none_or(is_calm), "{step}: {alpha:?}");
            fleet.advance(100);
        }
        fleet.advance(599);
        let report = dispatcher.tick();
        let alpha = fleet.turn(&report, "alpha")?;
        assert!(
            alpha.is_none_or(is_calm),
            "{step}: one second is left: {alpha:?}"
        );
        assert_eq!(fleet.processes(), workers);

        fleet.advance(1);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.stopped, 3, "{step}");
        let mut started = 0;
        until("their ends are recorded", || {
            started += dispatcher.tick().started();
            Ok(started == 3)
        })?;
        for id in &ids {
            let detail = fleet.show("alpha", id)?;
            assert_eq!(outcomes(&detail), ["timed_out", "open"], "{step}");
        }
        assert_eq!(fleet.processes().len(), 3);
    }
    Ok(())
}

#[test]
fn the_first_sign_of_life_before_a_step_forward_is_as_young_as_it_is() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    // Long at work when it is first heard of, and the clock is set before the next look.
    fleet.advance(10_000);
    dispatcher.tick();
    heartbeat(&fleet, &ids)?;
    fleet.clock.step(TWO_HOURS);
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert!(is_calm(alpha), "{alpha:?}");
    Ok(())
}

#[test]
fn silence_is_measured_by_the_monotonic_clock() -> Result {
    let (fleet, ids, mut dispatcher) = three_at_work()?;
    fleet.sql(
        "alpha",
        "UPDATE tasks SET max_runtime_seconds = NULL; UPDATE task_runs SET max_runtime_seconds = NULL",
    )?;
    // Set back while they say nothing: by the wall clock their last word is still to come.
    fleet.clock.step(-TWO_HOURS);
    fleet.advance(3600);
    let report = dispatcher.tick();
    assert!(is_calm(fleet.part(&report, "alpha")?));
    // Silent for long enough, but as long as its claim is valid a worker may be.
    fleet.sql("alpha", "UPDATE tasks SET claim_expires = 1")?;
    fleet.advance(1);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 3);
    let mut started = 0;
    until("they are started again", || {
        started += dispatcher.tick().started();
        Ok(started == 3)
    })?;
    for id in &ids {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(outcomes(&detail), ["reclaimed", "open"]);
    }
    Ok(())
}

#[test]
fn a_worker_that_spoke_before_the_clock_was_set_and_then_falls_silent_is_stopped() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    heartbeat(&fleet, &ids)?;
    fleet.clock.step(TWO_HOURS);
    dispatcher.tick();
    for (seconds, stopped) in [(3600, 0), (1, 3)] {
        fleet.advance(seconds);
        fleet.sql("alpha", "UPDATE tasks SET claim_expires = 1")?;
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.stopped, stopped, "{seconds}");
    }
    Ok(())
}

#[test]
fn a_step_of_the_wall_clock_survives_a_change_of_dispatchers() -> Result {
    let (fleet, _, dispatcher) = three_at_work()?;
    drop(dispatcher);
    // The next one can only believe the board: a time that is still to come is now.
    fleet.clock.step(-TWO_HOURS);
    let mut next = fleet.dispatcher();
    for seconds in [0, 999] {
        fleet.advance(seconds);
        let report = next.tick();
        let alpha = fleet.turn(&report, "alpha")?;
        assert!(alpha.is_none_or(is_calm), "{alpha:?}");
    }
    fleet.advance(1);
    assert_eq!(fleet.part(&next.tick(), "alpha")?.stopped, 3);
    Ok(())
}

#[test]
fn a_step_while_no_dispatcher_runs_makes_nobody_silent() -> Result {
    for (step, is_heard) in [
        (TWO_HOURS, false),
        (TWO_HOURS, true),
        (-TWO_HOURS, false),
        (-TWO_HOURS, true),
    ] {
        let (fleet, ids, mut dispatcher) = three_at_work()?;
        fleet.sql(
            "alpha",
            "UPDATE tasks SET max_runtime_seconds = NULL; UPDATE task_runs SET max_runtime_seconds = NULL",
        )?;
        fleet.advance(5000);
        heartbeat(&fleet, &ids)?;
        fleet.advance(100);
        dispatcher.tick();
        drop(dispatcher);
        fleet.clock.step(step);
        fleet.advance(200);
        // Beside the step they may have spoken since, in the new time.
        if is_heard {
            heartbeat(&fleet, &ids)?;
        }
        fleet.sql("alpha", "UPDATE tasks SET claim_expires = 1")?;
        let mut next = fleet.dispatcher();
        let report = next.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert!(is_calm(alpha), "{step} {is_heard}: {alpha:?}");
        // Silence is still silence: three hundred seconds of it were over already.
        if step > 0 && !is_heard {
            fleet.advance(3300);
            fleet.sql("alpha", "UPDATE tasks SET claim_expires = 1")?;
            assert!(is_calm(fleet.part(&next.tick(), "alpha")?));
            fleet.advance(1);
            fleet.sql("alpha", "UPDATE tasks SET claim_expires = 1")?;
            assert_eq!(fleet.part(&next.tick(), "alpha")?.stopped, 3);
        }
    }
    Ok(())
}

#[test]
fn a_rest_after_try_later_is_not_prolonged_when_the_clock_is_set_back() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.command = Some(script("exit 75"));
            config.rate_limit_cooldown_seconds = 300;
        })
        .build();
    dispatcher.tick();
    until("it rests", || {
        let report = dispatcher.tick();
        Ok(fleet
            .part(&report, "alpha")?
            .held
            .get(&HeldReason::Cooldown)
            == Some(&1))
    })?;
    fleet.clock.step(-TWO_HOURS);
    fleet.advance(300);
    assert_eq!(dispatcher.tick().started(), 1);
    assert_eq!(
        outcomes(&fleet.show("alpha", &id)?),
        ["rate_limited", "open"]
    );
    Ok(())
}

#[test]
fn a_log_line_is_held_back_for_its_window_whatever_the_wall_clock_does() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(vec!["/no/such/program".to_owned()]))
        .build();
    for step in [0, TWO_HOURS, -2 * TWO_HOURS, TWO_HOURS] {
        fleet.clock.step(step);
        dispatcher.tick();
        assert_eq!(fleet.complaints().len(), 1, "{step}");
    }
    fleet.clock.advance(Duration::from_secs(60));
    dispatcher.tick();
    assert_eq!(fleet.complaints().len(), 2);
    Ok(())
}

#[test]
fn a_last_tick_that_is_still_to_come_proves_nothing() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let state = |fleet: &Fleet| -> Result<(DispatcherState, Health)> {
        let status = Status::read(&fleet.root, &fleet.clock)?;
        Ok((status.dispatcher.state, status.health()))
    };
    let serves = (DispatcherState::Serving, Health::Healthy);
    let stale = (DispatcherState::Stale, Health::NotRunning);
    assert_eq!(state(&fleet)?, serves);
    // Three intervals of a minute, in both directions.
    for (step, expected) in [(-181, serves), (-1, stale), (-30 * 365 * 86_400, stale)] {
        fleet.clock.step(step);
        assert_eq!(state(&fleet)?, expected, "{step}");
    }
    dispatcher.tick();
    assert_eq!(state(&fleet)?, serves, "by the clock as it is now");
    fleet.clock.step(181);
    assert_eq!(state(&fleet)?, serves);
    fleet.clock.step(1);
    assert_eq!(state(&fleet)?, stale);
    // A number that no clock ever shows.
    let ledger = connect(&fleet.root.ledger())?;
    for never in [i64::MAX, i64::MIN] {
        ledger.execute("UPDATE dispatcher SET last_tick = ?1", [never])?;
        assert_eq!(state(&fleet)?, stale, "{never}");
    }
    Ok(())
}
