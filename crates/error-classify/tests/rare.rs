//! Codes that are seldom seen, by real SQLite: PERM and PROTOCOL.
#![cfg(feature = "rusqlite")]

use std::error::Error;

use error_classify::{Class, Remedy, classify};
use rusqlite::{Connection, OpenFlags, ffi};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE);

#[track_caller]
fn expect<T>(outcome: rusqlite::Result<T>, code: i32, class: Class, remedy: Remedy) {
    let error = outcome.err();
    let verdict = error.as_ref().map(|error| classify(error));
    let told = verdict.map(|verdict| (verdict.code(), verdict.class(), verdict.remedy()));
    assert_eq!(told, Some((Some(code), class, remedy)), "{error:?}");
}

/// PROTOCOL: the index of the log is no good, and who could make a new one has no time to. SQLite itself tries a hundred
/// times before it says so, which takes ten seconds.
#[cfg(unix)]
#[test]
fn a_log_that_nobody_recovers_in_time_is_busy() -> Result {
    use std::fs::File;
    use std::io::Write as _;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("board.db");
    let writer = Connection::open_with_flags(&path, FLAGS)?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    writer.execute_batch("CREATE TABLE t(a); BEGIN IMMEDIATE")?;
    let reader = Connection::open_with_flags(&path, FLAGS)?;
    File::options()
        .write(true)
        .open(dir.path().join("board.db-shm"))?
        .write_all(&[0; 136])?;
    let read = || reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    expect(read(), ffi::SQLITE_PROTOCOL, Class::Busy, Remedy::RetryCall);
    writer.execute_batch("ROLLBACK")?;
    assert_eq!(read()?, 0, "the same call, a little later");
    Ok(())
}

/// PERM: the name of the file asks for more than the flags allow. Its other origin, a lock that the kernel forbids, takes a
/// kernel that does so.
#[test]
fn a_name_that_asks_for_more_than_is_allowed_is_a_matter_of_permission() -> Result {
    let dir = tempfile::tempdir()?;
    let uri = format!("file:{}?mode=rwc", dir.path().join("board.db").display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let outcome = Connection::open_with_flags(uri, flags);
    expect(
        outcome,
        ffi::SQLITE_PERM,
        Class::Permission,
        Remedy::ExternalFix,
    );
    Ok(())
}

#[test]
fn a_value_too_long_is_misuse() -> Result {
    let db = Connection::open_in_memory()?;
    let outcome = db.query_row("SELECT zeroblob(2000000000)", [], |_| Ok(()));
    expect(outcome, ffi::SQLITE_TOOBIG, Class::Misuse, Remedy::GiveUp);
    Ok(())
}
