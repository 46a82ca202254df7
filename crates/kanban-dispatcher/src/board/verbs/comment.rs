//! Saying something about a task.

use rusqlite::Transaction;

use super::super::event::{self, Payload};
use super::super::query::no_task;
use super::super::store::Store;
use super::{Result, status};
use crate::error::{Error, ErrorKind};

impl Store {
    /// Writes a comment below a task, whatever its status. The comment's number.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty text or author; [`ErrorKind::NotFound`]; [`ErrorKind::Sqlite`].
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "first".into(), ..NewTask::default() })?;
    /// store.comment(&id, "ann", "the numbers are in the annex")?;
    /// assert_eq!(store.show(&id)?.comments[0].author, "ann");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn comment(&mut self, id: &str, author: &str, text: &str) -> Result<i64> {
        self.write(|tx, now| comment(tx, id, author, text, now))
    }
}

/// The same as a part of another verb.
pub(super) fn comment(
    tx: &Transaction<'_>,
    id: &str,
    author: &str,
    text: &str,
    now: i64,
) -> Result<i64> {
    let (author, text) = (author.trim(), text.trim());
    if author.is_empty() || text.is_empty() {
        let what = format!("comment on task {id}: a comment has an author and a text");
        return Err(Error::new(ErrorKind::Input, what));
    }
    status(tx, id)?.ok_or_else(|| no_task(id))?;
    let number = note(tx, id, author, text, now)?;
    let payload = Payload::new()
        .with("author", author)
        .with("len", text.chars().count());
    event::append(tx, id, "commented", &payload, None, now)?;
    Ok(number)
}

/// A comment without an event: it tells of a change that has an event of its own.
pub(super) fn note(
    tx: &Transaction<'_>,
    id: &str,
    author: &str,
    text: &str,
    now: i64,
) -> Result<i64> {
    tx.execute(
        "INSERT INTO task_comments (task_id, author, body, created_at) VALUES (?1, ?2, ?3, ?4)",
        (id, author, text, now),
    )?;
    Ok(tx.last_insert_rowid())
}
