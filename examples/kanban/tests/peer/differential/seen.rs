//! What a board holds, task by task, without what must differ: process ids, locks of new claims, ids of new attempts, paths of roots.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::super::board::rows;
use super::super::house::Result;

type Row = Map<String, Value>;

/// One task after the tick.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    pub(super) row: Row,
    pub(super) runs: Vec<Row>,
    /// Only those that the ticks added.
    pub(super) events: Vec<Row>,
}

/// A board after the tick.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Whole {
    pub(super) tasks: BTreeMap<String, Seen>,
    /// Every other table, which no tick may touch.
    pub(super) rest: Value,
    /// The tasks in the order of their claims.
    pub(super) claimed: Vec<String>,
}

/// The board as it was before the tick, as far as it is needed to tell what is new.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) run: i64,
    pub(super) event: i64,
}

impl Before {
    pub(super) fn of(db: &Connection) -> Result<Self> {
        let newest = |table: &str| {
            db.query_row(
                &format!("SELECT COALESCE(max(id), 0) FROM {table}"),
                [],
                |row| row.get(0),
            )
        };
        Ok(Self {
            run: newest("task_runs")?,
            event: newest("task_events")?,
        })
    }
}

impl Whole {
    pub(super) fn read(db: &Connection, root: &Path, before: Before) -> Result<Self> {
        let mut whole = Self::default();
        for row in rows(db, "SELECT * FROM tasks", [])? {
            let id = row["id"].as_str().unwrap_or_default().to_owned();
            whole.tasks.insert(
                id,
                Seen {
                    row: object(row),
                    ..Seen::default()
                },
            );
        }
        for row in rows(db, "SELECT * FROM task_runs ORDER BY id", [])? {
            if let Some(seen) = row["task_id"]
                .as_str()
                .and_then(|id| whole.tasks.get_mut(id))
            {
                seen.runs.push(object(row));
            }
        }
        let sql = "SELECT * FROM task_events WHERE id > ?1 ORDER BY id";
        for row in rows(db, sql, [before.event])? {
            let id = row["task_id"].as_str().unwrap_or_default().to_owned();
            if row["kind"] == "claimed" {
                whole.claimed.push(id.clone());
            }
            if let Some(seen) = whole.tasks.get_mut(&id) {
                seen.events.push(object(row));
            }
        }
        let rest = [
            "task_links",
            "task_comments",
            "task_attachments",
            "kanban_notify_subs",
            "recipes",
        ]
        .map(|table| {
            rows(db, &format!("SELECT * FROM {table}"), [])
                .map(|rows| (table.to_owned(), rows.into()))
        });
        whole.rest = rest
            .into_iter()
            .collect::<Result<Map<String, Value>>>()?
            .into();
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        whole.rest["user_version"] = version.into();
        for seen in whole.tasks.values_mut() {
            seen.forget_workers();
            seen.normalise(root, before);
        }
        Ok(whole)
    }
}

impl Seen {
    pub(super) fn status(&self) -> &str {
        self.row["status"].as_str().unwrap_or_default()
    }

    pub(super) fn kinds(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| event["kind"].as_str())
            .collect()
    }

    pub(super) fn has(&self, kind: &str) -> bool {
        self.kinds().contains(&kind)
    }

    /// Which process a worker was, and which claim it had, is each program's own.
    fn forget_workers(&mut self) {
        let told = |kind: &str, name: &str| -> Vec<Value> {
            let events = self.events.iter().filter(|event| event["kind"] == kind);
            events
                .map(|event| parsed(&event["payload"])[name].clone())
                .collect()
        };
        let own = [told("spawned", "pid"), told("claimed", "lock")].concat();
        let columns = self
            .runs
            .iter_mut()
            .chain(&mut self.events)
            .chain([&mut self.row]);
        for value in columns.flat_map(|row| row.iter_mut().map(|(_, value)| value)) {
            let mut inner = parsed(value);
            if inner.is_object() {
                blur(&mut inner, &own);
                *value = inner;
            } else {
                blur(value, &own);
            }
        }
    }

    fn normalise(&mut self, root: &Path, before: Before) {
        let runs: Vec<Value> = self.runs.iter().map(|run| run["id"].clone()).collect();
        let place = |id: &Value| {
            runs.iter()
                .position(|run| run == id)
                .map_or(id.clone(), |at| json!(format!("run {at}")))
        };
        let is_new = |id: &Value| id.as_i64().is_some_and(|id| id > before.run);
        if is_new(&self.row["current_run_id"]) {
            forget(&mut self.row, &["worker_pid", "claim_lock"]);
        }
        self.row["current_run_id"] = place(&self.row["current_run_id"]);
        if let Some(path) = self.row["workspace_path"].as_str() {
            let root = root.to_string_lossy();
            self.row["workspace_path"] = path.replace(&*root, "ROOT").into();
        }
        own_words(&mut self.row, "last_failure_error");
        for run in &mut self.runs {
            if is_new(&run["id"]) {
                forget(run, &["worker_pid", "claim_lock"]);
            }
            run["id"] = place(&run["id"]);
            own_words(run, "error");
            if run["outcome"] == "reclaimed" && !run["summary"].is_null() {
                run["summary"] = "a run left open".into();
            }
            run["metadata"] = parsed(&run["metadata"]);
        }
        for event in &mut self.events {
            event.remove("id");
            event["run_id"] = place(&event["run_id"]);
            event["payload"] = parsed(&event["payload"]);
            let kind = event["kind"].clone();
            if let Value::Object(payload) = &mut event["payload"] {
                own_words(payload, "error");
                match kind.as_str() {
                    Some("claimed") => {
                        forget(payload, &["lock"]);
                        payload["run_id"] = place(&payload["run_id"]);
                    }
                    Some("spawned") => forget(payload, &["pid"]),
                    _ => {}
                }
            }
        }
    }
}

fn blur(value: &mut Value, own: &[Value]) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| blur(value, own)),
        value if own.contains(value) => *value = "its own".into(),
        Value::String(text) => {
            for pid in own.iter().filter(|own| own.is_number()) {
                *text = text.replace(&format!("pid {pid} "), "pid N ");
            }
        }
        _ => {}
    }
}

/// What is there, but need not be the same.
fn forget(row: &mut Row, columns: &[&str]) {
    for column in columns {
        if row.get(*column).is_some_and(|value| !value.is_null()) {
            row[*column] = "its own".into();
        }
    }
}

/// Each program says in its own words what an error was; what it was must be the same.
fn own_words(row: &mut Row, column: &str) {
    let Some(text) = row.get(column).and_then(Value::as_str) else {
        return;
    };
    let meant = if text.contains("protocol violation") {
        "ended without a word"
    } else if text.contains("exited rate-limited") {
        "said try later"
    } else if text.starts_with("no heartbeat") {
        "no sign of life"
    } else if text.starts_with("workspace: ") {
        "no workspace"
    } else {
        return;
    };
    row[column] = meant.into();
}

fn parsed(payload: &Value) -> Value {
    payload
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| payload.clone())
}

fn object(row: Value) -> Row {
    match row {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}
