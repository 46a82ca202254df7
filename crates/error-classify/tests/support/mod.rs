//! A database with everything that the golden statements trip over, and errors in all the wrappings of ordinary programs.

#![allow(dead_code, reason = "every test binary takes its own part of this")]

use std::error::Error;
use std::io;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::{Batch, Connection};

const GOLDEN: &str = include_str!("../golden/sqlite-3.54.txt");

/// What older versions say otherwise: the versions below the first number, and the entries. `-` for a message: no error there.
const OLDER: &[(i32, &str)] = &[
    (3_046_000, include_str!("../golden/sqlite-3.45.txt")),
    (FORGER_SINCE, include_str!("../golden/sqlite-3.46.txt")),
];

const SCHEMA: &str = "
    CREATE TABLE t(a, b); CREATE TABLE u(a); CREATE INDEX i ON t(a); CREATE VIEW vbad AS SELECT missing FROM u;
    CREATE TABLE child(p REFERENCES gone(id));
    CREATE TABLE trg(a); CREATE TRIGGER tr AFTER INSERT ON trg BEGIN INSERT INTO gone2 VALUES (1); END;
    CREATE TABLE trg2(a); CREATE TRIGGER tr2 AFTER INSERT ON trg2 BEGIN UPDATE t SET gonecol = 1; END;
    CREATE TABLE uniq(a NOT NULL UNIQUE); INSERT INTO uniq VALUES (1);
    CREATE TABLE chk(a CHECK (a > 0));
    CREATE TABLE pk(a INTEGER PRIMARY KEY); INSERT INTO pk VALUES (1);
    CREATE TABLE strict_t(a INT) STRICT;
    CREATE TABLE par(id PRIMARY KEY); CREATE TABLE child2(p REFERENCES par(id));
    CREATE TABLE forged(a);
    CREATE TRIGGER f AFTER INSERT ON forged BEGIN SELECT RAISE(ABORT, 'no such column: x'); END;
    CREATE TABLE task(title);
    CREATE VIRTUAL TABLE ft USING fts5(body);
";

/// A trigger that says what the row says. Older than 3.47, SQLite knows only a fixed text there.
const FORGER: &str =
    "CREATE TRIGGER g AFTER INSERT ON task BEGIN SELECT RAISE(ABORT, NEW.title); END";
const FORGER_SINCE: i32 = 3_047_000;

/// With double-quoted strings off, so that a missing quoted column is an error and no text.
pub(crate) fn database() -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    // Both are matters of how SQLite was built.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.execute_batch(SCHEMA)?;
    if rusqlite::version_number() >= FORGER_SINCE {
        db.execute_batch(FORGER)?;
    }
    Ok(db)
}

/// Runs a statement to its end.
pub(crate) fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut batch = Batch::new(db, sql);
    while let Some(mut statement) = batch.next()? {
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

/// One entry of the golden file: a statement, SQLite's message, and our verdict.
#[derive(Clone, Copy)]
pub(crate) struct Golden {
    pub(crate) sql: &'static str,
    pub(crate) message: &'static str,
    pub(crate) verdict: &'static str,
}

/// The entries that hold for the SQLite that is linked.
pub(crate) fn golden() -> Vec<Golden> {
    let mut entries = read(GOLDEN);
    for (below, text) in OLDER {
        if rusqlite::version_number() < *below {
            for other in read(text) {
                let entry = entries.iter_mut().find(|entry| entry.sql == other.sql);
                *entry.expect("every difference is one from an entry") = other;
            }
        }
    }
    entries.retain(|entry| entry.message != "-");
    entries
}

/// All entries, and what older versions say otherwise.
pub(crate) fn differences() -> impl Iterator<Item = (Golden, Golden)> {
    let older = OLDER.iter().flat_map(|(_, text)| read(text));
    older.filter_map(|other| {
        let entry = read(GOLDEN)
            .into_iter()
            .find(|entry| entry.sql == other.sql)?;
        Some((entry, other))
    })
}

fn read(text: &'static str) -> Vec<Golden> {
    let entry = |block: &'static str| {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let mut line = || lines.next().unwrap_or_default().trim();
        Golden {
            sql: line(),
            message: line(),
            verdict: line(),
        }
    };
    text.trim_end().split("\n\n").map(entry).collect()
}

pub(crate) fn error_of(sql: &str) -> Result<rusqlite::Error, Box<dyn Error>> {
    let outcome = run(&database()?, sql);
    Ok(outcome.err().ok_or_else(|| format!("{sql}: no error"))?)
}

/// The message without the statement.
pub(crate) fn message_of(error: &rusqlite::Error) -> &str {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        _ => "",
    }
}

#[derive(Debug, thiserror::Error)]
#[error("load board")]
pub(crate) struct Context(#[source] pub(crate) Box<dyn Error + Send + Sync>);

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Transparent<E: Error + 'static>(pub(crate) E);

/// `anyhow::Error` is only the holder here: what it gives out is the error that went in.
type Wrapping = (&'static str, fn(rusqlite::Error) -> anyhow::Error);

/// Through these the driver's error is reached by a downcast: the verdict is the same to the letter, but for the depth.
pub(crate) const OPEN: &[Wrapping] = &[
    ("itself", |e| e.into()),
    ("context", |e| Context(e.into()).into()),
    ("anyhow, two contexts", |e| {
        anyhow::Error::from(e).context("open").context("tick")
    }),
    ("io", |e| io::Error::other(e).into()),
    ("io with a kind", |e| {
        io::Error::new(io::ErrorKind::PermissionDenied, e).into()
    }),
    ("io in io", |e| io::Error::other(io::Error::other(e)).into()),
    ("io in context", |e| {
        Context(io::Error::other(e).into()).into()
    }),
    ("Arc", |e| Arc::new(e).into()),
    ("Box", |e| Box::new(e).into()),
    ("Arc in context", |e| Context(Arc::new(e).into()).into()),
];

/// Through these only the code is reached, and the message as far as the wrapper shows it.
pub(crate) const HIDING: &[Wrapping] = &[
    ("transparent", |e| Transparent(e).into()),
    ("transparent twice", |e| Transparent(Transparent(e)).into()),
    ("transparent in io", |e| {
        io::Error::other(Transparent(e)).into()
    }),
    ("transparent in anyhow", |e| {
        anyhow::Error::from(Transparent(e)).context("tick")
    }),
    ("transparent over Arc", |e| Transparent(Arc::new(e)).into()),
    ("Arc of transparent", |e| Arc::new(Transparent(e)).into()),
    ("Arc of io", |e| Arc::new(io::Error::other(e)).into()),
    ("anyhow made a Box<dyn Error>", |e| {
        let boxed: Box<dyn Error + Send + Sync> = anyhow::Error::from(e).into();
        Context(boxed).into()
    }),
];
