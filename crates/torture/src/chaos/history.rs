//! What a run left behind, as plain data: boards, workers' diaries, what writers were told, what the nemesis did. The checker sees
//! nothing else.

use std::collections::HashSet;

pub(super) use super::diary::Diary;

/// Nanoseconds of the monotonic clock, which all processes share.
pub(super) type At = u64;

/// Everything that a run left behind.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) boards: Vec<Board>,
    pub(super) workers: Vec<Diary>,
    pub(super) acks: Vec<Ack>,
    pub(super) faults: Vec<Fault>,
    /// Sentinels that did not live to the end.
    pub(super) innocents: Vec<String>,
    /// Directories that somebody made at the path of a removed board.
    pub(super) resurrected: Vec<String>,
    /// Deaths of the dispatcher that nobody ordered.
    pub(super) deaths: Vec<String>,
}

/// A board as it is in the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    pub(super) slug: String,
    /// What `PRAGMA integrity_check` says.
    pub(super) integrity: String,
    pub(super) tasks: Vec<Task>,
    pub(super) runs: Vec<Run>,
    pub(super) events: Vec<Event>,
    /// Task and text of each comment.
    pub(super) comments: HashSet<(String, String)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) priority: i64,
    pub(super) max_runtime: Option<i64>,
    /// Whether a parent is not done.
    pub(super) waits: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    pub(super) id: i64,
    pub(super) task: String,
    pub(super) outcome: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Event {
    pub(super) task: String,
    pub(super) run: Option<i64>,
    pub(super) kind: String,
    pub(super) payload: serde_json::Value,
    pub(super) created_at: i64,
}

/// What a writer was told to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) board: String,
    pub(super) task: String,
    pub(super) what: What,
    /// The words that went with it; no two acknowledgements have the same.
    pub(super) token: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Created,
    Commented,
    Completed,
    Blocked,
    Unblocked,
    Reclaimed,
    /// A completion in the name of an attempt that was over.
    Stale,
}

/// What the nemesis did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: &'static str,
    /// The board it was about; `None` for all.
    pub(super) board: Option<String>,
    pub(super) from: At,
    /// When it was undone, or had happened.
    pub(super) until: At,
    /// The process that got SIGKILL: its pid and start time.
    pub(super) killed: Option<(i64, u64)>,
}

// ===== impl History =====

impl History {
    pub(super) fn board(&self, slug: &str) -> Option<&Board> {
        self.boards.iter().find(|board| board.slug == slug)
    }
}

impl Board {
    pub(super) fn run(&self, id: i64) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }

    pub(super) fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

impl Event {
    /// A text of its payload.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.payload.get(key)?.as_str()
    }
}
