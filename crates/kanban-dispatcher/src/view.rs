//! What one tick knows of a board: plain data, read in one transaction, judged by a pure function.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::past::Past;

/// A task's status, as far as the dispatcher acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Status {
    /// Waits for its parents.
    #[default]
    Todo,
    /// May start.
    Ready,
    /// Claimed; a worker is at it.
    Running,
    /// Waits for a person, or was given up.
    Blocked,
    /// Done by one worker, to be looked over by another.
    Review,
}

impl Status {
    /// The word on the board.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Review => "review",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [
            Self::Todo,
            Self::Ready,
            Self::Running,
            Self::Blocked,
            Self::Review,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One task that a tick may have to do something about. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Task {
    /// The task's id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Who is to do it.
    pub assignee: Option<String>,
    /// Higher starts first.
    pub priority: i64,
    /// Older starts first among equals.
    pub created_at: i64,
    /// The first start ever.
    pub started_at: Option<i64>,
    /// Who claimed it; `None` when unclaimed.
    pub claim_lock: Option<String>,
    /// When the claim runs out.
    pub claim_expires: Option<i64>,
    /// The worker's process id, as recorded.
    pub worker_pid: Option<i64>,
    /// The last sign of life.
    pub last_heartbeat_at: Option<i64>,
    /// Failures in a row.
    pub failures: i64,
    /// The task's own limit for them.
    pub max_retries: Option<i64>,
    /// The longest one attempt may take.
    pub max_runtime: Option<i64>,
    /// The open attempt.
    pub run: Option<i64>,
    /// When that attempt started.
    pub run_started_at: Option<i64>,
    /// How the workspace is to be made (`scratch`, `dir`, `worktree`).
    pub workspace_kind: String,
    /// At least one parent is neither done nor archived.
    pub has_open_parent: bool,
    /// A person or worker blocked it: nothing but an unblock frees it.
    pub is_sticky: bool,
    /// When its newest attempt ended with "try later".
    pub rate_limited_at: Option<i64>,
    /// How many of the newest attempts in a row ended without a word.
    pub violations: i64,
    /// What else earlier attempts and people left behind.
    pub past: Past,
}

/// A row that could not be read; it alone is left out of the tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The task's id, as far as it could be read.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
    /// Its status, as far as it could be read.
    pub status: Option<Status>,
}

/// One board at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Tasks in todo, ready, running, blocked or review. Those that wait for a parent or for whoever blocked them may be missing: nothing is
    /// decided about them.
    pub tasks: Vec<Task>,
    /// Rows that could not be read.
    pub bad_rows: Vec<BadRow>,
}

impl View {
    /// Where each task is, by its id: for whoever asks for more than a few.
    pub(crate) fn places(&self) -> HashMap<&str, usize> {
        self.tasks.iter().map(|task| &*task.id).zip(0..).collect()
    }

    /// The tasks whose workspaces are made by git.
    pub(crate) fn worktrees(&self) -> HashSet<&str> {
        let tasks = self.tasks.iter();
        let worktrees = tasks.filter(|task| task.workspace_kind == "worktree");
        worktrees.map(|task| &*task.id).collect()
    }
}

/// What is known of the process behind a running task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Proven ours and alive; whether it was already asked to stop.
    Alive {
        /// Why it was asked to stop, if it was.
        stopping: Option<StopReason>,
    },
    /// Proven ours and ended.
    Ended {
        /// How.
        end: End,
        /// Why it was asked to stop, if it was.
        stopping: Option<StopReason>,
    },
    /// Not proven ours, on this host: only whether a process with that id exists. Never signalled.
    Unproven {
        /// A process with that id exists.
        alive: bool,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It is gone, and it was not our child, so nobody told us how.
    Unknown,
    /// It is gone by no fault of its own: its dispatcher died before it was let through the gate, or the machine was started anew.
    Interrupted,
}

/// Why a worker is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The attempt took longer than the task's `max_runtime_seconds`.
    TimedOut,
    /// The claim ran out and the worker has given no sign of life for an hour.
    Silent,
    /// The attempt is older than `dispatch_stale_timeout_seconds`, without a sign of life in the last hour.
    Stale,
    /// The claim is no longer ours: somebody reclaimed, archived or completed the task.
    ClaimLost,
}

impl StopReason {
    /// The word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Silent => "silent",
            Self::Stale => "stale",
            Self::ClaimLost => "claim_lost",
        }
    }
}

/// The processes behind the running tasks, by task id.
pub type Processes = HashMap<String, Process>;

/// Why a ready task is not started in this tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HeldReason {
    /// Nobody is to do it.
    Unassigned,
    /// Its assignee has no profile here: a lane that people or other programs serve.
    UnknownAssignee,
    /// Its last attempt said "try later" and the rest is not over.
    Cooldown,
    /// Its last error speaks of permission or quota: trying again at once would not help.
    BlockerAuth,
    /// It was completed within the hour, and nobody has asked for more since.
    RecentSuccess,
    /// A comment of the last day names a pull request: the work is out for review.
    ActivePr,
    /// The board's own limit is reached.
    BoardCap,
    /// The limit of its assignee is reached.
    ProfileCap,
    /// The limit over all boards is reached.
    HostCap,
    /// Its board is paused by an operator.
    Paused,
    /// Its board rests, because its workers died at their start.
    Breaker,
    /// Its board has just come back from a hold, and starts a few first.
    RampUp,
    /// No worker can be started at all: the worker program is missing.
    NoWorker,
    /// The worker of its earlier attempt has not ended yet.
    WorkerEnding,
    /// The row cannot be read.
    BadRow,
}

impl HeldReason {
    /// The word in `status --json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::UnknownAssignee => "unknown_assignee",
            Self::Cooldown => "cooldown",
            Self::BlockerAuth => "blocker_auth",
            Self::RecentSuccess => "recent_success",
            Self::ActivePr => "active_pr",
            Self::BoardCap => "board_cap",
            Self::ProfileCap => "profile_cap",
            Self::HostCap => "host_cap",
            Self::Paused => "paused",
            Self::Breaker => "breaker",
            Self::RampUp => "ramp_up",
            Self::NoWorker => "no_worker",
            Self::WorkerEnding => "worker_ending",
            Self::BadRow => "bad_row",
        }
    }
}

/// How many ready tasks are held, by reason.
pub type HeldCounts = BTreeMap<HeldReason, u32>;
