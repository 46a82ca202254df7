//! What the throttle answers: plain values with a short text form.

use std::fmt;
use std::time::Duration;

use crate::ClassId;

/// Permission to write one line, and the number of lines held back before it.
///
/// The count is handed over with this value: [`Totals`] lists it as reported from now on. Write it. A dropped `Line` is a
/// lost count, the one thing the throttle cannot see.
///
/// Its text is `(+412 in 60s)`, or nothing when nothing was held back, so it can end any message.
#[must_use = "the line's count was taken from the throttle; write it"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Line {
    /// Lines of this key and class held back and not reported before.
    pub suppressed: u64,
    /// The time since this key and class last had a line, when lines were held back since.
    pub since: Option<Duration>,
    /// About how many different keys share this line, when it stands for keys that found the throttle full; else 0.
    pub folded_keys: u32,
}

/// Lines held back that no line has reported, handed out by a sweep or a drain.
///
/// Its text is `+24 in 60s`.
#[must_use = "the count was taken from the throttle; write it"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Pending {
    /// Lines held back and not reported before; never 0.
    pub suppressed: u64,
    /// The time since this key and class last had a line or a summary.
    pub since: Duration,
    /// About how many different keys share this count, when it stands for keys that found the throttle full (the key
    /// beside it is one of them); else 0.
    pub folded_keys: u32,
}

/// The end of an incident: what it was, in one value for one line.
///
/// Its text is `12 failures in 60s, +9 not logged`.
#[must_use = "the count was taken from the throttle; write it"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Recovery {
    /// Lines held back and not reported before.
    pub suppressed: u64,
    /// The time from the first line of the incident, written or held back, until now.
    pub lasted: Duration,
    /// Lines that were permitted during the incident.
    pub lines: u64,
    /// Everything that was checked during the incident, permitted or not.
    pub failures: u64,
    /// The classes that took part, in ascending order.
    pub classes: Vec<ClassId>,
}

/// Sums over the whole life of a throttle.
///
/// Invariant: `observed == permitted + reported + pending` whenever no other thread is inside the throttle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Totals {
    /// Checks, by key and by handle.
    pub observed: u64,
    /// Checks that answered with a [`Line`].
    pub permitted: u64,
    /// Held-back lines whose count was handed out.
    pub reported: u64,
    /// Held-back lines whose count is still here.
    pub pending: u64,
    /// Checks of keys that shared their class's entry because the throttle was full; part of `observed`.
    pub folded: u64,
    /// Entries let go by a sweep or by `forget`.
    pub evicted: u64,
}

// ===== impl Totals =====

impl Totals {
    /// Whether every held-back line is accounted for.
    ///
    /// True whenever no other thread is inside the throttle; a status page may see a short difference under load.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<u64>::new(Duration::from_secs(60));
    /// let line = throttle.check(&7, 0);
    /// assert!(line.is_some() && throttle.totals().is_conserved());
    /// ```
    pub const fn is_conserved(&self) -> bool {
        self.observed == self.permitted + self.reported + self.pending
    }
}

// ===== text =====

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.suppressed == 0 && self.folded_keys < 2 {
            return Ok(());
        }
        write!(f, "(+{}", self.suppressed)?;
        if let Some(since) = self.since {
            write!(f, " in {}", Span(since))?;
        }
        write_folded(f, self.folded_keys)?;
        f.write_str(")")
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} in {}", self.suppressed, Span(self.since))?;
        write_folded(f, self.folded_keys)
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.failures == 1 {
            "failure"
        } else {
            "failures"
        };
        write!(f, "{} {noun} in {}", self.failures, Span(self.lasted))?;
        if self.suppressed > 0 {
            write!(f, ", +{} not logged", self.suppressed)?;
        }
        Ok(())
    }
}

fn write_folded(f: &mut fmt::Formatter<'_>, keys: u32) -> fmt::Result {
    match keys {
        0 | 1 => Ok(()),
        keys => write!(f, ", about {keys} keys"),
    }
}

/// A duration in the one unit a reader wants.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            0..1_000 => write!(f, "{ms}ms"),
            1_000..10_000 if ms % 1_000 != 0 => {
                write!(f, "{}.{}s", ms / 1_000, ms % 1_000 / 100)
            }
            1_000..600_000 => write!(f, "{}s", ms / 1_000),
            600_000..36_000_000 => write!(f, "{}min", ms / 60_000),
            _ => write!(f, "{}h", ms / 3_600_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(suppressed: u64, since: Option<Duration>, folded_keys: u32) -> String {
        Line {
            suppressed,
            since,
            folded_keys,
        }
        .to_string()
    }

    #[test]
    fn a_line_says_nothing_when_nothing_was_held_back() {
        assert_eq!(line(0, None, 0), "");
        assert_eq!(line(0, None, 1), "");
    }

    #[test]
    fn a_line_says_the_count_and_the_time() {
        assert_eq!(line(412, Some(Duration::from_secs(60)), 0), "(+412 in 60s)");
        assert_eq!(
            line(9, Some(Duration::from_secs(60)), 40),
            "(+9 in 60s, about 40 keys)"
        );
    }

    #[test]
    fn two_keys_are_worth_a_word_and_one_is_not() {
        let minute = Some(Duration::from_secs(60));
        assert_eq!(line(412, minute, 1), "(+412 in 60s)");
        assert_eq!(line(0, None, 2), "(+0, about 2 keys)");
        let mut pending = Pending {
            suppressed: 24,
            since: Duration::from_secs(60),
            folded_keys: 1,
        };
        assert_eq!(pending.to_string(), "+24 in 60s");
        pending.folded_keys = 2;
        assert_eq!(pending.to_string(), "+24 in 60s, about 2 keys");
    }

    #[test]
    fn sums_are_conserved_only_if_nothing_is_missing_or_too_much() {
        let mut totals = Totals {
            observed: 7,
            permitted: 1,
            reported: 2,
            pending: 4,
            ..Totals::default()
        };
        assert!(totals.is_conserved());
        for observed in [6, 8] {
            totals.observed = observed;
            assert!(!totals.is_conserved(), "{observed}");
        }
    }

    #[test]
    fn a_span_is_written_in_one_unit() {
        let text = |ms| Span(Duration::from_millis(ms)).to_string();
        assert_eq!(text(7), "7ms");
        assert_eq!(text(1_500), "1.5s");
        assert_eq!(text(3_000), "3s");
        assert_eq!(text(59_999), "59s");
        assert_eq!(text(600_000), "10min");
        assert_eq!(text(36_000_000), "10h");
    }

    #[test]
    fn a_recovery_says_what_was_not_logged() {
        let mut end = Recovery {
            suppressed: 9,
            lasted: Duration::from_secs(60),
            lines: 3,
            failures: 12,
            classes: vec![],
        };
        assert_eq!(end.to_string(), "12 failures in 60s, +9 not logged");
        (end.suppressed, end.failures) = (0, 1);
        assert_eq!(end.to_string(), "1 failure in 60s");
    }
}
