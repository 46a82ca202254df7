//! A pass that has nothing to tell leaves a sign of life and writes nothing to the ledger; what is told of the process.

mod support;

use std::fs;
use std::time::Duration;

use kanban_dispatcher::{Config, Dispatcher, DispatcherState, Status};
use rusqlite::Connection;

use self::support::{Fleet, Result, connect, task, until};

/// A dispatcher that finds nothing to do, and a look at its ledger.
fn at_rest(fleet: &Fleet) -> Result<(Dispatcher, Connection)> {
    fleet.ready("alpha", 0)?;
    // A look at its pages is news.
    let settings = |config: &mut Config| config.check.interval_seconds = Duration::ZERO;
    let mut dispatcher = fleet.builder(settings).build();
    until("the board is quiet", || {
        fleet.grow_old("alpha")?;
        Ok(dispatcher.tick().boards.is_empty())
    })?;
    Ok((dispatcher, connect(&fleet.root.ledger())?))
}

/// Changes with each commit of another connection.
fn version(ledger: &Connection) -> Result<i64> {
    Ok(ledger.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

/// When it last ticked, how often, and when its board last had a turn.
fn told(fleet: &Fleet) -> Result<(Option<i64>, Option<u64>, Option<i64>)> {
    let Status { dispatcher, .. } = Status::read(&fleet.root, &fleet.clock)?;
    assert_eq!(dispatcher.state, DispatcherState::Serving);
    let board = fleet.status("alpha")?;
    Ok((dispatcher.last_tick, dispatcher.ticks, board.last_tick))
}

#[test]
fn status_follows_a_dispatcher_that_writes_nothing_to_its_ledger() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, ledger) = at_rest(&fleet)?;
    let before = version(&ledger)?;
    for _ in 0..5 {
        let (_, ticks, _) = told(&fleet)?;
        fleet.advance(50);
        dispatcher.tick();
        let now = Some(fleet.clock.unix());
        assert_eq!(told(&fleet)?, (now, ticks.map(|ticks| ticks + 1), now));
    }
    assert_eq!(version(&ledger)?, before);
    // What the process uses is in the ledger, and grows old there.
    fleet.advance(400);
    dispatcher.tick();
    assert_ne!(version(&ledger)?, before);
    Ok(())
}

#[test]
fn passes_in_close_order_leave_one_sign_of_life_and_are_counted() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, _) = at_rest(&fleet)?;
    let pass = |dispatcher: &mut Dispatcher, ms| {
        fleet.clock.advance(Duration::from_millis(ms));
        dispatcher.tick();
        told(&fleet)
    };
    let first = pass(&mut dispatcher, 20)?;
    for _ in 0..3 {
        assert_eq!(pass(&mut dispatcher, 6)?, first);
    }
    let (_, ticks, _) = pass(&mut dispatcher, 2)?;
    assert_eq!(ticks, first.1.map(|ticks| ticks + 4));
    Ok(())
}

#[test]
fn news_is_written_to_the_ledger_at_once() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, ledger) = at_rest(&fleet)?;
    let before = version(&ledger)?;
    fleet.store("alpha")?.create(&task(0))?;
    dispatcher.tick();
    assert_ne!(version(&ledger)?, before);
    assert_eq!(fleet.status("alpha")?.running, 1);
    drop(dispatcher);
    let status = Status::read(&fleet.root, &fleet.clock)?;
    assert_eq!(status.dispatcher.state, DispatcherState::Stopped);
    Ok(())
}

#[test]
fn what_the_process_uses_is_looked_at_again_after_a_second() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, _) = at_rest(&fleet)?;
    let mut used = |after: Duration| -> Result<u32> {
        fleet.clock.advance(after);
        fleet.sql("alpha", "PRAGMA user_version = 0")?;
        assert_eq!(dispatcher.tick().boards.len(), 1, "news");
        let usage = Status::read(&fleet.root, &fleet.clock)?.dispatcher.usage;
        Ok(usage.ok_or("no usage")?.descriptors)
    };
    // Other tests of this process open and close meanwhile.
    const MANY: u32 = 200;
    let before = used(Duration::from_secs(1))?;
    let _held: Vec<_> = (0..2 * MANY)
        .map(|_| fs::File::open("/dev/null"))
        .collect::<std::io::Result<_>>()?;
    assert_eq!(used(Duration::from_millis(999))?, before);
    assert!(used(Duration::from_millis(1))? > before + MANY);
    Ok(())
}

#[test]
fn a_clock_that_was_set_back_is_followed_back() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, _) = at_rest(&fleet)?;
    fleet.advance(5);
    dispatcher.tick();
    fleet.clock.step(-100_000);
    for _ in 0..2 {
        dispatcher.tick();
        assert_eq!(told(&fleet)?.0, Some(fleet.clock.unix()));
    }
    Ok(())
}

#[test]
fn a_sign_of_life_that_cannot_be_left_is_made_up_for_in_the_ledger() -> Result {
    let fleet = Fleet::new()?;
    fs::create_dir_all(fleet.root.dir().join("kanban/.dispatcher/beat"))?;
    let (mut dispatcher, ledger) = at_rest(&fleet)?;
    let before = version(&ledger)?;
    fleet.clock.advance(Duration::from_secs(5));
    dispatcher.tick();
    assert_ne!(version(&ledger)?, before);
    assert_eq!(told(&fleet)?.0, Some(fleet.clock.unix()));
    Ok(())
}

#[test]
fn a_sign_of_life_that_was_removed_is_left_again() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, _) = at_rest(&fleet)?;
    let beat = fleet.root.dir().join("kanban/.dispatcher/beat");
    for _ in 0..2 {
        dispatcher.tick();
        fs::remove_file(&beat)?;
        fleet.advance(500);
        dispatcher.tick();
        assert_eq!(told(&fleet)?.0, Some(fleet.clock.unix()));
        dispatcher.tick();
        assert!(beat.exists());
    }
    Ok(())
}

#[test]
fn one_dispatcher_is_not_told_by_the_signs_of_another_in_its_process() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, _) = at_rest(&fleet)?;
    for _ in 0..20 {
        dispatcher.tick();
    }
    drop(dispatcher);
    fleet.advance(3600);
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let now = Some(fleet.clock.unix());
    assert_eq!(told(&fleet)?, (now, Some(1), now));
    Ok(())
}

#[test]
fn what_somebody_else_writes_over_the_dispatcher_s_line_is_mended_by_its_next_pass() -> Result {
    let fleet = Fleet::new()?;
    let (mut dispatcher, ledger) = at_rest(&fleet)?;
    ledger.execute("UPDATE dispatcher SET pid = 1, start = 1", [])?;
    dispatcher.tick();
    assert_eq!(told(&fleet)?.0, Some(fleet.clock.unix()));
    Ok(())
}

#[test]
fn a_dispatcher_that_was_displaced_ends_without_a_word() -> Result {
    let fleet = Fleet::new()?;
    let (displaced, _) = at_rest(&fleet)?;
    fs::remove_file(fleet.root.dispatcher_lock())?;
    let (_dispatcher, _) = at_rest(&fleet)?;
    drop(displaced);
    told(&fleet)?;
    Ok(())
}
