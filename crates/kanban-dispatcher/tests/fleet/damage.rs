//! Boards that are damaged, emptied, removed or replaced.

use super::*;

#[test]
fn an_empty_file_is_lost_data_and_never_repaired() -> Result {
    let fleet = Fleet::new()?;
    for board in ["emptied", "born-empty"] {
        fleet.ready(board, 1)?;
    }
    fleet.ready("other", 1)?;
    let born_empty = fleet.db("born-empty")?;
    fs::write(&born_empty, "")?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "born-empty")?.outcome, Outcome::Held);
    assert_eq!(report.started(), 2);

    // Cut off under the dispatcher that serves it.
    let emptied = fleet.db("emptied")?;
    fs::OpenOptions::new()
        .write(true)
        .open(&emptied)?
        .set_len(0)?;
    let log = emptied.with_extension("db-wal");
    let before = bytes(&log)?;
    assert!(!before.is_empty(), "what is left of it");
    for _ in 0..3 {
        let report = dispatcher.tick();
        for board in ["emptied", "born-empty"] {
            let part = fleet.part(&report, board)?;
            assert_eq!(part.outcome, Outcome::Held, "{:?}", part.failure);
            let failure = part.failure.as_ref().ok_or("no failure")?;
            assert_eq!(failure.class.as_str(), "emptied", "{failure:?}");
            assert_eq!(fs::metadata(fleet.db(board)?)?.len(), 0);
            assert_eq!(fleet.status(board)?.repair_attempts, 0);
        }
        assert_eq!(fleet.part(&report, "other")?.outcome, Outcome::Ticked);
    }
    let complaints = by_board_and_class(&fleet.complaints());
    assert!(
        complaints.values().all(|count| *count == 1),
        "{complaints:?}"
    );
    assert_eq!(complaints.len(), 2);
    drop(dispatcher);
    assert!(bytes(&log)? == before, "what was left of it is still there");
    Ok(())
}

#[test]
fn a_file_that_is_no_database_is_held_and_released_when_a_sound_one_takes_its_place() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 1)?;
    fleet.ready("other", 1)?;
    // Nothing of it may be left in a log, which SQLite would read over whatever the file holds.
    fleet.sql("alpha", "PRAGMA wal_checkpoint(TRUNCATE)")?;
    let db = fleet.db("alpha")?;
    let sound = db.with_extension("sound");
    fs::rename(&db, &sound)?;
    fs::write(
        &db,
        "\x16\x03\x01 this was once a board, and now it is not ".repeat(200),
    )?;
    fleet.grow_old("alpha")?;

    let mut dispatcher = fleet.dispatcher();
    for tick in 0..4 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Held);
        let failure = alpha.failure.as_ref().ok_or("no failure")?;
        assert_eq!(
            (failure.class.as_str(), failure.code),
            ("corrupt", Some(26))
        );
        assert_eq!(report.started(), usize::from(tick == 0));
        fleet.advance(1);
    }
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert_eq!(complaints[0].level, Level::ERROR);
    for field in ["board", "class", "db", "retry_seconds"] {
        assert!(complaints[0].field(field).is_some(), "{field}");
    }

    fs::rename(sound, db)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ready);
    assert_eq!(fleet.status("alpha")?.state, BoardState::Ok);
    Ok(())
}

#[test]
fn damage_in_the_middle_of_a_file_is_confirmed_and_told_once() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("damaged", 300)?;
    fleet.ready("other", 1)?;
    let db = fleet.db("damaged")?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.max_spawn = Some(1.try_into().expect("not zero"));
            config.quarantine.first_retry_seconds = Duration::from_secs(10);
            config.quarantine.max_retry_seconds = Duration::from_secs(40);
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 2);
    drop(fleet.store("damaged")?);
    fleet.sql("damaged", "PRAGMA wal_checkpoint(TRUNCATE)")?;
    // In another process: opening it here would drop the locks of the dispatcher's connection.
    let sound = bytes(&db)?;
    let damaged = db.with_extension("damaged");
    fs::write(&damaged, &sound)?;
    flip(&damaged)?;
    fs::rename(&damaged, &db)?;
    fleet.grow_old("damaged")?;

    let report = dispatcher.tick();
    let part = fleet.part(&report, "damaged")?;
    assert_eq!(part.outcome, Outcome::Held, "{part:?}");
    let failure = part.failure.as_ref().ok_or("no failure")?;
    assert_eq!(failure.class.as_str(), "corrupt", "{failure:?}");
    let status = Status::read(&fleet.root, &fleet.clock)?;
    assert_eq!(status.health(), kanban_dispatcher::Health::Degraded);

    // It stays damaged: looked at again after 10, 20, 40, 40 s (less the tenth that spreads boards), and not in between.
    let mut looks = Vec::new();
    let observed = |dispatcher: &Dispatcher| dispatcher.log_totals().observed;
    let before = observed(&dispatcher);
    let mut seen = before;
    for second in 1..=120 {
        fleet.advance(1);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "damaged")?.outcome, Outcome::Held);
        if observed(&dispatcher) > seen {
            seen = observed(&dispatcher);
            looks.push(second);
        }
    }
    let gaps: Vec<i64> = std::iter::once(0)
        .chain(looks.iter().copied())
        .zip(&looks)
        .map(|(last, look)| look - last)
        .collect();
    assert!((3..=5).contains(&gaps.len()), "{gaps:?}");
    for (gap, most) in gaps.iter().zip([10, 20, 40, 40, 40]) {
        assert!((most * 9 / 10..=most).contains(gap), "{gaps:?}");
    }
    let complaints = fleet.complaints();
    assert!(
        complaints.len() <= 3,
        "at most one a minute: {complaints:#?}"
    );
    assert_eq!(bytes(&db)?.len(), sound.len());

    fs::write(&damaged, &sound)?;
    fs::rename(&damaged, &db)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "damaged")?.outcome, Outcome::Ticked);
    Ok(())
}

