//! `[breaker]`: when a whole board rests.

use std::time::Duration;

use serde::Deserialize;

use super::value;

/// `[breaker]`: a board whose workers die as soon as they start is left alone for a while.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Breaker {
    /// So many different tasks in a row that die at their start in the same way; 0 is never.
    pub deaths: u32,
    /// A worker that ends within this time, without a word or badly, died at its start; one that lives longer has started.
    #[serde(deserialize_with = "value::seconds_or_zero")]
    pub start_seconds: Duration,
    /// One task is tried again after this time, and after twice the time when that fails.
    #[serde(deserialize_with = "value::interval")]
    pub first_retry_seconds: Duration,
    /// Tries are never further apart than this.
    #[serde(deserialize_with = "value::interval")]
    pub max_retry_seconds: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            // Fewer happen by chance where three tasks of a kind are added at once.
            deaths: 6,
            start_seconds: Duration::from_secs(10),
            first_retry_seconds: Duration::from_secs(60),
            max_retry_seconds: Duration::from_secs(3600),
        }
    }
}
