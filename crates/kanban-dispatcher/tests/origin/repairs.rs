//! What a repair may cost, and what it never touches.

use super::*;

#[test]
fn a_repair_that_cannot_succeed_leaves_every_byte_as_it_was() -> Result {
    // Refused before it begins: what is lost cannot be made again, so what could be is not made either.
    let lost =
        format!("ALTER TABLE tasks DROP COLUMN {BASE}; ALTER TABLE tasks DROP COLUMN goal_mode");
    // Fails at its last statement but few: the name of an index is taken.
    let taken = "ALTER TABLE tasks DROP COLUMN goal_mode; DROP INDEX idx_events_run; CREATE TABLE idx_events_run (x)";
    // Fails on the content.
    let refused = "ALTER TABLE tasks DROP COLUMN consecutive_failures; ALTER TABLE tasks ADD COLUMN spawn_failures INTEGER; \
                   CREATE TRIGGER no BEFORE UPDATE ON tasks BEGIN SELECT RAISE(ABORT, 'no'); END";
    for (damage, named) in [
        (&*lost, BASE_NAMED),
        (taken, "tasks.goal_mode"),
        (refused, "tasks.consecutive_failures"),
    ] {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 3)?;
        // Stays open, so that there is a write-ahead log with something in it.
        let other = fleet.connect("alpha")?;
        other.execute_batch(damage)?;
        let db = fleet.db("alpha")?;
        let wal = db.with_extension("db-wal");
        let before = (bytes(&db)?, bytes(&wal)?);
        assert!(!before.0.is_empty() && !before.1.is_empty());
        fleet.grow_old("alpha")?;

        let mut dispatcher = fleet.dispatcher();
        for _ in 0..6 {
            let report = dispatcher.tick();
            let alpha = fleet.part(&report, "alpha")?;
            assert_eq!(
                alpha.outcome,
                Outcome::Held,
                "{damage}: {:?}",
                alpha.failure
            );
            let failure = alpha.failure.as_ref().ok_or("no failure")?;
            assert!(
                failure.reason.contains(named),
                "{damage}: {}",
                failure.reason
            );
            assert!(
                failure
                    .missing
                    .as_deref()
                    .is_some_and(|missing| missing.contains(named))
            );
        }
        let status = fleet.status("alpha")?;
        assert_eq!(status.repair_attempts, 1, "{damage}");
        assert_eq!(fleet.ledger_attempts("alpha")?, 1, "{damage}");
        drop(dispatcher);
        assert!(
            before == (bytes(&db)?, bytes(&wal)?),
            "{damage}: bytes have changed"
        );
        assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
        drop(other);
    }
    Ok(())
}

#[test]
fn a_repair_that_only_has_to_wait_is_not_spent_by_waiting() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 1)?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    let other = fleet.connect("alpha")?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    let mut dispatcher = fleet
        .builder(|config| config.busy_timeout_ms = std::time::Duration::from_millis(20))
        .build();
    for _ in 0..4 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    }
    let status = fleet.status("alpha")?;
    assert_eq!(
        (status.state, status.repair_attempts),
        (BoardState::Busy, 0)
    );
    assert_eq!(fleet.ledger_attempts("alpha")?, 0);

    other.execute_batch("ROLLBACK")?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.repaired.len()), (&ready, 1));
    assert_eq!(fleet.status("alpha")?.repair_attempts, 1);
    Ok(())
}

#[test]
fn restarts_do_not_add_up_to_a_repair_loop() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    fleet.drop_column("alpha", "tasks", BASE)?;
    // The first start comes at once, so that the files are young to it, as after a crash.
    let mut attempts = Vec::new();
    for restart in 0..6 {
        let mut dispatcher = fleet
            .builder(|config| config.repair.attempts_max = 3.try_into().expect("not zero"))
            .build();
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Held);
        let reason = alpha.failure.as_ref().map_or("", |failure| &failure.reason);
        assert!(reason.contains(BASE_NAMED), "{reason}");
        let refused = reason.contains("3 repairs of it have failed");
        assert_eq!(refused, restart >= 3, "{restart}: {reason}");
        attempts.push(fleet.status("alpha")?.repair_attempts);
        drop(dispatcher);
        fleet.grow_old("alpha")?;
    }
    assert_eq!(attempts, [1, 1, 1, 0, 0, 0]);

    // A changed file is another damage: it is tried again.
    fleet.sql("alpha", "UPDATE tasks SET title = 'changed'")?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.repair_attempts, 1);
    assert_eq!(fleet.ledger_attempts("alpha")?, 1);
    Ok(())
}

