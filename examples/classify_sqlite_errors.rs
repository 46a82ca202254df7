//! A board fails in five ways; each is told apart, with what would help.
//!
//! Run with `cargo run -p examples --example classify_sqlite_errors`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use error_classify::{Class, PathFacts, Verdict, classify, confirm_missing};
use rusqlite::{Connection, OpenFlags};

/// Never creates: a file that is not there is an answer, too.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::ZERO)?;
    Ok(db)
}

fn claim(path: &Path) -> rusqlite::Result<usize> {
    open(path)?.execute("INSERT INTO tasks(block_kind) VALUES ('none')", [])
}

/// The verdict on the error, made more exact by what the file system knows.
fn why<'e>(path: &Path, error: &'e (dyn Error + 'static)) -> Verdict<'e> {
    PathFacts::of(path).refine(classify(error))
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let board = dir.path().join("board.db");
    let show = |what: &str| -> Result<Class, Box<dyn Error>> {
        let error = claim(&board).err().ok_or("it did not fail")?;
        let verdict = why(&board, &error);
        println!("{what:<18} {verdict}");
        Ok(verdict.class())
    };

    assert_eq!(show("not there")?, Class::Missing);
    std::fs::write(&board, "")?;
    assert_eq!(show("emptied")?, Class::Emptied);

    let db = open(&board)?;
    db.execute_batch("CREATE TABLE tasks(id INTEGER PRIMARY KEY)")?;
    assert_eq!(show("an older schema")?, Class::SchemaDrift);
    let error = claim(&board).err().ok_or("it did not fail")?;
    let column = classify(&error).missing().cloned().ok_or("no name")?;
    println!(
        "{:<18} {column}: {}",
        "really missing?",
        confirm_missing(&db, &column)?
    );

    db.execute_batch("ALTER TABLE tasks ADD COLUMN block_kind; BEGIN IMMEDIATE")?;
    assert_eq!(show("locked")?, Class::Busy);
    drop(db);
    std::fs::write(&board, "this is not a board")?;
    assert_eq!(show("overwritten")?, Class::Corrupt);
    Ok(())
}
