//! The contract of the incident that this crate exists for: one repair per drift, a board that cannot be healed is left alone, a
//! steady failure is one line a minute, and a change of the file brings a board back. The first four tests carry the names of
//! the origin's own regressions. Real SQLite files, real processes; that a repair needs a permit is a `compile_fail` doctest
//! of [`kanban_dispatcher::repair`](fn@kanban_dispatcher::repair).

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use kanban_dispatcher::{BoardState, Dispatcher, Outcome, Scope};
use rusqlite::Connection;
use support::log::Line;
use support::{Fleet, Result, bytes, connect, open_files, task, until, value};
use tracing::Level;

/// A base column: nothing adds it again, so a board without it cannot be repaired.
const BASE: &str = "workspace_path";
const BASE_NAMED: &str = "tasks.workspace_path";

#[test]
fn schema_drift_triggers_repair_and_retry_succeeds() -> Result {
    let fleet = Fleet::new()?;
    let first = fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(fleet.part(&dispatcher.tick(), "alpha")?.started, first);

    let second = fleet.store("alpha")?.create(&task(0))?;
    fleet.drop_column("alpha", "tasks", "block_recurrences")?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.outcome, Outcome::Ticked);
    assert_eq!(alpha.failure, None);
    assert_eq!(alpha.repaired, ["column tasks.block_recurrences"]);
    assert_eq!(alpha.started, [second], "the retry is in the same tick");
    let found: i64 = value(
        &fleet.connect("alpha")?,
        "SELECT count(*) FROM pragma_table_info('tasks') WHERE name = 'block_recurrences'",
    )?;
    assert_eq!(found, 1);

    assert_eq!(repairs_told(&fleet, "alpha"), 1);
    assert!(fleet.part(&dispatcher.tick(), "alpha")?.repaired.is_empty());
    assert_eq!(repairs_told(&fleet, "alpha"), 1);
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    let status = fleet.status("alpha")?;
    assert_eq!((status.state, status.repair_attempts), (BoardState::Ok, 1));
    Ok(())
}

#[test]
fn schema_drift_persistent_failure_disables_board() -> Result {
    let fleet = Fleet::new()?;
    for board in ["broken", "sound"] {
        fleet.ready(board, 1)?;
    }
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);

    fleet.store("broken")?.create(&task(0))?;
    fleet.drop_column("broken", "tasks", BASE)?;
    fleet.grow_old("broken")?;
    let report = dispatcher.tick();
    let broken = fleet.part(&report, "broken")?;
    assert_eq!(broken.outcome, Outcome::Held);
    let failure = broken.failure.as_ref().ok_or("no failure")?;
    assert!(failure.reason.contains(BASE_NAMED), "{}", failure.reason);
    assert_eq!(
        failure.missing.as_deref(),
        Some("column tasks.workspace_path")
    );
    assert!(broken.next_retry.is_some());

    for _ in 0..5 {
        let next = fleet.store("sound")?.create(&task(0))?;
        let report = dispatcher.tick();
        let broken = fleet.part(&report, "broken")?;
        assert_eq!(broken.outcome, Outcome::Held);
        let failure = broken.failure.as_ref().ok_or("no failure")?;
        assert!(failure.reason.contains(BASE_NAMED), "{}", failure.reason);
        assert_eq!(fleet.part(&report, "sound")?.started, [next]);
        assert_eq!(open_files(&fleet.db("broken")?)?, [] as [&Path; 0]);
    }
    let status = fleet.status("broken")?;
    assert_eq!(
        (status.state, status.repair_attempts),
        (BoardState::Held, 1)
    );
    assert!(
        status
            .reason
            .is_some_and(|reason| reason.contains(BASE_NAMED))
    );
    assert_eq!(fleet.ledger_attempts("broken")?, 1);

    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert_eq!(complaints[0].level, Level::ERROR);
    assert_eq!(complaints[0].board(), Some(&*fleet.slug("broken")));
    assert_eq!(complaints[0].field("class"), Some("schema_drift"));
    assert!(complaints[0].message.contains(BASE_NAMED));
    Ok(())
}

#[test]
fn persistent_unknown_sql_error_is_rate_limited() -> Result {
    // Another connection writes and does not end.
    let fleet = Fleet::new()?;
    fleet.ready("locked", 1)?;
    let other = fleet.connect("locked")?;
    other.execute_batch("BEGIN EXCLUSIVE")?;
    is_rate_limited(
        &fleet,
        "locked",
        Outcome::Busy,
        "busy",
        "database is locked",
    )?;
    other.execute_batch("ROLLBACK")?;
    recovers(&fleet, "locked")?;

    // Without a write-ahead log a board that is locked like this cannot even be read.
    let fleet = Fleet::new()?;
    fleet.ready("locked", 1)?;
    fleet.sql("locked", "PRAGMA journal_mode = DELETE")?;
    let other = fleet.connect("locked")?;
    other.execute_batch("BEGIN EXCLUSIVE")?;
    is_rate_limited(
        &fleet,
        "locked",
        Outcome::Busy,
        "busy",
        "database is locked",
    )?;
    other.execute_batch("ROLLBACK")?;
    recovers(&fleet, "locked")?;

    // An error that nobody knows.
    let fleet = Fleet::new()?;
    fleet.ready("odd", 1)?;
    fleet.sql(
        "odd",
        "CREATE TRIGGER odd AFTER UPDATE ON tasks BEGIN SELECT json('{'); END",
    )?;
    is_rate_limited(&fleet, "odd", Outcome::Failed, "unknown", "malformed JSON")?;
    fleet.sql("odd", "DROP TRIGGER odd")?;
    recovers(&fleet, "odd")
}