#[test]
fn damage_that_only_a_look_through_the_file_meets_is_held_for_as_long_as_it_is_there() -> Result {
    for is_young in [true, false] {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 0)?;
        let keep = fleet.connect("alpha")?;
        keep.execute_batch("SELECT count(*) FROM tasks")?;
        fleet.lengthen("alpha")?;
        let mut dispatcher = fleet.dispatcher();
        for _ in 0..3 {
            fleet.grow_old("alpha")?;
            dispatcher.tick();
        }
        fleet.cut("alpha")?;
        if !is_young {
            fleet.grow_old("alpha")?;
        }
        // By its age, and by its timer, it is tried again and again.
        for _ in 0..6 {
            let report = dispatcher.tick();
            assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Held);
            fleet.grow_old("alpha")?;
            fleet.advance(400);
        }
        drop(keep);
    }
    Ok(())
}

#[test]
fn a_board_of_which_only_the_schema_could_be_read_was_there() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let db = fleet.db("alpha")?;
    let (tasks, other) = (fleet.connect("alpha")?, db.with_extension("other"));
    let page: i64 = value(
        &tasks,
        "SELECT rootpage FROM sqlite_schema WHERE name = 'tasks'",
    )?;
    tasks.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    drop(tasks);
    let mut content = bytes(&db)?;
    let at = usize::try_from(page - 1)? * 4096;
    content[at..at + 4096].fill(0xff);
    fs::write(&other, content)?;
    fs::rename(&other, &db)?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Held);
    for ending in ["db", "db-wal", "db-shm"] {
        let _ = fs::remove_file(db.with_extension(ending));
    }
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    let reason = part.failure.as_ref().map(|failure| &*failure.reason);
    assert!(
        reason.is_some_and(|reason| reason.contains("was there before")),
        "{part:?}"
    );
    Ok(())
}

#[test]
fn a_removed_board_takes_its_workers_and_its_state_along_and_a_new_one_starts_clean() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    fleet.ready("other", 1)?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    // The one repair of this board is made, and is forgotten with it.
    let mut dispatcher = fleet
        .builder(|config| config.repair.scope = Scope::Board)
        .build();
    assert_eq!(dispatcher.tick().started(), 2);
    fleet.drop_column("alpha", "tasks", "workspace_path")?;
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.state, BoardState::Held);

    fs::remove_dir_all(fleet.board("alpha")?.dir())?;
    for _ in 0..5 {
        let report = dispatcher.tick();
        assert!(report.board(&fleet.slug("alpha")).is_none());
        fleet.advance(1);
    }
    assert!(fleet.status("alpha").is_err());
    assert!(!fleet.board("alpha")?.dir().exists());
    until("its worker has been stopped", || {
        dispatcher.tick();
        Ok(fleet.processes().len() == 1)
    })?;
    assert!(!fleet.board("alpha")?.dir().exists());

    let ready = fleet.ready("alpha", 1)?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(
        (&alpha.started, alpha.repaired.len()),
        (&ready, 1),
        "{alpha:?}"
    );
    let status = fleet.status("alpha")?;
    assert_eq!((status.state, status.repair_attempts), (BoardState::Ok, 1));
    Ok(())
}

#[test]
fn a_database_that_vanishes_from_its_board_is_told_and_not_made_again() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let db = fleet.db("alpha")?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let aside = db.with_extension("aside");
    fs::rename(&db, &aside)?;
    for _ in 0..5 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Absent);
        assert!(!db.exists());
    }
    assert!(fleet.status("alpha")?.is_degraded());
    assert_eq!(by_board_and_class(&fleet.complaints()).len(), 1);
    assert_eq!(fleet.complaints().len(), 1);
    fs::rename(&aside, &db)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Ticked);
    assert_eq!(fleet.part(&report, "alpha")?.running, 1);
    Ok(())
}
