//! The lines that tell of a board: one for each cause in a window, with the number of those held back.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use error_classify::Class;
use keyed_log_throttle::{ClassId, Line, Pending};

use super::reaction::is_held;
use super::{Handles, Resilience};
use crate::advice::advice;
use crate::report::BoardFailure;
use crate::root::{Board, Slug};

/// When a failed board is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Tick,
    Hold { retry_in: Option<Duration> },
}

// ===== impl Resilience =====

impl Resilience {
    /// A board failed.
    pub(crate) fn log_failure(
        &self,
        handles: &mut Handles,
        board: &Board,
        failure: &BoardFailure,
        next: Next,
    ) {
        let line = handles.check(&self.throttle, cause(failure));
        if let Next::Hold { .. } = next {
            handles.rest();
        }
        if let Some(line) = line {
            tell_failure(&line, board, failure, next);
        }
    }

    /// A board failed whose handles are not here.
    pub(crate) fn log_hung(&self, board: &Board, failure: &BoardFailure) {
        if let Some(line) = self.throttle.check(board.slug(), cause(failure)) {
            tell_failure(&line, board, failure, Next::Tick);
        }
    }

    /// A worker could not be started: one line per board and cause in each window.
    pub(crate) fn log_start(&self, slug: &Slug, task: &str, error: &io::Error) {
        let key = (slug.clone(), error.to_string().replace(task, "TASK"));
        let Some(line) = self.starts.check(&key, ClassId::default()) else {
            return;
        };
        let (suppressed, held_back) = (line.suppressed, held_back(&line));
        tracing::warn!(
            board = %slug, %task, %error, suppressed, "worker could not be started{held_back}"
        );
    }

    /// A board rests, because its workers die at their start.
    pub(crate) fn log_rest(&self, slug: &Slug, reason: &str, wait: Duration) {
        let key = (slug.clone(), format!("board rests: {reason}"));
        let Some(line) = self.starts.check(&key, ClassId::default()) else {
            return;
        };
        let (suppressed, held_back) = (line.suppressed, held_back(&line));
        tracing::warn!(
            board = %slug, retry_seconds = wait.as_secs(), suppressed,
            "board rests: {reason}; one task is tried then{held_back}"
        );
    }

    /// Another program endangers a board's content.
    pub(crate) fn log_risk(&self, slug: &Slug, risk: &str) {
        let key = (slug.clone(), risk.to_owned());
        if let Some(line) = self.starts.check(&key, ClassId::default()) {
            let (suppressed, held_back) = (line.suppressed, held_back(&line));
            tracing::warn!(board = %slug, suppressed, "board is at risk: {risk}{held_back}");
        }
    }

    /// A board that was in trouble works: one line if that was told.
    pub(crate) fn log_success(&self, slug: &Slug, was_held: bool) {
        let Some(recovery) = self.throttle.recovered(slug) else {
            if was_held {
                tracing::info!(board = %slug, "board works again");
            }
            return;
        };
        tracing::info!(
            board = %slug, failures = recovery.failures, suppressed = recovery.suppressed,
            lasted_seconds = recovery.lasted.as_secs(), "board works again: {recovery}"
        );
    }
}

/// " (+12 in 60s)", or nothing.
fn held_back(line: &Line) -> String {
    match line.to_string() {
        none if none.is_empty() => none,
        some => format!(" {some}"),
    }
}

fn tell_failure(line: &Line, board: &Board, failure: &BoardFailure, next: Next) {
    let (class, code) = (failure.class.as_str(), failure.code);
    let db = board.db().display();
    let BoardFailure {
        reason, missing, ..
    } = failure;
    let missing = missing.as_deref();
    let (suppressed, held_back) = (line.suppressed, held_back(line));
    match next {
        Next::Hold { retry_in } => {
            let retry_seconds = retry_in.map(|wait| wait.as_secs());
            let (slug, advice) = (board.slug(), advice(failure));
            tracing::error!(
                board = %slug, class, code, missing, %db, retry_seconds, suppressed,
                "board held: {reason}; it is left alone until its file changes: {advice}; \
                 `kanban release {slug}` if the cause was elsewhere{held_back}"
            );
        }
        Next::Tick => {
            tracing::warn!(
                board = %board.slug(), class, code, missing, %db, suppressed,
                "board failed: {reason}; the next tick tries again{held_back}"
            );
        }
    }
}

/// How many bits of a cause are its class.
const CLASS_BITS: u32 = 6;
const _: () = assert!(Class::ALL.len() <= 1 << CLASS_BITS);

/// What failures are the same in the log: class, SQLite's code, and what is missing. Never the text, which may hold a path, a pid, a
/// number that is new each time.
fn cause(failure: &BoardFailure) -> ClassId {
    let mut hasher = DefaultHasher::new();
    (failure.code, &failure.missing).hash(&mut hasher);
    let detail = (hasher.finish() as u16) << CLASS_BITS;
    ClassId::new(detail | failure.class.index())
}

fn class_of(cause: ClassId) -> Class {
    let index = usize::from(cause.get()) % (1 << CLASS_BITS);
    Class::ALL.get(index).copied().unwrap_or(Class::Unknown)
}

pub(super) fn log_pending(slug: &Slug, class: ClassId, pending: Pending) {
    let class = class_of(class);
    let suppressed = pending.suppressed;
    if is_held(class) {
        tracing::error!(board = %slug, class = class.as_str(), suppressed, "more of the same: {pending}");
    } else {
        tracing::warn!(board = %slug, class = class.as_str(), suppressed, "more of the same: {pending}");
    }
}

pub(super) fn log_pending_start((slug, error): &(Slug, String), _: ClassId, pending: Pending) {
    let suppressed = pending.suppressed;
    tracing::warn!(board = %slug, error, suppressed, "more of the same: {pending}");
}
