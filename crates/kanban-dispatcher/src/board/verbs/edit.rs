//! Correcting what a task says: its words and place, or the result of one that is done.

use rusqlite::{OptionalExtension, Transaction};
use serde_json::{Map, Value};

use super::super::event::{self, Payload};
use super::super::query::no_task;
use super::super::store::Store;
use super::{Asked, Result, first_line, status};
use crate::error::{Error, ErrorKind};

/// What is to be changed; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edit {
    /// The attempt that speaks; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// What it is called.
    pub title: Option<String>,
    /// What is to be done.
    pub body: Option<String>,
    /// Higher starts first.
    pub priority: Option<i64>,
    /// The result of a done task.
    pub result: Option<String>,
    /// The outcome in a few words, with a new result; otherwise the result itself.
    pub summary: Option<String>,
    /// Anything else worth keeping, with a new result.
    pub metadata: Option<Map<String, Value>>,
}

impl Store {
    /// Changes a task's words, its priority, or (of one that is done) its result.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`ErrorKind::Input`] when there is nothing to change or the title is empty.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, Edit, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "frist".into(), ..NewTask::default() })?;
    /// store.edit(&id, &Edit { title: Some("first".into()), ..Edit::default() })?;
    /// assert_eq!(store.show(&id)?.task.title, "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn edit(&mut self, id: &str, edit: &Edit) -> Result {
        self.write(|tx, now| {
            let wrong = |why: &str| {
                let what = format!("edit task {id}: {why}");
                Err(Error::new(ErrorKind::Input, what))
            };
            let has_words = edit.title.is_some() || edit.body.is_some();
            if !has_words && edit.priority.is_none() && edit.result.is_none() {
                return wrong("nothing is to be changed");
            }
            let title = edit.title.as_deref().map(str::trim);
            if title == Some("") {
                return wrong("a title is not empty");
            }
            status(tx, id)?.ok_or_else(|| no_task(id))?;
            let asked = Asked {
                verb: "edit the result of",
                allowed: &["done"],
                run: edit.run,
            };
            asked.is_current(tx, id)?;
            if let Some(priority) = edit.priority {
                tx.execute("UPDATE tasks SET priority = ?2 WHERE id = ?1", (id, priority))?;
                let payload = Payload::new().with("priority", priority);
                event::append(tx, id, "reprioritized", &payload, None, now)?;
            }
            if has_words {
                tx.execute(
                    "UPDATE tasks SET title = COALESCE(?2, title), body = COALESCE(?3, body) WHERE id = ?1",
                    (id, title, &edit.body),
                )?;
                event::append(tx, id, "edited", &Payload::new(), None, now)?;
            }
            if let Some(result) = &edit.result {
                asked.of(tx, id)?;
                set_result(tx, id, edit, result, now)?;
            }
            Ok(())
        })
    }
}

/// On the task, and on the newest attempt that completed it.
fn set_result(tx: &Transaction<'_>, id: &str, edit: &Edit, result: &str, now: i64) -> Result {
    let summary = edit.summary.as_deref().unwrap_or(result);
    tx.execute("UPDATE tasks SET result = ?2 WHERE id = ?1", (id, result))?;
    let run: Option<i64> = tx
        .query_row(
            "SELECT id FROM task_runs WHERE task_id = ?1 AND outcome = 'completed' \
             ORDER BY COALESCE(ended_at, started_at, 0) DESC, id DESC LIMIT 1",
            [id],
            |row| row.get(0),
        )
        .optional()?;
    let metadata = edit.metadata.clone().map(Payload::from_map);
    let run = match run {
        None => {
            let metadata = metadata.clone().unwrap_or_default();
            event::instant_run(tx, id, "completed", Some(summary), &metadata, now)?
        }
        Some(run) => {
            tx.execute(
                "UPDATE task_runs SET summary = ?2 WHERE id = ?1",
                (run, summary),
            )?;
            if let Some(metadata) = &metadata {
                tx.execute(
                    "UPDATE task_runs SET metadata = ?2 WHERE id = ?1",
                    (run, metadata.to_json()),
                )?;
            }
            run
        }
    };
    let mut fields = vec!["result", "summary"];
    fields.extend(metadata.map(|_| "metadata"));
    let payload = Payload::new()
        .with("fields", fields)
        .with("result_len", result.chars().count())
        .with("summary", first_line(summary));
    event::append(tx, id, "edited", &payload, Some(run), now)?;
    Ok(())
}
