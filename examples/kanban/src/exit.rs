//! How the program ends: one table of exit codes, and one voice for what went wrong.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use kanban_dispatcher::{Error, ErrorKind};

use crate::output::say;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Done.
    Done = 0,
    /// Failed, and the message says why.
    Failed = 1,
    /// Asked for the wrong way.
    Usage = 2,
    /// `status`: the dispatcher does not run, or its last tick is too old.
    NotRunning = 3,
    /// A board does not work.
    Degraded = 4,
    /// Somebody else has what is needed; try later (`EX_TEMPFAIL`).
    Busy = 75,
    /// The settings cannot be used (`EX_CONFIG`).
    Config = 78,
}

/// Why a verb did not do what it was asked for. Reads after "failed to".
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library's error.
    Library(Error),
    /// Something this program found wrong itself.
    Own {
        code: Code,
        what: String,
        hint: &'static str,
    },
    /// Nobody reads our output any more, which is no failure: `kanban list | head`.
    Closed,
}

// ===== impl Code =====

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

// ===== impl Failure =====

impl Failure {
    pub(crate) fn new(code: Code, what: impl Into<String>, hint: &'static str) -> Self {
        Self::Own {
            code,
            what: what.into(),
            hint,
        }
    }

    /// The operating system refused something.
    pub(crate) fn io(what: impl Display, error: &io::Error) -> Self {
        Self::new(Code::Failed, format!("{what}: {error}"), "")
    }

    /// Writing to standard output failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::io("write to standard output", error),
        }
    }
}

impl Failure {
    /// What was not done; reads after "failed to".
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Library(error) => error.chain(),
            Self::Own { what, .. } => what.clone(),
            Self::Closed => "write to standard output: nobody reads it".to_owned(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

/// Tells what went wrong, if anything did, and ends with the code for it.
pub(crate) fn end(result: Result<Code, Failure>) -> ExitCode {
    result.unwrap_or_else(tell).into()
}

/// Tells what went wrong. The code for it.
pub(crate) fn tell(failure: Failure) -> Code {
    let (code, what, hint) = match failure {
        Failure::Closed => return Code::Done,
        Failure::Own { code, what, hint } => (code, what, hint),
        Failure::Library(error) => {
            let (code, hint) = judge(&error);
            (code, error.chain(), hint)
        }
    };
    say(&format!("kanban: failed to {}", what.trim_end()));
    if !hint.is_empty() {
        say(&format!("  {hint}"));
    }
    code
}

/// The exit code for an error, and how to look closer.
fn judge(error: &Error) -> (Code, &'static str) {
    match error.kind() {
        ErrorKind::Config => (Code::Config, "the file is TOML; every key may be left out"),
        ErrorKind::Busy => (
            Code::Busy,
            "try again; `kanban status` shows who dispatches here",
        ),
        ErrorKind::Input => (Code::Usage, "`kanban help` shows what is allowed"),
        ErrorKind::NotFound => (Code::Failed, "`kanban boards` shows which boards there are"),
        ErrorKind::Refused => (Code::Failed, "`kanban show ID` shows how the task stands"),
        ErrorKind::Sqlite if is_busy(error) => (
            Code::Busy,
            "another program is writing to this board; try again",
        ),
        ErrorKind::Sqlite | ErrorKind::Drift => (
            Code::Failed,
            "`kanban status` shows what the dispatcher makes of this board",
        ),
        _ => (Code::Failed, ""),
    }
}

fn is_busy(error: &Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};

    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(cause) = next {
        let code = cause
            .downcast_ref()
            .and_then(rusqlite::Error::sqlite_error_code);
        if matches!(code, Some(DatabaseBusy | DatabaseLocked)) {
            return true;
        }
        next = cause.source();
    }
    false
}
