//! What there is to say about a key on record: plain data for a log line or a status page.

use std::fmt;
use std::time::Duration;

use crate::admission::Reason;

/// Where a key on record stands, in ages rather than times: nothing in it belongs to a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Held {
    /// Whether it is left alone.
    pub standing: Standing,
    /// The time since the first failure of this incident.
    pub since: Duration,
    /// How many attempts have failed since then, that one included.
    pub attempts: u32,
    /// When the next attempt is allowed if nothing changes; zero for at once, `None` if time alone does not help.
    pub retry_in: Option<Duration>,
    /// Whether a change releases it (after `min_hold`).
    pub on_change: bool,
    /// Whether its own attempts keep changing the stamp, so that it waits for the timer instead of a change.
    pub self_disturbing: bool,
    /// Whether an attempt is going on now.
    pub probing: bool,
}

// ===== impl Held =====

impl Held {
    /// What to say about a failure that was not put on record.
    pub(crate) fn overtaken() -> Self {
        Self {
            standing: Standing::Released,
            since: Duration::ZERO,
            attempts: 1,
            retry_in: Some(Duration::ZERO),
            on_change: false,
            self_disturbing: false,
            probing: false,
        }
    }
}

/// `held after 3 attempts in 95s, next on change or in 40s`
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        let (attempts, since) = (self.attempts, Span(self.since));
        let standing = self.standing;
        write!(
            f,
            "{standing} after {attempts} attempt{plural} in {since}, next "
        )?;
        match (self.on_change, self.retry_in) {
            (_, Some(Duration::ZERO)) => f.write_str("at once"),
            (true, Some(wait)) => write!(f, "on change or in {}", Span(wait)),
            (true, None) => f.write_str("on change"),
            (false, Some(wait)) => write!(f, "in {}", Span(wait)),
            (false, None) => f.write_str("when released"),
        }
    }
}

/// How the quarantine stands to a key on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Standing {
    /// Failed once, unstamped: the next attempt is allowed at once, and takes a stamp first.
    Probation,
    /// Left alone.
    Held,
    /// Released, or about to be: the next attempt is allowed at once.
    Released,
}

// ===== impl Standing =====

impl Standing {
    /// A stable lowercase word.
    ///
    /// ```
    /// # use fingerprint_quarantine::Standing;
    /// assert_eq!(Standing::Held.as_str(), "held");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Held => "held",
            Self::Released => "released",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The incident that a success ended, for the line that says so.
///
/// Its text is `recovered after 2 failed attempts in 95s (changed)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Recovery {
    /// From the first failure to now.
    pub lasted: Duration,
    /// How many attempts failed in between.
    pub attempts: u32,
    /// Why the attempt that succeeded was allowed, which is a hint at what helped.
    pub why: Reason,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(
            f,
            "recovered after {} failed attempt{plural} in {} ({})",
            self.attempts,
            Span(self.lasted),
            self.why
        )
    }
}

/// Whole seconds, or milliseconds below one.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms @ 1..1_000 => write!(f, "{ms}ms"),
            ms => write!(f, "{}s", ms / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Recovery, Span};
    use crate::Reason;
    use std::time::Duration;

    #[test]
    fn times_are_whole_seconds_and_milliseconds_below_one() {
        let text = |us| Span(Duration::from_micros(us)).to_string();
        let texts = [0, 999, 1_000, 999_999, 1_000_000, 95_900_000].map(text);
        assert_eq!(texts, ["0s", "0s", "1ms", "999ms", "1s", "95s"]);
    }

    #[test]
    fn a_failure_that_a_release_overtook_is_one_attempt_and_the_next_is_at_once() {
        let mut held = Held::overtaken();
        let text = "released after 1 attempt in 0s, next at once";
        assert_eq!(held.to_string(), text);
        held.on_change = true;
        assert_eq!(held.to_string(), text, "whatever else it waits for");
    }

    #[test]
    fn a_recovery_says_how_long_it_took_and_why_it_was_tried() {
        let mut end = Recovery {
            lasted: Duration::from_secs(95),
            attempts: 2,
            why: Reason::Changed,
        };
        assert_eq!(
            end.to_string(),
            "recovered after 2 failed attempts in 95s (changed)"
        );
        end.attempts = 1;
        assert_eq!(
            end.to_string(),
            "recovered after 1 failed attempt in 95s (changed)"
        );
    }
}
