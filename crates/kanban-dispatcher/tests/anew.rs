//! A board that is removed and made anew under the same name starts clean. One that is only away for a moment, or whose file is replaced
//! by a backup of it, is the same board, and what an operator wants of it holds.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kanban_dispatcher::{BoardState, Dispatcher, HeldReason, Levers, Root, plan};
use support::{Fleet, Result, connect, script, until, value};

/// A fleet with one paused board, which a dispatcher has seen.
fn paused() -> Result<(Fleet, Dispatcher)> {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    fleet.store("alpha")?.create(&support::task(0))?;
    let slug = fleet.slug("alpha").parse()?;
    Levers::open(&fleet.root, &fleet.clock)?.pause(&slug, Some("new disk"))?;
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!(part.held.get(&HeldReason::Paused), Some(&1), "{part:?}");
    Ok((fleet, dispatcher))
}

fn dir(fleet: &Fleet) -> Result<PathBuf> {
    Ok(fleet.board("alpha")?.dir().to_owned())
}

/// Removes the board and makes another one, later.
fn remake(fleet: &Fleet, look: impl FnOnce()) -> Result<Vec<String>> {
    fs::remove_dir_all(dir(fleet)?)?;
    look();
    fleet.advance(10);
    fleet.ready("alpha", 1)
}

fn copy(from: &Path, to: &Path) -> Result {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    status.success().then_some(()).ok_or("cp failed".into())
}

fn count(fleet: &Fleet, table: &str) -> Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM {table} WHERE slug = '{}'",
        fleet.slug("alpha")
    );
    value(&connect(&fleet.root.ledger())?, &sql)
}

#[test]
fn a_board_that_is_made_anew_is_not_paused() -> Result {
    // Seen to be away, too quick to be seen, and while no dispatcher ran.
    for how in ["seen", "unseen", "alone"] {
        let (fleet, mut dispatcher) = paused()?;
        let ids = remake(&fleet, || {
            if how == "seen" {
                dispatcher.tick();
            }
        })?;
        if how == "alone" {
            drop(dispatcher);
            dispatcher = fleet.dispatcher();
        }
        let plans = plan(&fleet.root, &fleet.config())?;
        let slug = fleet.slug("alpha");
        let plan = plans.iter().find(|plan| plan.slug.as_str() == slug);
        assert_eq!(plan.ok_or("no plan")?.would_start, ids, "{how}");
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.started, ids, "{how}");
        assert_eq!(fleet.status("alpha")?.state, BoardState::Ok, "{how}");
        assert_eq!(count(&fleet, "pauses")?, 0, "{how}");
        let lines = fleet.lines_of("alpha");
        let told = |text: &str| {
            lines
                .iter()
                .filter(|line| line.message.contains(text))
                .count()
        };
        assert_eq!((told("made anew"), told("is resumed")), (1, 0), "{how}");
    }
    Ok(())
}

#[test]
fn a_pause_of_the_new_board_holds() -> Result {
    let (fleet, mut dispatcher) = paused()?;
    remake(&fleet, || ())?;
    let slug = fleet.slug("alpha").parse()?;
    Levers::open(&fleet.root, &fleet.clock)?.pause(&slug, None)?;
    for _ in 0..2 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
    Ok(())
}

#[test]
fn a_board_that_is_away_for_a_moment_stays_paused() -> Result {
    for is_alone in [false, true] {
        let (fleet, mut dispatcher) = paused()?;
        let (here, aside) = (dir(&fleet)?, fleet.path().join("aside"));
        fs::rename(&here, &aside)?;
        assert!(dispatcher.tick().board(&fleet.slug("alpha")).is_none());
        dispatcher.tick();
        if is_alone {
            drop(dispatcher);
            dispatcher = fleet.dispatcher();
            dispatcher.tick();
        }
        fs::rename(&aside, &here)?;
        for _ in 0..2 {
            let report = dispatcher.tick();
            assert_eq!(fleet.part(&report, "alpha")?.started.len(), 0, "{is_alone}");
        }
        assert_eq!(fleet.status("alpha")?.state, BoardState::Paused);
    }
    Ok(())
}

#[test]
fn a_board_that_is_restored_from_a_backup_stays_paused() -> Result {
    // The database alone, and the whole directory.
    for is_whole in [false, true] {
        let (fleet, mut dispatcher) = paused()?;
        let (here, backup) = (dir(&fleet)?, fleet.path().join("backup"));
        copy(&here, &backup)?;
        match is_whole {
            true => fs::remove_dir_all(&here)?,
            false => fs::remove_file(here.join("kanban.db"))?,
        }
        dispatcher.tick();
        match is_whole {
            true => copy(&backup, &here)?,
            false => copy(&backup.join("kanban.db"), &here.join("kanban.db"))?,
        }
        for _ in 0..3 {
            assert_eq!(dispatcher.tick().started(), 0, "{is_whole}");
        }
        assert_eq!(fleet.status("alpha")?.state, BoardState::Paused);
    }
    Ok(())
}

#[test]
fn a_whole_root_that_is_copied_keeps_its_pauses() -> Result {
    let (fleet, dispatcher) = paused()?;
    drop(dispatcher);
    // Nothing but the ledger's own knowledge tells that it is the same.
    fs::remove_file(fleet.board("alpha")?.metadata())?;
    let other = Fleet::new()?;
    copy(&fleet.path().join("kanban"), &other.path().join("kanban"))?;
    let root = Root::at(other.path());
    let mut dispatcher = Dispatcher::builder(root, fleet.config())
        .clock(fleet.clock.clone())
        .build();
    let report = dispatcher.tick();
    let part = report.board(&fleet.slug("alpha")).ok_or("no board")?;
    assert_eq!(part.held.get(&HeldReason::Paused), Some(&1), "{part:?}");
    assert_eq!(dispatcher.tick().started(), 0);
    Ok(())
}

#[test]
fn a_board_that_is_made_anew_does_not_rest() -> Result {
    for how in ["seen", "unseen", "alone", "same"] {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 6)?;
        let build = || {
            let builder = fleet.builder(|config| config.worker.command = Some(script("exit 3")));
            builder.build()
        };
        let mut dispatcher = build();
        assert_eq!(dispatcher.tick().started(), 6);
        until("it rests", || {
            dispatcher.tick();
            Ok(fleet.status("alpha")?.breaker_round.is_some())
        })?;
        if how == "same" {
            drop(dispatcher);
            dispatcher = build();
            assert_eq!(dispatcher.tick().started(), 0);
            continue;
        }
        let ids = remake(&fleet, || {
            if how == "seen" {
                dispatcher.tick();
            }
        })?;
        if how == "alone" {
            drop(dispatcher);
            dispatcher = build();
        }
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.started, ids, "{how}");
        assert_eq!(count(&fleet, "breakers")?, 0, "{how}");
    }
    Ok(())
}

#[test]
fn the_count_of_repairs_goes_with_the_board() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    // The repair fails at its end: the name of an index is taken.
    fleet.sql(
        "alpha",
        "ALTER TABLE tasks DROP COLUMN goal_mode; DROP INDEX idx_events_run; CREATE TABLE idx_events_run (x)",
    )?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    assert_eq!(count(&fleet, "repairs")?, 1);
    let ids = remake(&fleet, || drop(dispatcher.tick()))?;
    assert_eq!(count(&fleet, "repairs")?, 0);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids);
    Ok(())
}
