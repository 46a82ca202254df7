//! The situations in which SQLite says only "unable to open database file", each made with real files, and the empty file.
#![cfg(all(unix, feature = "rusqlite", feature = "path-facts"))]

#[path = "support/board.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use error_classify::{Class, PathFacts, Remedy, Verdict, classify};
use rusqlite::Connection;
use support::{EXISTING, Result, board, cannot_open, read, told};

#[test]
fn a_missing_file_and_a_missing_directory_are_told_apart() -> Result {
    let dir = tempfile::tempdir()?;
    let verdict = cannot_open(&dir.path().join("board.db"))?;
    let missing = |rule| (Class::Missing, Remedy::ExternalFix, rule, Some(14));
    assert_eq!(told(&verdict), missing("path/file missing"));
    let verdict = cannot_open(&dir.path().join("no/board.db"))?;
    assert_eq!(told(&verdict), missing("path/directory missing"));
    fs::write(dir.path().join("file"), "")?;
    let verdict = cannot_open(&dir.path().join("file/board.db"))?;
    assert_eq!(told(&verdict), missing("path/directory missing"));
    Ok(())
}

#[test]
fn a_directory_in_place_of_the_file_is_a_wrong_path() -> Result {
    let dir = tempfile::tempdir()?;
    let verdict = cannot_open(dir.path())?;
    let expected = (
        Class::Misuse,
        Remedy::ExternalFix,
        "path/not a file",
        Some(14),
    );
    assert_eq!(told(&verdict), expected);
    Ok(())
}

#[test]
fn no_such_table_in_an_empty_file_is_lost_data_and_never_drift() -> Result {
    let dir = tempfile::tempdir()?;
    let path = board(dir.path())?;
    let db = Connection::open_with_flags(&path, EXISTING)?;
    let error = db
        .query_row("SELECT 1 FROM task_runs", [], |_| Ok(()))
        .unwrap_err();
    let drift = PathFacts::of(&path).refine(classify(&error));
    assert_eq!(drift, classify(&error), "real drift stays what it is");
    assert_eq!(drift.class(), Class::SchemaDrift);
    drop(db);

    File::options().write(true).open(&path)?.set_len(0)?;
    let error = read(&path).unwrap_err();
    let verdict = classify(&error);
    assert_eq!(
        verdict.to_string(),
        "schema_drift: table tasks (repair; sqlite/no such table; code 1)"
    );
    let verdict = PathFacts::of(&path).refine(verdict);
    let expected = (
        Class::Emptied,
        Remedy::ExternalFix,
        "path/empty file",
        Some(1),
    );
    assert_eq!(told(&verdict), expected);
    assert_eq!(verdict.missing(), None, "nothing that could be repaired");
    Ok(())
}

#[test]
fn a_veto_and_every_other_class_are_left_alone() -> Result {
    let file = tempfile::NamedTempFile::new()?;
    let facts = PathFacts::of(file.path());
    let missing = PathFacts::of(Path::new("/no/such/board.db"));
    for class in Class::ALL {
        let verdict = Verdict::new(*class, Remedy::RetryCall);
        if *class != Class::SchemaDrift {
            assert_eq!(facts.refine(verdict.clone()), verdict);
        }
        if *class != Class::CannotOpen {
            assert_eq!(missing.refine(verdict.clone()), verdict);
        }
    }
    assert_eq!(facts.refine(Verdict::veto()), Verdict::veto());
    Ok(())
}

/// Closing any descriptor of the file would drop the locks of this process on it: with another process waiting for the lock
/// that is how boards get lost. Here the lock is seen from outside, in the kernel's own list.
#[cfg(target_os = "linux")]
#[test]
fn asking_for_the_facts_drops_no_lock() -> Result {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir()?;
    let path = board(dir.path())?;
    let inode = format!(":{} ", fs::metadata(&path)?.ino());
    let locks = || -> Result<BTreeSet<String>> {
        let own = format!(" {} ", std::process::id());
        let all = fs::read_to_string("/proc/locks")?;
        let ours = |line: &&str| line.contains(&inode) && line.contains(&own);
        // Without its number in the list.
        let lock = |line: &str| line.split_once(": ").map(|(_, lock)| lock.to_owned());
        Ok(all.lines().filter(ours).filter_map(lock).collect())
    };
    let db = Connection::open_with_flags(&path, EXISTING)?;
    db.execute_batch("BEGIN IMMEDIATE; INSERT INTO tasks VALUES (1)")?;
    // Other programs' locks come and go while the list is read, and then it lacks one or has it twice.
    let held: BTreeSet<String> = (0..20).flat_map(|_| locks()).flatten().collect();
    assert!(!held.is_empty());
    let _ = PathFacts::of(&path);
    // What is lost does not come back.
    let is_held = || locks().is_ok_and(|now| now == held);
    assert!(
        (0..1000).any(|_| is_held()),
        "{held:?}, and now {:?}",
        locks()?
    );
    drop(File::open(&path)?);
    assert!(
        locks()?.is_empty(),
        "the instrument shows a lock that is dropped"
    );
    Ok(())
}
