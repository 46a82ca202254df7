//! A database with everything that the golden statements trip over, and errors in all the wrappings of ordinary programs.

#![allow(dead_code, reason = "every test binary takes its own part of this")]

use std::error::Error;
use std::io;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::{Batch, Connection};

pub(crate) const GOLDEN: &str = include_str!("../golden/sqlite-3.54.txt");

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
    CREATE TRIGGER g AFTER INSERT ON task BEGIN SELECT RAISE(ABORT, NEW.title); END;
    CREATE VIRTUAL TABLE ft USING fts5(body);
";

/// With double-quoted strings off, so that a missing quoted column is an error and no text.
pub(crate) fn database() -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    db.execute_batch(SCHEMA)?;
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
pub(crate) struct Golden {
    pub(crate) sql: &'static str,
    pub(crate) message: &'static str,
    pub(crate) verdict: &'static str,
}

pub(crate) fn golden() -> Vec<Golden> {
    let entry = |block: &'static str| {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let mut line = || lines.next().unwrap_or_default().trim();
        Golden {
            sql: line(),
            message: line(),
            verdict: line(),
        }
    };
    GOLDEN.split("\n\n").map(entry).collect()
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
