//! The wall clock under the real daemon is set by hours, forth and back, while it works: nobody is stopped, started twice or made to
//! wait. A small library in front of the C library's clock does the setting; the monotonic clock stays what it is.

use rustix::process::Signal;
use torture::wall::WallClock;

use super::daemon::Daemon;
use super::house::{House, Result, is_alive};

/// A daemon in the time of this clock.
fn begin(clock: &WallClock, house: &House) -> Result<Daemon> {
    let mut command = house.command(&["run"]);
    clock.rule(&mut command);
    Daemon::spawn(house, &mut command)
}

/// A worker that stays, with a sign of life every now and then, in the time that it is told.
const BEATS: &str = "echo $$ > \"$1/worker.$HERMES_KANBAN_TASK\"; \
     while [ -d \"$1/kanban\" ]; do \"$2\" heartbeat \"$HERMES_KANBAN_TASK\"; sleep 0.3; done";

#[test]
fn a_wall_clock_that_is_set_by_hours_stops_doubles_and_delays_nothing() -> Result {
    let house = House::with_board()?;
    let clock = WallClock::new(&house.beside(""))?;
    house.settings_with(BEATS, "workers_max = 20")?;
    // Overdue by every clock that believes in the step.
    let limited = ["work", "--assignee", "anyone", "--max-runtime", "3000"];
    let mut ids = vec![house.add(&limited)?];
    let mut daemon = begin(&clock, &house)?;
    let mut workers = vec![house.worker(&ids[0])?];
    for offset in [3 * 3600, -3 * 3600, 48 * 3600, 0] {
        clock.set(offset)?;
        let is_new = |at: i64| (at - now() - offset).abs() < 1800;
        house.until("a tick in the new time", || {
            let status = house.say(&["status", "--json"])?.json()?;
            // Before the first word of the ledger there is no board in it.
            let last_tick = &status["boards"][0]["last_tick"];
            match last_tick.as_i64() {
                Some(at) if is_new(at) => Ok(()),
                _ => Err(last_tick.to_string().into()),
            }
        })?;
        // What becomes ready now starts now, and after it is at work, two ticks have looked at the others.
        for _ in 0..2 {
            let id = house.add(&limited)?;
            workers.push(house.worker(&id)?);
            ids.push(id);
        }
        for (id, worker) in ids.iter().zip(&workers) {
            assert!(is_alive(*worker), "{offset}: {}", daemon.log());
            let runs = house.show(id)?["runs"].take();
            let outcomes = runs.as_array().ok_or("no list")?;
            assert_eq!(
                (outcomes.len(), &runs[0]["outcome"]),
                (1, &serde_json::Value::Null)
            );
        }
    }
    assert!(!daemon.log().contains("asked to stop"), "{}", daemon.log());
    assert_eq!(daemon.stop(&house, Signal::TERM)?.code(), Some(0));
    Ok(())
}

#[test]
fn a_dispatcher_that_starts_after_the_wall_clock_was_set_knows_how_old_its_workers_are() -> Result {
    let house = House::with_board()?;
    let clock = WallClock::new(&house.beside(""))?;
    house.settings_with(BEATS, "workers_max = 20")?;
    let limited = ["work", "--assignee", "anyone", "--max-runtime", "3000"];
    let id = house.add(&limited)?;
    let mut daemon = begin(&clock, &house)?;
    let worker = house.worker(&id)?;
    daemon.stop(&house, Signal::KILL)?;
    // Nobody is there who could see it.
    clock.set(6 * 3600)?;
    let mut daemon = begin(&clock, &house)?;
    // Two ticks of the new one have looked at the old one's worker.
    for _ in 0..2 {
        house.worker(&house.add(&limited)?)?;
    }
    assert!(is_alive(worker), "{}", daemon.log());
    assert!(!daemon.log().contains("asked to stop"), "{}", daemon.log());
    let runs = house.show(&id)?["runs"].take();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    assert_eq!(daemon.stop(&house, Signal::TERM)?.code(), Some(0));
    Ok(())
}

/// The machine's wall clock.
fn now() -> i64 {
    kanban_dispatcher::Clock::system().unix()
}
