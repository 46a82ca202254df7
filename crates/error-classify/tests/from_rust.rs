//! Errors that `rusqlite` makes itself, without any code of SQLite.
#![cfg(feature = "rusqlite")]

use std::error::Error;

use error_classify::{Class, Remedy, classify};
use rusqlite::Connection;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn board() -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.execute_batch("CREATE TABLE tasks(id, title); INSERT INTO tasks VALUES (1, 'one')")?;
    Ok(db)
}

#[test]
fn a_column_that_only_rust_misses_is_drift_too() -> Result {
    let db = board()?;
    let by_name = db.query_row("SELECT * FROM tasks", [], |row| {
        row.get::<_, i64>("block_kind")
    });
    let error = by_name.unwrap_err();
    let verdict = classify(&error);
    assert_eq!(
        (verdict.class(), verdict.remedy()),
        (Class::SchemaDrift, Remedy::Repair)
    );
    assert_eq!(
        verdict.missing().map(ToString::to_string),
        Some("column block_kind".to_owned())
    );
    let by_index = db.query_row("SELECT * FROM tasks", [], |row| row.get::<_, i64>(7));
    assert_eq!(classify(&by_index.unwrap_err()).class(), Class::SchemaDrift);
    Ok(())
}

#[test]
fn what_rusqlite_says_without_a_code_has_a_class() -> Result {
    let db = board()?;
    let of = |error: rusqlite::Error| classify(&error).class();
    let none = db.query_row("SELECT 1 WHERE 0", [], |_| Ok(()));
    assert_eq!(of(none.unwrap_err()), Class::Missing);
    let text = db.query_row("SELECT 'x'", [], |row| row.get::<_, i64>(0));
    assert_eq!(of(text.unwrap_err()), Class::BadData);
    let large = db.query_row("SELECT 300", [], |row| row.get::<_, u8>(0));
    assert_eq!(of(large.unwrap_err()), Class::BadData);
    assert_eq!(of(db.execute("SELECT ?1", []).unwrap_err()), Class::Misuse);
    assert_eq!(of(db.execute("SELECT 1", []).unwrap_err()), Class::Misuse);
    assert_eq!(of(db.execute("", [1]).unwrap_err()), Class::Misuse);
    let unknown = db.execute("SELECT :a", rusqlite::named_params! {":b": 1});
    assert_eq!(of(unknown.unwrap_err()), Class::Misuse);
    let two = db.execute("SELECT 1; SELECT 2", []);
    assert_eq!(of(two.unwrap_err()), Class::Misuse);
    let none = db
        .prepare("INSERT INTO tasks SELECT 1, 'x' WHERE 0")?
        .insert([]);
    assert_eq!(of(none.unwrap_err()), Class::Constraint);
    db.execute_batch("INSERT INTO tasks VALUES (2, 'two')")?;
    let several = db
        .prepare("SELECT id FROM tasks")?
        .query_one([], |row| row.get::<_, i64>(0));
    assert_eq!(of(several.unwrap_err()), Class::Constraint);
    // Not to be had from a SQLite that knows threads.
    let single = rusqlite::Error::SqliteSingleThreadedMode;
    assert_eq!(of(single), Class::Unsupported);
    Ok(())
}
