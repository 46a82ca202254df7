//! Boards with more than the format, and of a later version.

use super::*;

#[test]
fn a_board_with_more_than_the_format_is_served_and_keeps_it() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("newer", 1)?;
    fleet.sql(
        "newer",
        "ALTER TABLE tasks ADD COLUMN reasoning_effort TEXT; CREATE TABLE recipes (x)",
    )?;
    let report = fleet.dispatcher().tick();
    let part = fleet.part(&report, "newer")?;
    assert_eq!((&part.started, part.repaired.len()), (&ready, 0));
    let db = fleet.connect("newer")?;
    db.execute_batch("SELECT reasoning_effort FROM tasks; SELECT x FROM recipes")?;
    assert!(fleet.complaints().is_empty());
    Ok(())
}

#[test]
fn a_board_of_a_later_version_is_refused_by_everybody_and_mended_by_nobody() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("newer", 1)?;
    // It also lacks something, as a board whose columns were renamed would.
    fleet.drop_column("newer", "tasks", "skills")?;
    fleet.sql(
        "newer",
        "PRAGMA user_version = 3; PRAGMA wal_checkpoint(TRUNCATE)",
    )?;
    let before = std::fs::read(fleet.db("newer")?)?;

    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let part = fleet.part(&report, "newer")?;
    assert_eq!((part.outcome, part.started.len()), (Outcome::Held, 0));
    let failure = part.failure.as_ref().ok_or("no failure")?;
    assert_eq!(failure.class.as_str(), "unsupported");
    let reason = &failure.reason;
    assert!(
        reason.contains("version 3") && reason.contains("version 0"),
        "{reason}"
    );
    assert_eq!(fleet.ledger_attempts("newer")?, 0);
    drop(dispatcher);
    let board = fleet.board("newer")?;
    for refused in [
        Store::open(&board, &fleet.clock),
        Store::init(&board, &fleet.clock),
    ] {
        let error = refused.err().ok_or("it was opened")?;
        assert_eq!(error.kind(), ErrorKind::Newer, "{error}");
    }
    assert_eq!(std::fs::read(fleet.db("newer")?)?, before);

    // An operator who knows that it is the same.
    fleet.sql("newer", "PRAGMA user_version = 0")?;
    let report = fleet.dispatcher().tick();
    let part = fleet.part(&report, "newer")?;
    assert_eq!((part.started.len(), part.repaired.len()), (1, 1));
    Ok(())
}
