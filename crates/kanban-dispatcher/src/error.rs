//! The dispatcher's one error: what was being done, to which board, and why it did not work.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

use error_classify::{Class, Classify, Missing, ObjectKind, Remedy, Verdict};

use crate::board::Drift;
use crate::root::Slug;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why an operation of this crate failed.
///
/// Reads after "failed to": the message names the thing, the cause is in [`source`](StdError::source), the rough kind in
/// [`kind`](Self::kind).
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    what: String,
    board: Option<Slug>,
    source: Option<Source>,
    missing: Option<Missing<'static>>,
}

/// The rough kind of an [`Error`]: enough to choose an exit code or a next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is unusable; the text names key, line and what is allowed.
    Config,
    /// Someone else holds what is needed (a lock, the dispatcher's place); try later.
    Busy,
    /// The named board or task does not exist.
    NotFound,
    /// The request is well formed but the board's state does not allow it.
    Refused,
    /// The board's schema lacks something; the text names it.
    Drift,
    /// The board's file is damaged, and an independent look has confirmed it.
    Damaged,
    /// The board's schema is newer than this program; the text names both versions.
    Newer,
    /// SQLite reported an error on a board.
    Sqlite,
    /// The operating system refused something.
    Io,
    /// A bug in this program; please report it.
    Bug,
    /// The input itself is wrong (a slug, an id, a JSON text).
    Input,
}

// ===== impl Error =====

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            what: what.into(),
            board: None,
            source: None,
            missing: None,
        }))
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, what).because(source)
    }

    /// The schema lacks these.
    pub(crate) fn drift(lacks: &[Drift]) -> Self {
        let mut error = Self::new(ErrorKind::Drift, format!("find {}", Drift::list(lacks)));
        error.0.missing = lacks.first().map(Drift::to_missing);
        error
    }

    /// The file is empty, so it lacks everything; what the file system says of it makes the difference to a drift.
    pub(crate) fn emptied(db: &Path) -> Self {
        let what = format!(
            "use {}: the file is empty: it lost its content, or never had any",
            db.display()
        );
        Self::new(ErrorKind::Drift, what)
    }

    /// The file's schema is of a later version than this program knows.
    pub(crate) fn newer(found: i64, known: i64) -> Self {
        let what = format!(
            "use the board: its schema has version {found} (user_version), and this program knows version {known}; \
             use a newer program"
        );
        Self::new(ErrorKind::Newer, what)
    }

    /// The same error, with more said about it.
    pub(crate) fn note(mut self, note: impl fmt::Display) -> Self {
        self.0.what = format!("{}: {note}", self.0.what);
        self
    }

    pub(crate) fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn on(mut self, board: &Slug) -> Self {
        self.0.board.get_or_insert_with(|| board.clone());
        self
    }

    /// The rough kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The board this happened on, when it was one board's error.
    #[must_use]
    pub fn board(&self) -> Option<&Slug> {
        self.0.board.as_ref()
    }

    /// The message and every cause behind it, joined by `: `; what a log line shows.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let cause_text = cause_text(cause);
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            // Behind the driver's error stands only the name of its code.
            next = cause.source().filter(|_| !cause.is::<rusqlite::Error>());
        }
        text
    }
}

/// What a cause says, without the whole statement that SQLite's driver adds to it.
fn cause_text(cause: &(dyn StdError + 'static)) -> String {
    match cause.downcast_ref::<rusqlite::Error>() {
        Some(rusqlite::Error::SqlInputError { msg, .. }) => msg.clone(),
        _ => cause.to_string(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        match &self.0.board {
            Some(board) => write!(f, " (board \"{board}\")"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::new(ErrorKind::Sqlite, "use the board's database").because(source)
    }
}

impl Classify for Error {
    fn verdict(&self) -> Option<Verdict<'_>> {
        match self.0.kind {
            ErrorKind::Busy => Some(Verdict::new(Class::Busy, Remedy::RetryCall)),
            ErrorKind::Drift => {
                let verdict = Verdict::new(Class::SchemaDrift, Remedy::Repair);
                Some(match &self.0.missing {
                    Some(missing) => verdict.with_missing(missing.clone()),
                    None => verdict,
                })
            }
            ErrorKind::Newer => Some(Verdict::new(Class::Unsupported, Remedy::ExternalFix)),
            // What stands behind it knows better.
            _ => None,
        }
    }
}

impl Drift {
    fn to_missing(&self) -> Missing<'static> {
        match *self {
            Self::Table { table, .. } => Missing::new(ObjectKind::Table, table),
            Self::Column { table, column, .. } | Self::Shape { table, column } => {
                Missing::new(ObjectKind::Column, column).in_table(table)
            }
        }
    }
}
