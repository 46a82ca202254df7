//! Boards that vanish, move and come back.

use super::*;

#[test]
fn a_board_that_cannot_be_looked_at_is_not_taken_for_removed() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let workers = fleet.processes();
    let dir = fleet.board("alpha")?.dir().to_owned();
    let aside = fleet.path().join("aside");
    fs::rename(&dir, &aside)?;
    // A link to itself: every look at what is behind it fails.
    symlink(&dir, &dir)?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!((alpha.outcome, alpha.stopped), (Outcome::Failed, 0));
        assert!(alpha.failure.is_some());
        assert_eq!(fleet.processes(), workers);
        fleet.advance(1);
    }
    assert!(fleet.status("alpha")?.is_degraded());
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());

    fs::remove_file(&dir)?;
    fs::rename(&aside, &dir)?;
    let next = fleet.store("alpha")?.create(&task(0))?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.running), (&vec![next], 2));
    assert_eq!(
        (dispatcher.workers_alive(), fleet.processes().len()),
        (2, 2)
    );
    Ok(())
}

#[test]
fn a_root_that_is_moved_away_is_waited_for_and_not_made_again() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let board = fleet.root.board(&Slug::default());
    Store::init(&board, &fleet.clock)?.create(&task(0))?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let workers = fleet.processes();
    let (kanban, aside) = (fleet.path().join("kanban"), fleet.path().join("aside"));
    fs::rename(&kanban, &aside)?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert!(report.standby.is_some() && report.boards.is_empty());
        assert!(!kanban.exists());
        assert_eq!(fleet.processes(), workers);
        fleet.advance(60);
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());

    fs::rename(&aside, &kanban)?;
    let next = fleet.store("alpha")?.create(&task(0))?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((report.standby.as_ref(), report.started()), (None, 1));
    assert_eq!((&alpha.started, alpha.running), (&vec![next], 2));
    assert_eq!(
        (dispatcher.workers_alive(), fleet.processes().len()),
        (3, 3)
    );
    Ok(())
}

#[test]
fn the_workers_of_a_board_that_was_removed_while_nobody_looked_are_stopped() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    fleet.ready("other", 1)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 3);
    drop(first);
    let dir = fleet.board("alpha")?.dir().to_owned();
    fs::remove_dir_all(&dir)?;

    let mut second = fleet.dispatcher();
    let report = second.tick();
    assert!(report.board(&fleet.slug("alpha")).is_none());
    until("its workers are gone", || {
        second.tick();
        Ok(second.workers_alive() == 1)
    })?;
    assert_eq!(fleet.processes().len(), 1);
    second.tick();
    assert_eq!(workers_in_ledger(&fleet)?, 3, "the board may come back");
    fleet.advance(3_600);
    second.tick();
    assert_eq!(workers_in_ledger(&fleet)?, 1, "and forgotten");
    assert!(!dir.exists());
    Ok(())
}

#[test]
fn the_end_of_a_worker_is_known_when_its_board_comes_back_whatever_pid_its_row_has_by_then()
-> Result {
    let fleet = Fleet::new()?;
    // By its start time it may be the worker: the claim is younger.
    let innocent = Innocent::start()?;
    fleet.advance(10_000_000_000);
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 1);
    let dir = fleet.board("alpha")?.dir().to_owned();
    let aside = dir.with_file_name("aside!");
    fs::rename(&dir, &aside)?;
    until("its worker is gone", || {
        first.tick();
        Ok(first.workers_alive() == 0)
    })?;
    drop(first);
    fs::rename(&aside, &dir)?;
    fleet
        .connect("alpha")?
        .execute("UPDATE tasks SET worker_pid = ?1", [innocent.0.id()])?;

    let mut second = fleet.dispatcher();
    for _ in 0..3 {
        fleet.advance(60);
        second.tick();
    }
    assert_eq!(fleet.show("alpha", &id)?.runs.len(), 2);
    assert_ne!(state(innocent.0.id().into()), Some('Z'));
    Ok(())
}

#[test]
fn the_workers_of_a_board_whose_database_was_removed_while_nobody_looked_are_stopped() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 2);
    drop(first);
    let board = fleet.board("alpha")?;
    for name in names(board.dir())? {
        if name.starts_with("kanban.db") {
            fs::remove_file(board.dir().join(name))?;
        }
    }
    let before = names(board.dir())?;
    assert!(before.contains(&"board.json".to_owned()), "{before:?}");

    let mut second = fleet.dispatcher();
    let report = second.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.outcome, alpha.stopped), (Outcome::Absent, 2));
    until("its workers are gone", || {
        let report = second.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Absent);
        Ok(second.workers_alive() == 0)
    })?;
    assert_eq!(fleet.processes(), [] as [i32; 0]);
    assert_eq!(names(board.dir())?, before, "nothing is made again");
    Ok(())
}
