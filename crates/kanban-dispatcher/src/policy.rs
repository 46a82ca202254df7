//! The settings that the pure decision depends on.

use std::collections::HashSet;

/// Everything that is a setting rather than a fact: what the pure decision depends on beside the view. Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The lock text for new claims.
    pub lock: String,
    /// Locks that start with this are this dispatcher's on this host, whatever process wrote them.
    pub our_prefix: String,
    /// Locks that start with this are the peer's on this host.
    pub peer_prefix: String,
    /// How long a claim is valid.
    pub claim_ttl: i64,
    /// A claim with less than this left is renewed.
    pub renew_before: i64,
    /// The breaker's limit for tasks without their own.
    pub failure_limit: i64,
    /// No crash is seen this soon after a task's first start, for workers that are not ours.
    pub crash_grace: i64,
    /// How long a task rests after "try later".
    pub cooldown: i64,
    /// How long a task rests after an error about permission or quota; twice as long after each further failure.
    pub auth_backoff: i64,
    /// An attempt older than this without a sign of life in the last hour is stale; 0 is never.
    pub stale_after: i64,
    /// A task that the breaker gave up is tried once more after this; later and later if that fails. 0 is never.
    pub probe_after: i64,
    /// Attempts in a row that the machine may end before the task is given up all the same.
    pub infrastructure_limit: i64,
    /// The most running tasks on this board; `None` is no limit.
    pub board_cap: Option<u32>,
    /// The most running tasks of one assignee on this board; `None` is no limit.
    pub profile_cap: Option<u32>,
    /// Who gets tasks that nobody has, if a worker can be started for them.
    pub default_assignee: Option<String>,
    /// Assignees for which a worker can be started.
    pub spawnable: HashSet<String>,
    /// The dispatcher was told to stop: ends of workers may be part of the same shutdown.
    pub is_stopping: bool,
}

/// The peer's defaults where it has the same setting, and nobody who can be started.
impl Default for Policy {
    fn default() -> Self {
        Self {
            lock: String::new(),
            our_prefix: String::new(),
            peer_prefix: String::new(),
            claim_ttl: 900,
            renew_before: 300,
            failure_limit: 2,
            crash_grace: 30,
            cooldown: 300,
            auth_backoff: 300,
            stale_after: 14_400,
            probe_after: 0,
            infrastructure_limit: 5,
            board_cap: None,
            profile_cap: None,
            default_assignee: None,
            spawnable: HashSet::new(),
            is_stopping: false,
        }
    }
}
