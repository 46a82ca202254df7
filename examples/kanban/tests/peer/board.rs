//! A board's file, read as plain rows: the last word on what either program wrote.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags, Params};
use serde_json::{Map, Value};

use super::house::Result;

/// A board by its path. Nothing stays open between two questions: a connection kept here would guard the file in our stead.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) db: PathBuf,
}

impl Board {
    pub(crate) fn at(db: PathBuf) -> Self {
        Self { db }
    }

    /// The file beside the database with this ending.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.db.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    /// A connection that leaves no trace when it closes.
    pub(crate) fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.db, flags)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(db)
    }

    pub(crate) fn rows(&self, sql: &str, params: impl Params) -> Result<Vec<Value>> {
        rows(&self.open()?, sql, params)
    }

    pub(crate) fn task(&self, id: &str) -> Result<Value> {
        let mut rows = self.rows("SELECT * FROM tasks WHERE id = ?1", [id])?;
        rows.pop().ok_or_else(|| format!("no task {id}").into())
    }

    /// A task's attempts, oldest first.
    pub(crate) fn runs(&self, id: &str) -> Result<Vec<Value>> {
        self.rows(
            "SELECT * FROM task_runs WHERE task_id = ?1 ORDER BY id",
            [id],
        )
    }

    /// A task's events, oldest first, with their payloads read.
    pub(crate) fn events(&self, id: &str) -> Result<Vec<Value>> {
        let sql = "SELECT * FROM task_events WHERE task_id = ?1 ORDER BY id";
        let mut events = self.rows(sql, [id])?;
        for event in &mut events {
            if let Some(text) = event["payload"].as_str() {
                event["payload"] = serde_json::from_str(text)?;
            }
        }
        Ok(events)
    }

    pub(crate) fn kinds(&self, id: &str) -> Result<Vec<String>> {
        let kind = |event: Value| event["kind"].as_str().unwrap_or_default().to_owned();
        Ok(self.events(id)?.into_iter().map(kind).collect())
    }

    pub(crate) fn integrity(&self) -> Result<String> {
        Ok(self
            .open()?
            .pragma_query_value(None, "integrity_check", |row| row.get(0))?)
    }
}

pub(crate) fn rows(db: &Connection, sql: &str, params: impl Params) -> Result<Vec<Value>> {
    let mut statement = db.prepare(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map(params, |row| {
        let fields = names.iter().enumerate().map(|(index, name)| {
            let value = match row.get(index)? {
                Sql::Null => Value::Null,
                Sql::Integer(number) => number.into(),
                Sql::Real(number) => number.into(),
                Sql::Text(text) => text.into(),
                Sql::Blob(bytes) => bytes.into(),
            };
            Ok((name.clone(), value))
        });
        fields.collect::<rusqlite::Result<Map<_, _>>>()
    })?;
    Ok(rows
        .map(|row| row.map(Value::Object))
        .collect::<rusqlite::Result<_>>()?)
}

/// The names in an event's payload, in the order in which they were written.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object();
    object.map_or_else(Vec::new, |object| {
        object.keys().map(String::as_str).collect()
    })
}

/// Which file is at `path`; `None` for none. A look from outside, by stat alone.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
