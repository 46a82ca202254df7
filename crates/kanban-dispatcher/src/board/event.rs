//! The building blocks of every write: append an event, end a run. Texts as the peer writes them.

use rusqlite::{Connection, OptionalExtension, Result};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value};

use super::value;

/// An event's payload or a run's metadata: an ordered JSON object; empty means NULL.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Payload(Map<String, Value>);

impl Payload {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_map(map: Map<String, Value>) -> Self {
        Self(map)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn with_some<T: Into<Value>>(self, key: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// `{"a": 1, "b": "x"}`, with the separators that the boards' other readers write and some compare.
    pub(crate) fn to_json(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| to_spaced_json(&self.0))
    }
}

/// JSON with `", "` and `": "` between its parts.
pub(crate) fn to_spaced_json<T: Serialize>(value: &T) -> String {
    struct Spaced;
    impl Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first {
                Ok(())
            } else {
                writer.write_all(b", ")
            }
        }

        fn begin_object_key<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first {
                Ok(())
            } else {
                writer.write_all(b", ")
            }
        }

        fn begin_object_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
        ) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut text = Vec::new();
    // Writing JSON values to memory fails on no input: keys are strings.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, Spaced));
    String::from_utf8(text).unwrap_or_default()
}

/// The same in ASCII, as the format has it for lists of names.
pub(crate) fn to_ascii_json<T: Serialize>(value: &T) -> String {
    let mut ascii = String::new();
    let mut units = [0; 2];
    for c in to_spaced_json(value).chars() {
        if c.is_ascii() {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

/// Appends one event to a task's history.
pub(crate) fn append(
    db: &Connection,
    task: &str,
    kind: &str,
    payload: &Payload,
    run: Option<i64>,
    now: i64,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO task_events (task_id, run_id, kind, payload, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((task, run, kind, payload.to_json(), now))?;
    Ok(())
}

/// How an attempt ended, as stored.
#[derive(Debug, Default)]
pub(crate) struct RunEnd<'a> {
    pub(crate) status: &'a str,
    pub(crate) outcome: &'a str,
    pub(crate) summary: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) metadata: Payload,
}

/// Closes the task's open run, once, and takes the pointer off the task. The run's id, if there was one.
pub(crate) fn end_run(
    db: &Connection,
    task: &str,
    end: &RunEnd<'_>,
    now: i64,
) -> Result<Option<i64>> {
    let run = current_run(db, task)?;
    // Also a pointer that names no attempt, or it would stay for good.
    db.prepare_cached(
        "UPDATE tasks SET current_run_id = NULL WHERE id = ?1 AND current_run_id IS NOT NULL",
    )?
    .execute([task])?;
    let Some(run) = run else { return Ok(None) };
    db.prepare_cached(
        "UPDATE task_runs SET status = ?2, outcome = ?3, summary = ?4, error = ?5, metadata = ?6, ended_at = ?7, \
         claim_lock = NULL, claim_expires = NULL, worker_pid = NULL WHERE id = ?1 AND ended_at IS NULL",
    )?
    .execute((run, end.status, end.outcome, end.summary, end.error, end.metadata.to_json(), now))?;
    Ok(Some(run))
}

/// The task's open attempt; whatever is no integer names none.
pub(crate) fn current_run(db: &Connection, task: &str) -> Result<Option<i64>> {
    db.prepare_cached("SELECT current_run_id FROM tasks WHERE id = ?1")?
        .query_row([task], |row| value::integer(row, 0))
        .optional()
        .map(Option::flatten)
}

/// How an attempt ended; `None` while it is open, or if there is no such attempt.
pub(crate) fn run_outcome(db: &Connection, run: i64) -> Result<Option<String>> {
    db.prepare_cached("SELECT outcome FROM task_runs WHERE id = ?1")?
        .query_row([run], |row| value::text(row, 0))
        .optional()
        .map(Option::flatten)
}

/// A run that starts and ends now, for a change that no attempt made.
pub(crate) fn instant_run(
    db: &Connection,
    task: &str,
    outcome: &str,
    summary: Option<&str>,
    metadata: &Payload,
    now: i64,
) -> Result<i64> {
    db.prepare_cached(
        "INSERT INTO task_runs (task_id, profile, step_key, status, outcome, summary, metadata, started_at, ended_at) \
         SELECT id, assignee, current_step_key, ?2, ?2, ?3, ?4, ?5, ?5 FROM tasks WHERE id = ?1",
    )?
    .execute((task, outcome, summary, metadata.to_json(), now))?;
    Ok(db.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_written_with_spaces_in_insertion_order_and_unescaped() {
        let payload = Payload::new()
            .with("b", 1)
            .with("a", vec!["x", "ü"])
            .with("n", Value::Null);
        assert_eq!(
            payload.to_json().as_deref(),
            Some("{\"b\": 1, \"a\": [\"x\", \"ü\"], \"n\": null}")
        );
        assert_eq!(Payload::new().to_json(), None);
    }

    #[test]
    fn lists_of_names_are_written_in_ascii() {
        assert_eq!(
            to_ascii_json(&["aé", "\u{1f600}"]),
            r#"["a\u00e9", "\ud83d\ude00"]"#
        );
    }
}
