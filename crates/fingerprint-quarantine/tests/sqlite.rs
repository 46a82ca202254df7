//! Stamps of real SQLite databases: what others do to one is seen, and what our own failing visit does is not.

use std::error::Error;
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fingerprint_quarantine::{Hold, Quarantine, Reason, SqliteFiles, SqliteStamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

type Result = std::result::Result<(), Box<dyn Error>>;

/// So long after any write here that no stamp is young.
fn later() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(10_000_000_000)
}

/// A database in WAL mode with one table, written out and closed.
fn wal_database(dir: &TempDir) -> std::result::Result<SqliteFiles, Box<dyn Error>> {
    let path = dir.path().join("board.db");
    let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags(&path, create)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.execute_batch("CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT)")?;
    db.close().map_err(|(_, error)| error)?;
    Ok(SqliteFiles::new(&path))
}

fn open(files: &SqliteFiles) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(files.main(), OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Reads a column that is not there, as the well-behaved visitor does; the stamp while the database was open.
fn visit(
    files: &SqliteFiles,
    flags: OpenFlags,
) -> std::result::Result<SqliteStamp, Box<dyn Error>> {
    let db = Connection::open_with_flags(files.main(), flags)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    assert!(db.prepare("SELECT session_id FROM tasks").is_err());
    Ok(files.observe_at(later()))
}

/// The database and its log, as a process that was killed leaves them.
fn after_a_crash(files: &SqliteFiles, dir: &Path) -> std::io::Result<SqliteFiles> {
    let copy = SqliteFiles::new(&dir.join("crashed.db"));
    fs::copy(files.main(), copy.main())?;
    fs::copy(files.wal(), copy.wal())?;
    Ok(copy)
}

#[test]
fn a_schema_change_that_stays_in_the_log_is_seen_although_the_main_file_is_the_same() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let guard = open(&files)?;
    guard.query_row("SELECT count(*) FROM tasks", [], |_| Ok(()))?;
    let before = files.observe_at(later());
    open(&files)?.execute_batch("ALTER TABLE tasks ADD COLUMN session_id TEXT")?;
    let after = files.observe_at(later());
    assert_eq!(before.main, after.main);
    assert_ne!(before, after);
    Ok(())
}

#[test]
fn a_commit_that_writes_over_a_reset_log_is_seen_although_its_length_is_the_same() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let db = open(&files)?;
    let commit = || {
        db.execute_batch("INSERT INTO tasks (id, title) VALUES (1, 'x') ON CONFLICT DO UPDATE SET title = title || 'x'")
    };
    commit()?;
    let wal_len = || fs::metadata(files.wal()).map(|wal| wal.len());
    let (before, len) = (files.observe_at(later()), wal_len()?);
    // Its times move with the kernel's clock tick, so one commit may not be enough.
    for _ in 0..10_000 {
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
        commit()?;
        assert_eq!(wal_len()?, len);
        if files.observe_at(later()).wal != before.wal {
            return Ok(());
        }
    }
    panic!("the log was written 10,000 times, and its stamp is the same")
}

#[test]
fn a_failing_visit_that_makes_and_removes_an_empty_log_is_not_seen() -> Result {
    for flags in [
        OpenFlags::SQLITE_OPEN_READ_WRITE,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    ] {
        let dir = TempDir::new()?;
        let files = wal_database(&dir)?;
        let before = files.observe_at(later());
        assert!(before.wal.is_none());
        assert_eq!(visit(&files, flags)?, before, "during the visit");
        assert_eq!(files.observe_at(later()), before, "after the visit");
    }
    Ok(())
}

#[test]
fn a_read_only_visit_leaves_files_behind_that_are_not_seen() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let before = files.observe_at(later());
    visit(&files, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // What this test is about; if SQLite stops doing that, so much the better.
    let left = fs::metadata(files.wal()).is_ok_and(|wal| wal.len() == 0);
    assert!(left, "a read-only visit left no empty log");
    assert_eq!(files.observe_at(later()), before);
    Ok(())
}

#[test]
fn the_shared_memory_file_is_never_seen_and_an_empty_log_comes_and_goes_unseen() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let before = files.observe_at(later());
    let shm = dir.path().join("board.db-shm");
    for content in ["", "index", "another index"] {
        fs::write(&shm, content)?;
        assert_eq!(files.observe_at(later()), before);
    }
    fs::write(files.wal(), "")?;
    assert_eq!(files.observe_at(later()), before, "an empty log came");
    fs::remove_file(files.wal())?;
    fs::remove_file(&shm)?;
    assert_eq!(files.observe_at(later()), before, "both went");
    fs::write(files.wal(), "frame")?;
    assert_ne!(files.observe_at(later()), before, "a log with content");
    Ok(())
}

#[test]
fn a_failing_visit_to_a_log_that_a_crash_left_is_not_seen() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let db = open(&files)?;
    db.execute_batch("INSERT INTO tasks (title) VALUES ('in the log')")?;
    let crashed = after_a_crash(&files, dir.path())?;
    let before = crashed.observe_at(later());
    assert!(before.wal.is_some());
    visit(&crashed, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    assert_eq!(crashed.observe_at(later()), before);
    // The reason for the setting: without it, closing writes the log out.
    drop(open(&crashed)?.prepare("SELECT session_id FROM tasks"));
    drop(open(&crashed)?.query_row("SELECT count(*) FROM tasks", [], |_| Ok(())));
    assert_ne!(crashed.observe_at(later()), before);
    Ok(())
}

