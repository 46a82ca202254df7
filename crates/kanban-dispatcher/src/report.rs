//! What one tick did: one outcome per board, always.

use std::time::Duration;

use error_classify::{Class, Remedy};
use serde::Serialize;

use crate::root::Slug;
use crate::view::{HeldCounts, HeldReason};

/// Everything one tick did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TickReport {
    /// Why nothing was dispatched at all.
    pub standby: Option<Standby>,
    /// One entry per board that had a turn or is on hold, in the order of discovery.
    pub boards: Vec<BoardReport>,
    /// How many more there are: boards that have not changed since their last turn, with nothing due, were not opened.
    pub quiet: usize,
}

/// Why a dispatcher dispatches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Standby {
    /// The reason in one word.
    pub reason: StandbyReason,
    /// The whole story in one line.
    pub text: String,
}

/// Why a dispatcher stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StandbyReason {
    /// Another dispatcher, ours or a peer's gateway, holds the root.
    AnotherDispatcher,
    /// The root's lock cannot be taken by anybody as it is: mode, a directory in its place, a file system without locks.
    LockUnusable,
    /// The ledger is in use and was never read: it may know workers that must not get a second one.
    LedgerBusy,
    /// The boards cannot be listed.
    BoardsUnlisted,
}

/// What one tick did on one board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BoardReport {
    /// The board.
    pub slug: Slug,
    /// How its turn ended.
    pub outcome: Outcome,
    /// What went wrong, when something did.
    pub failure: Option<BoardFailure>,
    /// What a repair in this tick made, by name.
    pub repaired: Vec<String>,
    /// Tasks whose workers were started.
    pub started: Vec<String>,
    /// Tasks that became ready because their parents are done.
    pub promoted: u32,
    /// Claims that ended and left their tasks ready: expired or lost.
    pub reclaimed: u32,
    /// Attempts that ended badly.
    pub failed: u32,
    /// Tasks that the breaker gave up.
    pub gave_up: u32,
    /// Workers that were asked to stop.
    pub stopped: u32,
    /// Ready tasks that were not started, by reason.
    #[serde(serialize_with = "held_by_reason")]
    pub held: HeldCounts,
    /// Ready tasks after this tick.
    pub ready: u32,
    /// Running tasks after this tick.
    pub running: u32,
    /// Seconds until a held board is looked at again, if nothing changes before.
    #[serde(rename = "next_retry_seconds", serialize_with = "seconds")]
    pub next_retry: Option<Duration>,
}

/// How a board's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The tick ran to its end.
    Ticked,
    /// In quarantine, and nothing changed: not opened.
    Held,
    /// Somebody else is at it, or an earlier turn has not come back; tried again at the next tick.
    Busy,
    /// The board has no database yet, or not any more.
    Absent,
    /// The tick failed; tried again at the next one.
    Failed,
}

/// What went wrong on a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BoardFailure {
    /// What kind of failure.
    #[serde(serialize_with = "as_text")]
    pub class: Class,
    /// What would help.
    #[serde(serialize_with = "as_text")]
    pub remedy: Remedy,
    /// SQLite's extended result code, when it was SQLite that failed.
    pub code: Option<i32>,
    /// The whole story in one line.
    pub reason: String,
    /// What the schema lacks, when that is the failure.
    pub missing: Option<String>,
}

// ===== impl TickReport =====

impl TickReport {
    /// The report of a tick that was not allowed to dispatch.
    pub(crate) fn standby(reason: StandbyReason, text: String) -> Self {
        Self {
            standby: Some(Standby { reason, text }),
            boards: Vec::new(),
            quiet: 0,
        }
    }

    /// One board's part, if it had one.
    ///
    /// ```
    /// use kanban_dispatcher::{Config, Dispatcher, Outcome, Root};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let mut dispatcher = Dispatcher::new(Root::at(dir.path()), Config::default());
    /// let report = dispatcher.tick();
    /// assert_eq!(report.board("default").map(|board| board.outcome), Some(Outcome::Absent));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn board(&self, slug: &str) -> Option<&BoardReport> {
        self.boards.iter().find(|board| board.slug.as_str() == slug)
    }

    /// How many workers were started.
    #[must_use]
    pub fn started(&self) -> usize {
        self.boards.iter().map(|board| board.started.len()).sum()
    }
}

// ===== impl BoardReport =====

impl BoardReport {
    pub(crate) fn new(slug: &Slug, outcome: Outcome) -> Self {
        Self {
            slug: slug.clone(),
            outcome,
            failure: None,
            repaired: Vec::new(),
            started: Vec::new(),
            promoted: 0,
            reclaimed: 0,
            failed: 0,
            gave_up: 0,
            stopped: 0,
            held: HeldCounts::new(),
            ready: 0,
            running: 0,
            next_retry: None,
        }
    }

    /// A second turn in the same tick: what was done adds up, and how it stands is as it stood last.
    pub(crate) fn then(&mut self, later: Self) {
        if later.outcome != Outcome::Ticked && later.failure.is_none() {
            // It had no turn: somebody else is at it.
            return;
        }
        let before = std::mem::replace(self, later);
        self.repaired.splice(0..0, before.repaired);
        self.started.splice(0..0, before.started);
        self.promoted += before.promoted;
        self.reclaimed += before.reclaimed;
        self.failed += before.failed;
        self.gave_up += before.gave_up;
        self.stopped += before.stopped;
    }

    pub(crate) fn hold_back(&mut self, reason: HeldReason, count: usize) {
        if count > 0 {
            *self.held.entry(reason).or_default() += u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
}

// ===== impl StandbyReason =====

impl StandbyReason {
    /// The word in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnotherDispatcher => "another_dispatcher",
            Self::LockUnusable => "lock_unusable",
            Self::LedgerBusy => "ledger_busy",
            Self::BoardsUnlisted => "boards_unlisted",
        }
    }
}

// ===== impl Outcome =====

impl Outcome {
    /// The word in logs and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticked => "ticked",
            Self::Held => "held",
            Self::Busy => "busy",
            Self::Absent => "absent",
            Self::Failed => "failed",
        }
    }
}

// ===== how they are written =====

fn as_text<S: serde::Serializer>(value: &impl ToString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&value.to_string())
}

pub(crate) fn held_by_reason<S: serde::Serializer>(
    held: &HeldCounts,
    s: S,
) -> Result<S::Ok, S::Error> {
    s.collect_map(held.iter().map(|(reason, count)| (reason.as_str(), count)))
}

fn seconds<S: serde::Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    value.map(|duration| duration.as_secs()).serialize(s)
}
