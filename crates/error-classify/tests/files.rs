//! Locks, damage, limits and moved files: each error made by real SQLite on real files, none built by hand.
#![cfg(feature = "rusqlite")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use error_classify::{Class, Remedy, classify, quick_check};
use rusqlite::{Connection, OpenFlags};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const EXISTING: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, EXISTING)?;
    // By pragma: `Connection::busy_timeout` cannot be linked with the SQLite of `xtask`'s old_sqlite.
    db.pragma_update(None, "busy_timeout", 0)?;
    Ok(db)
}

/// A board with enough rows for a few pages and an index.
fn board(dir: &Path, mode: &str) -> Result<PathBuf> {
    let path = dir.join("board.db");
    let db = Connection::open_with_flags(&path, EXISTING | OpenFlags::SQLITE_OPEN_CREATE)?;
    db.pragma_update(None, "journal_mode", mode)?;
    db.execute_batch(
        "CREATE TABLE tasks(id INTEGER PRIMARY KEY, title); CREATE INDEX by_title ON tasks(title);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO tasks SELECT i, printf('task %04d', i) FROM n",
    )?;
    Ok(path)
}

fn count(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT count(*) FROM tasks NOT INDEXED", [], |row| {
        row.get(0)
    })
}

fn write(db: &Connection) -> rusqlite::Result<usize> {
    db.execute("INSERT INTO tasks(title) VALUES ('new')", [])
}

#[track_caller]
fn expect<T>(outcome: rusqlite::Result<T>, code: i32, class: Class, remedy: Remedy) {
    let error = outcome.err();
    let verdict = error.as_ref().map(|error| classify(error));
    let told = verdict.map(|verdict| (verdict.code(), verdict.class(), verdict.remedy()));
    assert_eq!(told, Some((Some(code), class, remedy)), "{error:?}");
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) -> Result {
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file.write_all(bytes)?)
}

#[test]
fn a_lock_is_busy_and_an_old_snapshot_is_stale_though_both_say_the_same() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "wal")?;
    let (one, two) = (open(&path)?, open(&path)?);
    one.execute_batch("BEGIN IMMEDIATE")?;
    let busy = write(&two).unwrap_err();
    expect(write(&two), 5, Class::Busy, Remedy::RetryCall);
    one.execute_batch("ROLLBACK; BEGIN")?;
    count(&one)?;
    write(&two)?;
    let stale = write(&one).unwrap_err();
    assert_eq!(stale.to_string(), busy.to_string());
    expect(write(&one), 517, Class::Stale, Remedy::RestartTxn);
    // The litmus test holds: the call fails for ever, the transaction started over does not.
    expect(write(&one), 517, Class::Stale, Remedy::RestartTxn);
    one.execute_batch("ROLLBACK; BEGIN")?;
    assert_eq!(write(&one)?, 1);
    Ok(())
}

#[test]
fn a_table_that_this_connection_still_reads_is_locked() -> Result {
    let dir = tempfile::tempdir()?;
    let db = open(&board(dir.path(), "delete")?)?;
    let mut statement = db.prepare("SELECT id FROM tasks")?;
    let mut rows = statement.query([])?;
    rows.next()?;
    expect(
        db.execute_batch("DROP TABLE tasks"),
        6,
        Class::Busy,
        Remedy::RestartTxn,
    );
    Ok(())
}

#[test]
fn damage_is_corrupt_whatever_the_message_says() -> Result {
    let corrupt = |outcome, code| expect(outcome, code, Class::Corrupt, Remedy::ExternalFix);
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "delete")?;
    let length = fs::metadata(&path)?.len();
    let sound = fs::read(&path)?;
    assert_eq!(quick_check(&open(&path)?)?, None);

    // A TLS record over the header, as a descriptor mix-up once wrote it.
    overwrite(&path, 5, &[0x17, 0x03, 0x03, 0x00, 0x45])?;
    corrupt(count(&open(&path)?), 26);
    assert!(quick_check(&open(&path)?)?.is_some());

    fs::write(&path, &sound)?;
    File::options()
        .write(true)
        .open(&path)?
        .set_len(length - 4096)?;
    corrupt(count(&open(&path)?), 11);
    assert!(quick_check(&open(&path)?)?.is_some());

    fs::write(&path, &sound)?;
    let db = open(&path)?;
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    db.execute_batch(
        "PRAGMA writable_schema = on;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX by_title ON tasks(nope)' WHERE name = 'by_title'",
    )?;
    drop(db);
    let error = count(&open(&path)?).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed database schema (by_title) - no such column: nope"
    );
    corrupt(Err(error), 11);
    Ok(())
}

#[test]
fn a_broken_index_is_found_by_the_check_though_the_table_can_be_read() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "delete")?;
    let root: u32 = open(&path)?.query_row(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'by_title'",
        [],
        |row| row.get(0),
    )?;
    overwrite(&path, u64::from(root - 1) * 4096, &[0xee; 4096])?;
    assert_eq!(count(&open(&path)?)?, 500);
    let read_only = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    assert!(quick_check(&read_only)?.is_some_and(|row| row != "ok"));
    Ok(())
}

#[test]
fn a_check_that_cannot_look_says_so_and_not_that_all_is_well() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "delete")?;
    let writer = open(&path)?;
    writer.execute_batch("BEGIN EXCLUSIVE")?;
    expect(
        quick_check(&open(&path)?),
        5,
        Class::Busy,
        Remedy::RetryCall,
    );
    Ok(())
}

#[test]
fn a_damaged_virtual_table_is_corrupt() -> Result {
    let db = Connection::open_in_memory()?;
    db.execute_batch(
        "CREATE VIRTUAL TABLE ft USING fts5(body); INSERT INTO ft VALUES ('one two');
         DELETE FROM ft_content",
    )?;
    let outcome = db.query_row("SELECT body FROM ft WHERE ft MATCH 'one'", [], |_| Ok(()));
    expect(outcome, 267, Class::Corrupt, Remedy::ExternalFix);
    Ok(())
}

#[test]
fn a_full_file_a_read_only_one_and_an_interrupt_are_themselves() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "delete")?;
    let db = open(&path)?;
    let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    let more = "INSERT INTO tasks(title) SELECT randomblob(9000) FROM tasks";
    expect(
        db.execute(more, []),
        13,
        Class::DiskFull,
        Remedy::ExternalFix,
    );

    let read_only = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    expect(write(&read_only), 8, Class::ReadOnly, Remedy::ExternalFix);

    let handle = db.get_interrupt_handle();
    let mut statement = db.prepare("SELECT id FROM tasks")?;
    let mut rows = statement.query([])?;
    rows.next()?;
    handle.interrupt();
    expect(
        rows.next().map(drop),
        9,
        Class::Interrupted,
        Remedy::RestartTxn,
    );
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_file_moved_away_under_a_connection_asks_for_a_new_one() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "delete")?;
    let db = open(&path)?;
    count(&db)?;
    fs::rename(&path, dir.path().join("elsewhere"))?;
    let error = write(&db).unwrap_err();
    assert_eq!(error.to_string(), "attempt to write a readonly database");
    expect(Err::<(), _>(error), 1032, Class::Stale, Remedy::Reopen);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_shm_that_was_unlinked_under_others_is_no_damage() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path(), "wal")?;
    let old = open(&path)?;
    write(&old)?;
    fs::remove_file(dir.path().join("board.db-wal"))?;
    fs::remove_file(dir.path().join("board.db-shm"))?;
    expect(count(&open(&path)?), 522, Class::Io, Remedy::Reopen);
    Ok(())
}
