//! Saying what a task in triage is about, so that it can start.

use rusqlite::Transaction;

use super::super::event::{self, Payload};
use super::super::store::Store;
use super::super::value;
use super::comment::note;
use super::create::normalised;
use super::{Asked, Result, promote, status};
use crate::error::{Error, ErrorKind};

/// What is now known about a task; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specify {
    /// The attempt that speaks; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// What it is called; not empty.
    pub title: Option<String>,
    /// What is to be done.
    pub body: Option<String>,
    /// Who is to do it: a profile's name, stored in lower case.
    pub assignee: Option<String>,
    /// Who says so: with it a comment tells what is new, if anything is.
    pub author: Option<String>,
}

impl Store {
    /// triage -> todo with the words that are given, and on to ready if it waits for nothing. The status then.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), and [`ErrorKind::Input`] for an empty title.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Specify, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "report?".into(), triage: true, ..NewTask::default() })?;
    /// let words = Specify { title: Some("write the report".into()), ..Specify::default() };
    /// assert_eq!(store.specify(&id, &words)?, "ready");
    /// assert_eq!(store.show(&id)?.task.title, "write the report");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn specify(&mut self, id: &str, words: &Specify) -> Result<String> {
        self.write(|tx, now| {
            let asked = Asked {
                verb: "specify",
                allowed: &["triage"],
                run: words.run,
            };
            asked.of(tx, id)?;
            let changed = words.store(tx, id)?;
            tx.execute("UPDATE tasks SET status = 'todo' WHERE id = ?1", [id])?;
            let author = words.author.as_deref().map(str::trim).unwrap_or_default();
            if !changed.is_empty() && !author.is_empty() {
                // The event says the same to programs, so there is none of a comment.
                let text = format!("Specified: new are its {}.", changed.join(", "));
                note(tx, id, author, &text, now)?;
            }
            let payload = Payload::new()
                .with_some("changed_fields", (!changed.is_empty()).then_some(changed));
            event::append(tx, id, "specified", &payload, None, now)?;
            promote(tx, now)?;
            Ok(status(tx, id)?.unwrap_or_default())
        })
    }
}

impl Specify {
    /// Stores what differs from what is there. The names of those columns.
    fn store(&self, tx: &Transaction<'_>, id: &str) -> Result<Vec<&'static str>> {
        let title = self.title.as_deref().map(str::trim);
        if title == Some("") {
            let what = format!("specify task {id}: its title is empty");
            return Err(Error::new(ErrorKind::Input, what));
        }
        let [old_title, old_body, old_assignee] = tx.query_row(
            "SELECT title, body, assignee FROM tasks WHERE id = ?1",
            [id],
            |row| {
                let text = |column| value::exact(row, column);
                Ok([text(0)?, text(1)?, text(2)?])
            },
        )?;
        let assignee = normalised(self.assignee.as_deref());
        let mut changed = Vec::new();
        for (column, new, old) in [
            ("title", title, old_title),
            ("body", self.body.as_deref(), old_body),
            ("assignee", assignee.as_deref(), old_assignee),
        ] {
            if new.is_some_and(|new| new != old.as_deref().unwrap_or_default()) {
                let sql = format!("UPDATE tasks SET {column} = ?2 WHERE id = ?1");
                tx.execute(&sql, (id, new))?;
                changed.push(column);
            }
        }
        Ok(changed)
    }
}
