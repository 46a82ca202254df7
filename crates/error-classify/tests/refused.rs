//! A file that is there and is refused: by its mode, by the mount, or for want of descriptors.
//!
//! Each needs a process of its own: one without privileges, one on a read-only mount, one with a low limit. The test runs
//! itself there once more.
#![cfg(all(unix, feature = "rusqlite", feature = "path-facts"))]

#[path = "support/process.rs"]
mod process;
#[path = "support/board.rs"]
mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use error_classify::{Class, Obstacle, PathFacts, Remedy, classify};
use rusqlite::{Connection, OpenFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{EXISTING, Result, board, cannot_open, read, told};

#[test]
fn an_unreadable_file_is_a_matter_of_permission() -> Result {
    let expected = (
        Class::Permission,
        Remedy::ExternalFix,
        "path/permission denied",
        Some(14),
    );
    if let Some(dir) = process::handed_over() {
        let path = dir.join("board.db");
        assert_eq!(told(&cannot_open(&path)?), expected);
        assert_eq!(told(&cannot_open(&dir.join("closed/board.db"))?), expected);
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    fs::set_permissions(board(dir.path())?, Permissions::from_mode(0o000))?;
    let closed = dir.path().join("closed");
    fs::create_dir(&closed)?;
    board(&closed)?;
    fs::set_permissions(&closed, Permissions::from_mode(0o000))?;
    let name = "an_unreadable_file_is_a_matter_of_permission";
    process::again(name, dir.path(), process::as_nobody)?;
    fs::set_permissions(&closed, Permissions::from_mode(0o755))?;
    Ok(())
}

#[test]
fn a_file_that_may_only_be_read_says_that_the_mode_is_why() -> Result {
    if let Some(dir) = process::handed_over() {
        let path = dir.join("plain.db");
        let db = Connection::open_with_flags(&path, EXISTING)?;
        let error = db.execute("INSERT INTO tasks VALUES (1)", []).unwrap_err();
        let verdict = classify(&error);
        assert_eq!(verdict.code(), Some(8));
        let expected = (
            Class::ReadOnly,
            Remedy::ExternalFix,
            "path/mode forbids writing",
            Some(8),
        );
        assert_eq!(told(&PathFacts::of(&path).refine(verdict)), expected);
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777))?;
    let path = dir.path().join("plain.db");
    let flags = EXISTING | OpenFlags::SQLITE_OPEN_CREATE;
    Connection::open_with_flags(&path, flags)?.execute_batch("CREATE TABLE tasks(id)")?;
    fs::set_permissions(&path, Permissions::from_mode(0o444))?;
    let name = "a_file_that_may_only_be_read_says_that_the_mode_is_why";
    process::again(name, dir.path(), process::as_nobody)
}

#[test]
fn exhausted_descriptors_are_no_fault_of_the_file() -> Result {
    let Some(dir) = process::handed_over() else {
        let dir = tempfile::tempdir()?;
        board(dir.path())?;
        let name = "exhausted_descriptors_are_no_fault_of_the_file";
        return process::again(name, dir.path(), |binary| Command::new(binary));
    };
    let path = dir.join("board.db");
    assert_eq!(read(&path)?, 0);
    assert_eq!(PathFacts::of(&path).obstacle(), None);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum });
    // In use, and of a number that will be beyond the limit: it takes none of those below.
    limit(maximum)?;
    let _beyond = fcntl_dupfd_cloexec(File::open("/dev/null")?, 100)?;
    limit(Some(64))?;
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    // None free, then one, then two: a board in WAL mode needs three.
    for free in 0..3 {
        assert_eq!(PathFacts::of(&path).descriptors_free(), Some(free));
        let verdict = cannot_open(&path)?;
        let rule = "path/descriptors exhausted";
        assert_eq!(
            told(&verdict),
            (Class::Exhausted, Remedy::RetryCall, rule, Some(14))
        );
        taken.pop();
    }
    drop(taken);
    assert_eq!(read(&path)?, 0);
    Ok(())
}

