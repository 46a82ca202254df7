//! Each code, its class and what it leads to: bare, and wrapped in two layers of context.

use std::error::Error as StdError;
use std::fmt;

use rusqlite::ffi;

use super::*;
use crate::error::ErrorKind;
use crate::root::Slug;

/// Somebody's context, which says nothing.
#[derive(Debug)]
struct Context(Box<dyn StdError + Send + Sync>);

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("database disk image is malformed, says the text")
    }
}

impl StdError for Context {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

const TABLE: &[(i32, &str, Class, Reaction)] = {
    use Class as C;
    use Reaction as R;
    &[
        (ffi::SQLITE_BUSY, "database is locked", C::Busy, R::Leave),
        (
            ffi::SQLITE_BUSY_SNAPSHOT,
            "database is locked",
            C::Stale,
            R::Reopen,
        ),
        (
            ffi::SQLITE_LOCKED,
            "database table is locked",
            C::Busy,
            R::Reopen,
        ),
        (ffi::SQLITE_PROTOCOL, "locking protocol", C::Busy, R::Leave),
        (
            ffi::SQLITE_SCHEMA,
            "database schema has changed",
            C::Stale,
            R::Leave,
        ),
        (
            ffi::SQLITE_IOERR_SHORT_READ,
            "disk I/O error",
            C::Io,
            R::Reopen,
        ),
        (ffi::SQLITE_IOERR, "disk I/O error", C::Io, R::Reopen),
        (
            ffi::SQLITE_CORRUPT,
            "database disk image is malformed",
            C::Corrupt,
            R::Hold,
        ),
        (
            ffi::SQLITE_CORRUPT_VTAB,
            "database disk image is malformed",
            C::Corrupt,
            R::Hold,
        ),
        (
            ffi::SQLITE_NOTADB,
            "file is not a database",
            C::Corrupt,
            R::Hold,
        ),
        (
            ffi::SQLITE_FULL,
            "database or disk is full",
            C::DiskFull,
            R::Leave,
        ),
        (
            ffi::SQLITE_READONLY,
            "attempt to write a readonly database",
            C::ReadOnly,
            R::Leave,
        ),
        (
            ffi::SQLITE_READONLY_DBMOVED,
            "attempt to write a readonly database",
            C::Stale,
            R::Reopen,
        ),
        (
            ffi::SQLITE_PERM,
            "access permission denied",
            C::Permission,
            R::Leave,
        ),
        (
            ffi::SQLITE_ERROR,
            "no such column: tasks.skills",
            C::SchemaDrift,
            R::Repair,
        ),
        (
            ffi::SQLITE_ERROR,
            "no such table: task_runs",
            C::SchemaDrift,
            R::Repair,
        ),
        (
            ffi::SQLITE_ERROR,
            "table tasks has no column named skills",
            C::SchemaDrift,
            R::Repair,
        ),
        (
            ffi::SQLITE_ERROR,
            "duplicate column name: skills",
            C::Exists,
            R::Reopen,
        ),
        (ffi::SQLITE_ERROR, "malformed JSON", C::Unknown, R::Leave),
        (
            ffi::SQLITE_CONSTRAINT_TRIGGER,
            "database disk image is malformed",
            C::Constraint,
            R::Leave,
        ),
        (
            ffi::SQLITE_CONSTRAINT_UNIQUE,
            "no such table: tasks",
            C::Constraint,
            R::Leave,
        ),
        // The code decides, whatever language the text has.
        (
            ffi::SQLITE_CORRUPT,
            "Datenbank ist gesperrt",
            C::Corrupt,
            R::Hold,
        ),
        (ffi::SQLITE_BUSY, "no such table: tasks", C::Busy, R::Leave),
    ]
};

#[test]
fn each_code_has_its_class_and_its_reaction_bare_and_in_two_layers() {
    let dir = tempfile::tempdir().expect("a directory");
    let board = crate::Root::at(dir.path()).board(&Slug::default());
    // A sound place: the file system has nothing to add.
    std::fs::write(board.db(), "not empty").expect("a file");
    for (code, text, class, expected) in TABLE {
        let plain =
            || rusqlite::Error::SqliteFailure(ffi::Error::new(*code), Some((*text).to_owned()));
        let wrapped = Context(Box::new(Context(Box::new(plain()))));
        for error in [
            Error::from(plain()),
            Error::new(ErrorKind::Sqlite, "no such table: tasks").because(wrapped),
        ] {
            let verdict = classify(&board, &error);
            let found = (verdict.class(), reaction(&verdict), verdict.code());
            assert_eq!(
                found,
                (*class, *expected, Some(*code)),
                "{code} {text}: {error:?}"
            );
        }
    }
}

/// CANTOPEN says nothing: what the file system says of the path decides.
#[test]
fn a_file_that_cannot_be_opened_is_what_stat_says_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = crate::Root::at(dir.path());
    let named = |name: &str| root.board(&name.parse().expect("a slug"));
    std::fs::create_dir_all(named("directory").db()).expect("a directory");
    std::fs::create_dir_all(named("no-file").dir()).expect("a directory");
    for (slug, class) in [
        ("directory", Class::Misuse),
        ("no-file", Class::Missing),
        ("no-directory", Class::Missing),
    ] {
        let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), None);
        let wrapped = Context(Box::new(Context(Box::new(cause))));
        let error = Error::new(ErrorKind::Sqlite, "open").because(wrapped);
        let board = named(slug);
        let verdict = classify(&board, &error);
        assert_eq!(
            (verdict.class(), reaction(&verdict)),
            (class, Reaction::Leave),
            "{slug}"
        );
    }
}
