//! What a tick does to a board, as data: decided by a pure function, written by `board::apply`.

use crate::view::{End, Status};

/// One guarded change of one task. It applies only while the task is still as the decision saw it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Transition {
    /// Our live worker's claim is moved on; no event.
    Renew {
        /// Task id.
        task: String,
        /// The claim.
        lock: String,
        /// New expiry.
        expires: i64,
    },
    /// The expired claim of a live process that is not proven ours is moved on.
    Extend {
        /// Task id.
        task: String,
        /// The claim.
        lock: String,
        /// Its process.
        pid: i64,
        /// Old expiry.
        expires_was: i64,
        /// New expiry.
        expires: i64,
        /// The last sign of life.
        last_heartbeat_at: Option<i64>,
    },
    /// The claim ends and the task is ready again; no failure is counted.
    Reclaim(Reclaim),
    /// An attempt ended badly.
    Fail(Failure),
    /// Every parent is done: the task may start.
    Promote {
        /// Task id.
        task: String,
        /// Where it was.
        from: Status,
    },
    /// A task that was given up is tried once more.
    Probe {
        /// Task id.
        task: String,
        /// How often it was given up.
        give_ups: i64,
    },
    /// A ready task has an open parent after all.
    Demote {
        /// Task id.
        task: String,
    },
    /// A ready task that was nobody's is somebody's.
    Assign {
        /// Task id.
        task: String,
        /// Whose.
        assignee: String,
    },
    /// The reason why a ready task is not tried again yet, for its history.
    Guard {
        /// Task id.
        task: String,
        /// Why.
        reason: &'static str,
    },
    /// A ready task whose row cannot be read is blocked.
    SetAside {
        /// Task id.
        task: String,
        /// What is wrong with the row.
        reason: String,
    },
    /// The attempt is old and gives no sign of life; no failure is counted.
    Stale(Stale),
}

/// See [`Transition::Reclaim`].
#[derive(Debug, Clone, PartialEq)]
pub struct Reclaim {
    /// Task id.
    pub task: String,
    /// The claim that ends.
    pub lock: String,
    /// Its process, as recorded.
    pub pid: Option<i64>,
    /// When it ran or would have run out.
    pub expires: Option<i64>,
    /// The last sign of life.
    pub last_heartbeat_at: Option<i64>,
    /// The claim was made on this host.
    pub host_local: bool,
    /// The last sign of life is too old.
    pub heartbeat_stale: bool,
    /// We asked the process to end.
    pub attempted: bool,
    /// The process is gone.
    pub terminated: bool,
}

/// See [`Transition::Stale`].
#[derive(Debug, Clone, PartialEq)]
pub struct Stale {
    /// The claim that ends.
    pub claim: Reclaim,
    /// How long the attempt ran, seconds.
    pub elapsed: i64,
    /// How old the last sign of life is, seconds.
    pub heartbeat_age: Option<i64>,
    /// How old an attempt may be without one, seconds.
    pub timeout: i64,
}

/// See [`Transition::Fail`].
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Task id.
    pub task: String,
    /// The claim that ends.
    pub lock: String,
    /// The process.
    pub pid: Option<i64>,
    /// What happened.
    pub cause: Cause,
    /// What is stored as the task's last error.
    pub error: String,
    /// What the breaker makes of it.
    pub verdict: Verdict,
}

/// What ended an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The process ended by itself, with a code other than 0 and 75, by a signal, or unseen.
    Crashed(End),
    /// The machine ended the process (SIGKILL, not by us: memory ran out, as a rule).
    Infrastructure(End),
    /// The process exited 0 without completing or blocking the task.
    Silent,
    /// The process exited 75: try later.
    RateLimited,
    /// It ran longer than allowed, and we ended it.
    TimedOut {
        /// How long it ran, seconds.
        elapsed: i64,
        /// How long it was allowed, seconds.
        limit: i64,
        /// It took SIGKILL.
        sigkill: bool,
    },
    /// It could not be started.
    SpawnFailed,
}

/// What the breaker makes of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not a failure of the task; its counter stays.
    Uncounted,
    /// Counted; the task may be tried again.
    Counted {
        /// Failures in a row now.
        failures: i64,
    },
    /// The limit is reached: the task is blocked.
    Tripped {
        /// Failures in a row now.
        failures: i64,
        /// What is stored: never below what a peer compares with, or its next look would free the task.
        stored: i64,
        /// The limit.
        limit: i64,
        /// Whose limit: `task` or `dispatcher`.
        limit_source: &'static str,
        /// Attempts in a row that ended without a word, and their limit, when that is what tripped it.
        violations: Option<(i64, i64)>,
    },
}

/// A task that is to be claimed and started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Task id.
    pub task: String,
    /// The column it is taken from: ready or review.
    pub from: Status,
    /// The lock text.
    pub lock: String,
    /// When it runs out.
    pub expires: i64,
}

impl Transition {
    /// The task it changes.
    #[must_use]
    pub fn task(&self) -> &str {
        match self {
            Self::Renew { task, .. }
            | Self::Extend { task, .. }
            | Self::Promote { task, .. }
            | Self::Probe { task, .. }
            | Self::Demote { task }
            | Self::Assign { task, .. }
            | Self::Guard { task, .. }
            | Self::SetAside { task, .. } => task,
            Self::Reclaim(reclaim) => &reclaim.task,
            Self::Stale(stale) => &stale.claim.task,
            Self::Fail(failure) => &failure.task,
        }
    }
}
