//! What a task's past says about whether it should start now.

/// What earlier attempts and people left behind. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// The task's last error; only of a ready task.
    pub error: Option<String>,
    /// When its newest attempt ended.
    pub ended_at: Option<i64>,
    /// When it was completed, if nobody asked for more since.
    pub succeeded_at: Option<i64>,
    /// The newest comment that names a pull request.
    pub pull_request_at: Option<i64>,
    /// The reason for holding it that its history tells already, if nothing was tried since.
    pub told: Option<String>,
    /// When the breaker gave it up last, if it did since anybody unblocked or completed it.
    pub gave_up_at: Option<i64>,
    /// How often it did.
    pub give_ups: i64,
    /// How many of the newest attempts in a row the machine ended.
    pub infrastructure: i64,
}
