//! `[check]` and `[evidence]`: how damage is found that plain work does not meet, and what is kept of it.

use std::time::Duration;

use serde::Deserialize;

use super::value;

/// `[check]`: healthy boards are looked through now and then, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Check {
    /// Seconds between two looks at one board; 0 is never.
    #[serde(deserialize_with = "value::seconds_or_zero")]
    pub interval_seconds: Duration,
    /// Seconds after which a look is cut; nothing is known then.
    #[serde(deserialize_with = "value::interval")]
    pub deadline_seconds: Duration,
}

/// `[evidence]`: copies of damaged files, beside them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Evidence {
    /// The most copies of one board; none when 0, and then no index is rebuilt either.
    pub copies_max: usize,
    /// The most bytes of all copies of one board.
    pub bytes_max: u64,
    /// Bytes that a copy must leave free on its disk.
    pub free_bytes_min: u64,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            interval_seconds: Duration::from_secs(3600),
            deadline_seconds: Duration::from_secs(10),
        }
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            copies_max: 4,
            bytes_max: 1 << 30,
            free_bytes_min: 64 << 20,
        }
    }
}