#[test]
fn a_database_that_was_emptied_is_told_from_one_that_is_gone() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let before = files.observe_at(later());
    assert!(!before.is_empty_file() && !before.is_absent());
    fs::write(files.main(), "")?;
    assert!(files.observe().is_empty_file());
    fs::remove_file(files.main())?;
    assert!(files.observe().is_absent());
    Ok(())
}

#[test]
fn a_board_with_a_missing_column_is_left_alone_until_another_tool_adds_it() -> Result {
    let dir = TempDir::new()?;
    let files = wal_database(&dir)?;
    let guard = open(&files)?;
    guard.query_row("SELECT count(*) FROM tasks", [], |_| Ok(()))?;
    let boards = Quarantine::<String, SqliteStamp>::new();
    let mut visits = 0;
    let mut tick = || -> std::result::Result<Option<Reason>, Box<dyn Error>> {
        let Some(attempt) = boards.admit("board", || files.observe_at(later())).go() else {
            return Ok(None);
        };
        visits += 1;
        let why = attempt.why();
        let db = open(&files)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let result = db.execute("INSERT INTO tasks (session_id) VALUES ('s')", []);
        drop(db);
        match result {
            Ok(_) => drop(attempt.ok()),
            Err(_) => {
                attempt.failed(&Hold::until_changed(), |_| files.observe_at(later()));
            }
        }
        Ok(Some(why))
    };
    assert_eq!(tick()?, Some(Reason::New));
    assert_eq!(tick()?, Some(Reason::Probation));
    for _ in 0..5 {
        assert_eq!(tick()?, None);
    }
    open(&files)?.execute_batch("ALTER TABLE tasks ADD COLUMN session_id TEXT")?;
    assert_eq!(tick()?, Some(Reason::Changed));
    assert_eq!(tick()?, Some(Reason::New));
    assert_eq!(visits, 4);
    assert!(boards.is_empty());
    Ok(())
}

/// A database's last change is the later of the two, and each tells its own age.
#[test]
fn a_database_is_young_if_its_file_or_its_log_is() -> Result {
    let dir = TempDir::new()?;
    let db = dir.path().join("a.db");
    let files = SqliteFiles::new(&db);
    fs::write(&db, "file")?;
    assert!(files.observe_at(fs::metadata(&db)?.modified()?).is_young());
    assert!(!files.observe_at(later()).is_young());
    fs::write(files.wal(), "log")?;
    let is_young_with_log_of = |mtime: SystemTime| -> std::io::Result<bool> {
        let log = File::options().write(true).open(files.wal())?;
        log.set_times(FileTimes::new().set_modified(mtime))?;
        Ok(files.observe_at(later()).is_young())
    };
    assert!(is_young_with_log_of(later() - Duration::from_millis(9))?);
    assert!(!is_young_with_log_of(later() - Duration::from_millis(11))?);
    Ok(())
}

#[test]
fn a_database_whose_file_or_log_only_grows_old_looks_as_it_did_at_its_age() -> Result {
    let dir = TempDir::new()?;
    let db = dir.path().join("a.db");
    let files = SqliteFiles::new(&db);
    fs::write(&db, "file")?;
    fs::write(files.wal(), "log")?;
    let both = files.observe_at(SystemTime::UNIX_EPOCH);
    let neither = files.observe_at(later());
    // One may have been written long before the other.
    let (mut log_only, mut main_only) = (both, neither);
    (log_only.main, main_only.main) = (neither.main, both.main);
    assert!(log_only.is_young() && main_only.is_young() && log_only != main_only);
    for before in [both, log_only, main_only, neither] {
        for after in [both, neither] {
            assert_eq!(after.aged_as(&before), before);
        }
    }
    fs::write(files.wal(), "a longer log")?;
    assert_ne!(files.observe_at(later()).aged_as(&both), both);
    fs::remove_file(files.wal())?;
    assert_ne!(files.observe_at(later()).aged_as(&both), both);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_log_is_told_apart_by_what_its_stat_says() -> Result {
    use std::os::unix::fs::MetadataExt;

    let dir = TempDir::new()?;
    let files = SqliteFiles::new(&dir.path().join("a.db"));
    fs::write(files.wal(), "log")?;
    let stat = fs::metadata(files.wal())?;
    let wal = files.observe_at(later()).wal.ok_or("no log")?;
    assert_eq!((wal.dev, wal.ino, wal.len), (stat.dev(), stat.ino(), 3));
    let mtime_ns = i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec());
    assert_eq!(wal.mtime_ns, mtime_ns);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_to_a_link_leads_to_the_log_beside_the_database() -> Result {
    use std::os::unix::fs::symlink;

    let dir = TempDir::new()?;
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("real"))?;
    fs::write(at("real/a.db"), "file")?;
    symlink("real/a.db", at("one"))?;
    symlink("one", at("two"))?;
    assert_eq!(SqliteFiles::new(&at("two")).wal(), at("real/a.db-wal"));
    Ok(())
}
