//! Saying that a task is done.

use rusqlite::Transaction;
use serde_json::{Map, Value};

use super::super::event::{self, Payload, RunEnd};
use super::super::store::Store;
use super::artifacts::Kept;
use super::{Asked, Result, first_line, promote, scratch, status};

/// How a task was done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Complete {
    /// The attempt that reports it; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// The outcome in a few words.
    pub summary: Option<String>,
    /// The result itself.
    pub result: Option<String>,
    /// Anything else worth keeping.
    pub metadata: Map<String, Value>,
}

impl Store {
    /// running, ready or blocked -> done; children whose parents have all ended become ready. Then its scratch directory is
    /// removed, and those of its parents that waited for it: each only inside the board's own directory for them, and only
    /// when no open task needs it. Files in it that `metadata` lists as `artifacts`, or that the words name, are kept as the
    /// task's attachments; if one cannot be, the task is not done.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound); [`ErrorKind::Refused`](crate::ErrorKind::Refused) for another
    /// status, or when `run` is not the current attempt; nothing has changed then.
    /// [`ErrorKind::Sqlite`](crate::ErrorKind::Sqlite).
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, Complete, ErrorKind, NewTask, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let id = store.create(&NewTask { title: "first".into(), ..NewTask::default() })?;
    /// let stale = Complete { run: Some(7), ..Complete::default() };
    /// assert_eq!(store.complete(&id, &stale).unwrap_err().kind(), ErrorKind::Refused);
    /// store.complete(&id, &Complete::default())?;
    /// assert_eq!(store.show(&id)?.task.status, "done");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn complete(&mut self, id: &str, done: &Complete) -> Result {
        let summary = done.summary.as_deref().or(done.result.as_deref());
        // Files first: the transaction waits for nobody's disk. What it refuses is removed again.
        let kept = Kept::of(self, id, done)?;
        let unneeded = self.write(|tx, now| {
            let asked = Asked {
                verb: "complete",
                allowed: &["running", "ready", "blocked"],
                run: done.run,
            };
            asked.of(tx, id)?;
            tx.execute(
                "UPDATE tasks SET status = 'done', result = ?2, completed_at = ?3, claim_lock = NULL, \
                 claim_expires = NULL, worker_pid = NULL, block_kind = NULL, block_recurrences = 0, \
                 consecutive_failures = 0, last_failure_error = NULL WHERE id = ?1",
                (id, &done.result, now),
            )?;
            kept.record(tx, id, now)?;
            let metadata = Payload::from_map(kept.metadata.clone());
            let has_words =
                summary.is_some_and(|text| !text.is_empty()) || !kept.metadata.is_empty();
            let end = RunEnd {
                status: "done",
                outcome: "completed",
                summary,
                error: None,
                metadata: metadata.clone(),
            };
            let run = match event::end_run(tx, id, &end, now)? {
                None if has_words => Some(event::instant_run(
                    tx,
                    id,
                    "completed",
                    summary,
                    &metadata,
                    now,
                )?),
                run => run,
            };
            let result_len = done
                .result
                .as_deref()
                .map_or(0, |text| text.chars().count());
            let payload = Payload::new()
                .with("result_len", result_len)
                .with("summary", summary.and_then(first_line))
                .with_some("artifacts", kept.artifacts());
            event::append(tx, id, "completed", &payload, run, now)?;
            let phantoms = phantoms(tx, done)?;
            if !phantoms.is_empty() {
                let payload = Payload::new()
                    .with("phantom_refs", phantoms)
                    .with("source", "completion_summary");
                event::append(tx, id, "suspected_hallucinated_references", &payload, run, now)?;
            }
            promote(tx, now)?;
            scratch::unneeded(tx, id)
        })?;
        kept.stay();
        scratch::remove(self.board(), &unneeded);
        Ok(())
    }
}

/// The ids that a completion's words name and that no task has, each once.
fn phantoms(tx: &Transaction<'_>, done: &Complete) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for text in [&done.summary, &done.result].into_iter().flatten() {
        for id in ids(text) {
            if !found.iter().any(|known| known == id) && status(tx, id)?.is_none() {
                found.push(id.to_owned());
            }
        }
    }
    Ok(found)
}

/// Every word of a text that looks like a task's id.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    const DIGITS_MIN: usize = 8;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        word.strip_prefix("t_").is_some_and(|digits| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            digits.len() >= DIGITS_MIN && digits.bytes().all(is_digit)
        })
    })
}