#[test]
fn an_older_backup_under_a_running_dispatcher_is_healed_too() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 1)?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    let db = fleet.db("alpha")?;
    let backup = db.with_extension("backup");
    fs::copy(&db, &backup)?;
    let first_file = db.with_extension("first");
    fs::hard_link(&db, &first_file)?;

    let mut dispatcher = fleet.dispatcher();
    for round in 1..=4 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(
            alpha.repaired,
            ["column tasks.skills"],
            "round {round}: {alpha:?}"
        );
        // The restored board knows nothing of the worker of the round before, which is ended first.
        let mut started = alpha.started.clone();
        until("the task is started again", || {
            if started.is_empty() {
                started.clone_from(&fleet.part(&dispatcher.tick(), "alpha")?.started);
            }
            Ok(!started.is_empty())
        })?;
        assert_eq!(started, ready, "round {round}");
        assert_eq!(fleet.status("alpha")?.repair_attempts, round);
        if round == 3 {
            // In the very file that was repaired first: file systems use a freed inode number again, too.
            let bytes = fs::read(&backup)?;
            fs::write(&first_file, bytes)?;
            fs::rename(&first_file, &db)?;
        } else {
            let copy = db.with_extension("copy");
            fs::copy(&backup, &copy)?;
            fs::rename(copy, &db)?;
        }
        // As an operator does it: the log belongs to the file that is gone.
        for suffix in ["db-wal", "db-shm"] {
            let _ = fs::remove_file(db.with_extension(suffix));
        }
    }
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    Ok(())
}

#[test]
fn the_scope_board_means_once_for_each_board() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 1)?;
        fleet.drop_column(board, "tasks", "skills")?;
    }
    let mut dispatcher = fleet
        .builder(|config| config.repair.scope = Scope::Board)
        .build();
    let report = dispatcher.tick();
    for board in ["alpha", "beta"] {
        assert_eq!(
            fleet.part(&report, board)?.repaired,
            ["column tasks.skills"]
        );
    }
    // Another drift: the board has had its one repair.
    fleet.drop_column("alpha", "tasks", "goal_mode")?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.outcome, Outcome::Held);
    assert!(alpha.repaired.is_empty());
    let missing = alpha
        .failure
        .as_ref()
        .and_then(|failure| failure.missing.clone());
    assert_eq!(missing.as_deref(), Some("column tasks.goal_mode"));
    assert_eq!(fleet.status("alpha")?.repair_attempts, 1);
    assert_eq!(fleet.part(&report, "beta")?.outcome, Outcome::Ticked);

    // A dispatcher that counts by drift repairs it.
    drop(dispatcher);
    let report = fleet.dispatcher().tick();
    assert_eq!(
        fleet.part(&report, "alpha")?.repaired,
        ["column tasks.goal_mode"]
    );
    Ok(())
}

#[test]
fn a_ledger_that_cannot_be_used_is_told_once_and_first_repairs_go_on() -> Result {
    let damaged: [fn(&Path) -> Result; 3] = [
        |ledger| {
            Ok(fs::write(
                ledger,
                "this is no database, and long enough to be one".repeat(99),
            )?)
        },
        |ledger| Ok(fs::create_dir(ledger)?),
        |ledger| {
            let dir = ledger.parent().ok_or("no parent")?;
            fs::remove_dir(dir)?;
            Ok(fs::write(dir, "a file")?)
        },
    ];
    for damage in damaged {
        let fleet = Fleet::new()?;
        let ready = fleet.ready("alpha", 1)?;
        fleet.drop_column("alpha", "tasks", "skills")?;
        let ledger = fleet.root.ledger();
        fs::create_dir_all(ledger.parent().ok_or("no parent")?)?;
        damage(&ledger)?;

        let mut dispatcher = fleet.dispatcher();
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.repaired, ["column tasks.skills"]);
        assert_eq!(alpha.started, ready);
        for _ in 0..4 {
            dispatcher.tick();
        }
        let complaints = fleet.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:#?}");
        assert!(
            complaints[0]
                .message
                .starts_with("the ledger cannot be used")
        );
    }
    Ok(())
}

#[test]
fn a_ledger_that_vanishes_is_made_anew() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    drop(fleet.dispatcher().tick());
    fs::remove_dir_all(fleet.root.ledger().parent().ok_or("no parent")?)?;

    fleet.store("alpha")?.create(&task(0))?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    let report = fleet.dispatcher().tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.repaired.len(), alpha.started.len()), (1, 1));
    assert_eq!(fleet.status("alpha")?.repair_attempts, 1);
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    Ok(())
}
