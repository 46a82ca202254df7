//! Whose the boards are: the dispatcher's lock, and each board's.

use super::*;

#[test]
fn a_second_dispatcher_stands_by_and_takes_over() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let (mut first, mut second) = (fleet.dispatcher(), fleet.dispatcher());
    assert_eq!(first.tick().started(), 1);
    let next = fleet.store("alpha")?.create(&task(0))?;
    for _ in 0..3 {
        let report = second.tick();
        let standby = report.standby.as_ref().ok_or("it serves")?;
        assert_eq!(standby.reason, StandbyReason::AnotherDispatcher);
        assert!(standby.text.contains("another dispatcher holds it"));
        assert!(report.boards.is_empty());
    }
    let told = |text: &str| {
        let lines = log::lines(|line| line.message.contains(&*fleet.path().to_string_lossy()));
        lines
            .iter()
            .filter(|line| line.message.contains(text))
            .count()
    };
    assert_eq!(told("dispatcher stands by"), 1);

    drop(first);
    let report = second.tick();
    assert_eq!(report.standby, None);
    assert_eq!(fleet.part(&report, "alpha")?.started, [next]);
    assert_eq!(
        (
            fleet.part(&report, "alpha")?.running,
            second.workers_alive()
        ),
        (2, 2)
    );
    fleet.has_processes(2)
}

#[test]
fn without_the_dispatchers_lock_nothing_is_dispatched() -> Result {
    let damages: [fn(&Path) -> std::io::Result<()>; 2] = [
        |kanban| fs::write(kanban, "a file where a directory should be"),
        |kanban| fs::create_dir_all(kanban.join(".dispatcher.lock")),
    ];
    for damage in damages {
        let fleet = Fleet::new()?;
        // Only the default board can be there without `kanban/`.
        let board = fleet.root.board(&kanban_dispatcher::Slug::default());
        let mut store = Store::init(&board, &fleet.clock)?;
        let id = store.create(&task(0))?;
        let kanban = fleet.path().join("kanban");
        damage(&kanban)?;
        let mut dispatcher = fleet.dispatcher();
        for _ in 0..3 {
            let report = dispatcher.tick();
            let reason = report.standby.as_ref().map(|standby| standby.reason);
            assert_eq!(reason, Some(StandbyReason::LockUnusable));
            assert!(report.boards.is_empty());
        }
        assert_eq!(store.show(&id)?.task.status, "ready");
        assert!(!board.tick_lock().exists(), "not even looked at");
        let complaints = fleet.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:#?}");

        let _ = fs::remove_file(&kanban);
        let _ = fs::remove_dir_all(&kanban);
        assert_eq!(dispatcher.tick().started(), 1);
    }
    Ok(())
}

#[test]
fn a_lock_file_that_is_replaced_keeps_nobody_out_and_this_is_noticed() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 1);
    let path = fleet.root.dispatcher_lock();
    fs::remove_file(&path)?;
    let other = FileLock::try_acquire(&path)?.ok_or("not free")?;

    fleet.store("alpha")?.create(&task(0))?;
    assert!(dispatcher.tick().standby.is_some());
    drop(other);
    let report = dispatcher.tick();
    assert_eq!((report.standby.as_ref(), report.started()), (None, 1));
    assert_eq!(fleet.part(&report, "alpha")?.running, 2);
    assert_eq!(dispatcher.workers_alive(), 2);
    fleet.has_processes(2)?;

    // Deleted and nobody there: taken again, on the file that is there now.
    fs::remove_file(&path)?;
    assert_eq!(dispatcher.tick().standby, None);
    assert!(FileLock::try_acquire(&path)?.is_none());
    Ok(())
}

#[test]
fn a_lock_file_that_goes_bad_while_it_is_held_ends_the_lead_until_it_is_mended() -> Result {
    let damages: [fn(&Path) -> std::io::Result<()>; 2] = [
        |lock| fs::create_dir(lock),
        // Nobody can open it, whatever rights he has.
        |lock| std::os::unix::fs::symlink(lock, lock),
    ];
    for (round, damage) in damages.into_iter().enumerate() {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 1)?;
        let mut dispatcher = fleet.dispatcher();
        assert_eq!(dispatcher.tick().started(), 1);
        let path = fleet.root.dispatcher_lock();
        fs::remove_file(&path)?;
        damage(&path)?;
        let next = fleet.store("alpha")?.create(&task(0))?;
        for _ in 0..3 {
            let report = dispatcher.tick();
            let standby = report.standby.as_ref().ok_or("it goes on")?;
            assert_eq!(standby.reason, StandbyReason::LockUnusable, "{round}");
            assert!(report.boards.is_empty());
        }
        assert_eq!(fleet.show("alpha", &next)?.task.status, "ready");
        assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
        assert_eq!(dispatcher.workers_alive(), 1, "workers are left alone");

        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir(&path);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.started, [next], "{round}");
        assert_eq!(fleet.part(&report, "alpha")?.running, 2);
        assert!(FileLock::try_acquire(&path)?.is_none(), "held again");
    }
    Ok(())
}

#[test]
fn a_board_that_another_program_ticks_is_left_to_it() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 1)?;
    fleet.ready("other", 1)?;
    fleet.grow_old("alpha")?;
    let lock = FileLock::try_acquire(&fleet.board("alpha")?.tick_lock())?.ok_or("not free")?;
    let before = fleet.stamp("alpha")?;
    let mut dispatcher = fleet.dispatcher();
    for _ in 0..3 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!((alpha.outcome, &alpha.failure), (Outcome::Busy, &None));
        assert_eq!(fleet.part(&report, "other")?.outcome, Outcome::Ticked);
    }
    assert_eq!(fleet.stamp("alpha")?, before, "nothing was written");
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    // A holder that stays is told, as any failure is.
    fleet.advance(180);
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    drop(lock);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ready);

    // One that cannot be taken at all: the board is not touched.
    drop(dispatcher);
    let next = fleet.store("alpha")?.create(&task(0))?;
    let path = fleet.board("alpha")?.tick_lock();
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.outcome, Outcome::Failed);
    let reason = alpha.failure.as_ref().map_or("", |failure| &failure.reason);
    assert!(reason.contains("tick lock"), "{reason}");
    assert_eq!(fleet.store("alpha")?.show(&next)?.task.status, "ready");
    Ok(())
}