#[test]
fn a_read_only_mount_is_told_apart_from_a_refusal_by_mode() -> Result {
    if let Some(dir) = process::handed_over() {
        let path = dir.join("board.db");
        let read_only = |code| {
            (
                Class::ReadOnly,
                Remedy::ExternalFix,
                "path/read-only mount",
                Some(code),
            )
        };
        assert_eq!(told(&cannot_open(&path)?), read_only(14));
        let facts = PathFacts::of(&path);
        assert_eq!(facts.obstacle(), Some(Obstacle::ReadOnlyMount));
        assert!(facts.is_on_read_only_mount() && !facts.forbids_writing());
        let plain = dir.join("plain.db");
        let db = Connection::open_with_flags(&plain, EXISTING)?;
        let error = db.execute("INSERT INTO tasks VALUES (1)", []).unwrap_err();
        let verdict = PathFacts::of(&plain).refine(classify(&error));
        assert_eq!(told(&verdict), read_only(8));
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    board(dir.path())?;
    let plain = dir.path().join("plain.db");
    let flags = EXISTING | OpenFlags::SQLITE_OPEN_CREATE;
    Connection::open_with_flags(plain, flags)?.execute_batch("CREATE TABLE tasks(id)")?;
    // Without namespaces only the unit tests beside the code stand for this.
    match process::on_read_only_mount(dir.path())? {
        Some(mounted) => {
            let name = "a_read_only_mount_is_told_apart_from_a_refusal_by_mode";
            process::again(name, dir.path(), mounted)
        }
        None => Ok(()),
    }
}

/// Each of SQLite's own files, and what its mode leaves.
const BESIDE: [(&str, u32); 4] = [
    ("-wal", 0o000),
    ("-shm", 0o000),
    ("-journal", 0o000),
    ("-wal", 0o444),
];

#[test]
fn a_file_of_sqlite_s_beside_it_that_is_refused_counts_too() -> Result {
    if let Some(dir) = process::handed_over() {
        for place in 0..BESIDE.len() {
            let facts = PathFacts::of(&dir.join(place.to_string()).join("board.db"));
            assert_eq!(
                facts.obstacle(),
                Some(Obstacle::PermissionDenied),
                "{place}"
            );
            assert!(!facts.forbids_writing(), "it is not the file itself");
        }
        let expected = (
            Class::Permission,
            Remedy::ExternalFix,
            "path/permission denied",
            Some(14),
        );
        assert_eq!(told(&cannot_open(&dir.join("0/board.db"))?), expected);
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    for (place, (suffix, mode)) in BESIDE.into_iter().enumerate() {
        let dir = dir.path().join(place.to_string());
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o777))?;
        fs::set_permissions(board(&dir)?, Permissions::from_mode(0o666))?;
        let beside = dir.join(format!("board.db{suffix}"));
        fs::write(&beside, "left by another user")?;
        fs::set_permissions(&beside, Permissions::from_mode(mode))?;
    }
    let name = "a_file_of_sqlite_s_beside_it_that_is_refused_counts_too";
    process::again(name, dir.path(), process::as_nobody)
}

#[test]
fn a_directory_need_not_be_listed_to_be_used() -> Result {
    if let Some(dir) = process::handed_over() {
        let path = dir.join("unlisted/board.db");
        assert!(fs::read_dir(dir.join("unlisted")).is_err());
        assert_eq!(PathFacts::of(&path).obstacle(), None);
        assert_eq!(read(&path)?, 0);
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    let unlisted = dir.path().join("unlisted");
    fs::create_dir(&unlisted)?;
    fs::set_permissions(board(&unlisted)?, Permissions::from_mode(0o666))?;
    fs::set_permissions(&unlisted, Permissions::from_mode(0o333))?;
    let name = "a_directory_need_not_be_listed_to_be_used";
    process::again(name, dir.path(), process::as_nobody)?;
    fs::set_permissions(&unlisted, Permissions::from_mode(0o755))?;
    Ok(())
}

/// As in a program that was started by one user and acts for another: what counts is for whom it acts.
#[test]
fn the_effective_user_is_asked_for_and_not_the_real_one() -> Result {
    if let Some(dir) = process::handed_over() {
        let path = dir.join("board.db");
        assert_eq!(PathFacts::of(&path).obstacle(), None);
        assert_eq!(read(&path)?, 0);
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    fs::set_permissions(board(dir.path())?, Permissions::from_mode(0o600))?;
    let name = "the_effective_user_is_asked_for_and_not_the_real_one";
    process::again(name, dir.path(), process::started_by_nobody)
}