/// Ten ticks within a window write one line; the first of the next window brings the number that was held back.
fn is_rate_limited(
    fleet: &Fleet,
    board: &str,
    outcome: Outcome,
    class: &str,
    text: &str,
) -> Result {
    let mut dispatcher = fleet.dispatcher();
    let mut tick = |ticks: u32| -> Result<Vec<Line>> {
        for _ in 0..ticks {
            let report = dispatcher.tick();
            let part = fleet.part(&report, board)?;
            assert_eq!(part.outcome, outcome, "{:?}", part.failure);
            fleet.advance(1);
        }
        let mut lines = fleet.lines_of(board);
        lines.retain(Line::is_above_info);
        assert!(lines.iter().all(|line| line.field("class") == Some(class)));
        assert!(
            lines.iter().all(|line| line.message.contains(text)),
            "{lines:#?}"
        );
        Ok(lines)
    };
    let lines = tick(10)?;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0].field("suppressed"), Some("0"));
    assert_eq!(fleet.status(board)?.suppressed, 9);

    fleet.advance(49);
    let lines = tick(1)?;
    assert_eq!(lines.len(), 1, "one second early: {lines:#?}");
    let lines = tick(1)?;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(lines[1].field("suppressed"), Some("10"));
    assert!(lines[1].message.contains("+10"), "{}", lines[1].message);
    let lines = tick(5)?;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    // The dispatcher ends: what was held back since is told.
    drop(dispatcher);
    let mut lines = fleet.lines_of(board);
    lines.retain(Line::is_above_info);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(lines[2].field("suppressed"), Some("5"));
    Ok(())
}

fn recovers(fleet: &Fleet, board: &str) -> Result {
    let report = fleet.dispatcher().tick();
    let part = fleet.part(&report, board)?;
    assert_eq!(
        (part.outcome, part.started.len()),
        (Outcome::Ticked, 1),
        "{part:?}"
    );
    Ok(())
}

#[test]
fn schema_drift_recovery_state_clears_on_fingerprint_change() -> Result {
    // Without a write-ahead log, and with one that is checkpointed: the main file itself changes.
    for mode in ["DELETE", "WAL"] {
        let fleet = Fleet::new()?;
        let mut dispatcher = held(&fleet, mode)?;
        let before = main_file(&fleet)?;
        fleet.sql(
            "alpha",
            &format!("ALTER TABLE tasks ADD COLUMN {BASE} TEXT"),
        )?;
        assert_ne!(main_file(&fleet)?, before);
        comes_back(&fleet, &mut dispatcher)?;
    }

    // In WAL mode, with another connection that stays open, the main file stays as it is.
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let other = fleet.connect("alpha")?;
    other.execute_batch("SELECT count(*) FROM tasks")?;
    let mut dispatcher = held(&fleet, "WAL")?;
    let before = main_file(&fleet)?;
    // An ALTER believes the schema it has read last.
    other.execute_batch("SELECT count(*) FROM tasks")?;
    other.execute_batch(&format!("ALTER TABLE tasks ADD COLUMN {BASE} TEXT"))?;
    assert_eq!(main_file(&fleet)?, before, "only the log has changed");
    comes_back(&fleet, &mut dispatcher)?;
    drop(other);
    Ok(())
}

/// A dispatcher that holds board "alpha", and does so although the board's files are old by now.
fn held(fleet: &Fleet, mode: &str) -> Result<Dispatcher> {
    fleet.ready("alpha", 1)?;
    let other = fleet.connect("alpha")?;
    let set: String = value(&other, &format!("PRAGMA journal_mode = {mode}"))?;
    assert_eq!(set, mode.to_lowercase());
    drop(other);
    let mut dispatcher = fleet.dispatcher();
    fleet.drop_column("alpha", "tasks", BASE)?;
    fleet.grow_old("alpha")?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Held);
    }
    assert_eq!(
        fleet.status("alpha")?.suppressed,
        0,
        "two ticks did not even look"
    );
    Ok(dispatcher)
}

fn comes_back(fleet: &Fleet, dispatcher: &mut Dispatcher) -> Result {
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(
        (alpha.outcome, alpha.started.len()),
        (Outcome::Ticked, 1),
        "{alpha:?}"
    );
    assert_eq!(alpha.failure, None);
    let status = fleet.status("alpha")?;
    assert_eq!(
        (status.state, status.reason, status.since),
        (BoardState::Ok, None, None)
    );
    let back = |line: &Line| line.message.starts_with("board works again");
    assert_eq!(
        fleet
            .lines_of("alpha")
            .iter()
            .filter(|line| back(line))
            .count(),
        1
    );
    Ok(())
}

/// What a stat of the main file says.
fn main_file(fleet: &Fleet) -> Result<(u64, u64, i64, i64, i64)> {
    let main = fs::metadata(fleet.db("alpha")?)?;
    Ok((
        main.ino(),
        main.len(),
        main.mtime(),
        main.mtime_nsec(),
        main.ctime_nsec(),
    ))
}

// ===== more about repairs =====

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

fn repairs_told(fleet: &Fleet, board: &str) -> usize {
    let lines = fleet.lines_of(board);
    let told = lines.iter().filter(|line| line.message == "board repaired");
    told.inspect(|line| assert_eq!(line.level, Level::INFO))
        .count()
}

/// The tests' own tools are sound: a column dropped by them is really gone, and an old file is old.
#[test]
fn the_tools_do_what_they_say() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let db: Connection = connect(&fleet.db("alpha")?)?;
    support::drop_column(&db, "tasks", "tenant")?;
    assert!(db.prepare("SELECT tenant FROM tasks").is_err());
    fleet.grow_old("alpha")?;
    assert!(!fleet.stamp("alpha")?.is_young());
    assert!(until("never", || Err("no".into())).is_err());
    Ok(())
}
