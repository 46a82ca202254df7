//! `confirm_missing`: what the schema itself says about a name that an error called missing.
#![cfg(feature = "rusqlite")]

use std::error::Error;

use error_classify::{Class, Missing, ObjectKind, classify, confirm_missing};
use rusqlite::Connection;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn schema() -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(
        "CREATE TABLE tasks(id, hidden GENERATED ALWAYS AS (id + 1) VIRTUAL); CREATE TABLE runs(id, ended);
         CREATE TABLE \"main.odd\"(\"a.b\"); CREATE INDEX by_id ON tasks(id); CREATE VIEW done AS SELECT ended FROM runs;
         CREATE VIEW broken AS SELECT gone FROM runs; CREATE TEMP TABLE scratch(note);
         CREATE TRIGGER tr AFTER INSERT ON tasks BEGIN SELECT 1; END;
         CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE VIRTUAL TABLE ft USING fts5(body);
         ATTACH ':memory:' AS \"old one\"; CREATE TABLE \"old one\".archive(kept)",
    )?;
    Ok(db)
}

fn is_missing(db: &Connection, kind: ObjectKind, table: Option<&str>, name: &str) -> Result<bool> {
    let mut missing = Missing::new(kind, name);
    if let Some(table) = table {
        missing = missing.in_table(table);
    }
    Ok(confirm_missing(db, &missing)?)
}

#[test]
fn objects_are_found_in_every_schema_whatever_the_case() -> Result {
    let db = schema()?;
    use ObjectKind::{Collation, Function, Index, Module, Table, Trigger, View};
    for (kind, name) in [
        (Table, "tasks"),
        (Table, "TASKS"),
        (Table, "main.tasks"),
        (Table, "main.odd"),
        (Table, "done"),
        (Table, "scratch"),
        (Table, "temp.scratch"),
        (Table, "archive"),
        (Table, "old one.archive"),
        (Table, "ft"),
        (Index, "by_id"),
        (View, "done"),
        (Trigger, "tr"),
        (Function, "abs"),
        (Module, "fts5"),
        (Collation, "nocase"),
    ] {
        assert!(!is_missing(&db, kind, None, name)?, "{kind} {name}");
    }
    for (kind, name) in [
        (Table, "task"),
        (Table, "odd"),
        (Table, "temp.tasks"),
        (Table, "main.archive"),
        (Table, "by_id"),
        (Index, "tasks"),
        (View, "tasks"),
        (Trigger, "by_id"),
        (Function, "gone"),
        (Module, "gone"),
        (Collation, "gone"),
    ] {
        assert!(is_missing(&db, kind, None, name)?, "{kind} {name}");
    }
    Ok(())
}

#[test]
fn a_column_of_a_known_table_is_looked_up_there_and_nowhere_else() -> Result {
    let db = schema()?;
    let column = |table, name| is_missing(&db, ObjectKind::Column, Some(table), name);
    assert!(!column("tasks", "ID")?);
    assert!(!column("tasks", "hidden")?, "generated columns count");
    assert!(!column("main.tasks", "id")?);
    assert!(!column("old one.archive", "kept")?);
    assert!(!column("done", "ended")?, "views have columns");
    assert!(!column("main.odd", "a.b")?);
    assert!(
        column("tasks", "ended")?,
        "another table's column does not count"
    );
    assert!(column("archive", "id")?);
    Ok(())
}

#[test]
fn a_column_of_an_unknown_table_is_missing_only_if_nobody_has_it() -> Result {
    let db = schema()?;
    let column = |table, name| is_missing(&db, ObjectKind::Column, table, name);
    assert!(column(None, "block_kind")?);
    assert!(!column(None, "ended")?);
    assert!(!column(None, "kept")?, "in any schema");
    assert!(!column(None, "note")?, "in the temporary one, too");
    assert!(
        column(Some("t"), "block_kind")?,
        "an alias is an unknown table"
    );
    assert!(!column(Some("t"), "ended")?);
    assert!(
        column(None, "seq")?,
        "SQLite's own tables are not looked at"
    );
    assert!(column(None, "rank")?, "nor are virtual ones");
    // Who knows the table says so.
    let missing = Missing::new(ObjectKind::Column, "ended").in_table("tasks");
    assert!(confirm_missing(&db, &missing)?);
    Ok(())
}

/// A virtual table can say what it likes under code 1; here a search text does. The look-up is what stands in the way.
#[test]
fn a_forged_hint_about_something_that_is_there_is_not_confirmed() -> Result {
    let db = schema()?;
    let search = "SELECT 1 FROM ft WHERE ft MATCH 'ended:today'";
    let error = db.query_row(search, [], |_| Ok(())).unwrap_err();
    let verdict = classify(&error);
    assert_eq!(verdict.class(), Class::SchemaDrift);
    assert!(!confirm_missing(&db, verdict.missing().ok_or("no name")?)?);
    Ok(())
}

/// What no table has is missing, whoever named it: this pins the limit that the crate page names.
#[test]
fn a_forged_hint_about_something_that_is_nowhere_is_confirmed() -> Result {
    let db = schema()?;
    let search = "SELECT 1 FROM ft WHERE ft MATCH 'todo:milk'";
    let error = db.query_row(search, [], |_| Ok(())).unwrap_err();
    let verdict = classify(&error);
    assert!(confirm_missing(&db, verdict.missing().ok_or("no name")?)?);
    Ok(())
}

#[test]
fn the_look_up_writes_nothing_and_passes_an_error_on() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("board.db");
    let db = Connection::open_with_flags(&path, rusqlite::OpenFlags::default())?;
    db.execute_batch("CREATE TABLE tasks(id)")?;
    let before = std::fs::read(&path)?;
    let read_only = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    assert!(is_missing(
        &read_only,
        ObjectKind::Column,
        Some("tasks"),
        "x"
    )?);
    assert_eq!(std::fs::read(&path)?, before);

    std::fs::write(&path, [b'x'; 4096])?;
    let damaged = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let error = confirm_missing(&damaged, &Missing::new(ObjectKind::Table, "tasks")).unwrap_err();
    assert_eq!(classify(&error).class(), Class::Corrupt);
    Ok(())
}
