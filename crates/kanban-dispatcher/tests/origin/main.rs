//! The contract of the incident that this crate exists for: one repair per drift, a board that cannot be healed is left alone, a
//! steady failure is one line a minute, and a change of the file brings a board back. The first four tests carry the names of
//! the origin's own regressions. Real SQLite files, real processes; that a repair needs a permit is a `compile_fail` doctest
//! of [`kanban_dispatcher::repair`](fn@kanban_dispatcher::repair).

#[path = "../support/mod.rs"]
mod support;

mod repairs;

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
