//! Times as people read them: how long ago, in one unit.

use jiff::fmt::friendly::SpanPrinter;
use jiff::{Span, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What stands where there is nothing to say.
pub(crate) const NOTHING: &str = "-";

/// `then` as seen from `now`, both unix seconds: `5s ago`, `3h ago`, `in 2m`.
pub(crate) fn relative(then: i64, now: i64) -> String {
    match then.saturating_sub(now) {
        0 => "now".to_owned(),
        ahead @ 1.. => format!("in {}", short(ahead)),
        behind => format!("{} ago", short(behind.saturating_neg())),
    }
}

/// As [`relative`], with a dash for a time that is not known.
pub(crate) fn relative_or_nothing(then: Option<i64>, now: i64) -> String {
    then.map_or_else(|| NOTHING.to_owned(), |then| relative(then, now))
}

/// `then` in full, and how long ago that is.
pub(crate) fn full(then: i64, now: i64) -> String {
    let age = relative(then, now);
    Timestamp::from_second(then).map_or_else(|_| age.clone(), |then| format!("{then} ({age})"))
}

/// A length in the one unit that says it best; two of a unit before the next one is used.
pub(crate) fn short(seconds: i64) -> String {
    let span = if seconds < 2 * MINUTE {
        Span::new().try_seconds(seconds)
    } else if seconds < 2 * HOUR {
        Span::new().try_minutes(seconds / MINUTE)
    } else if seconds < 2 * DAY {
        Span::new().try_hours(seconds / HOUR)
    } else {
        Span::new().try_days(seconds / DAY)
    };
    span.map_or_else(
        |_| format!("{seconds}s"),
        |span| SpanPrinter::new().span_to_string(&span),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let now = 1_000_000;
        for (then, text) in [
            (now, "now"),
            (now - 5, "5s ago"),
            (now - 119, "119s ago"),
            (now - 120, "2m ago"),
            (now - 7_200, "2h ago"),
            (now - 172_800, "2d ago"),
            (now + 90, "in 90s"),
        ] {
            assert_eq!(relative(then, now), text);
        }
        assert_eq!(relative_or_nothing(None, now), NOTHING);
    }

    #[test]
    fn no_time_is_too_odd() {
        for odd in [i64::MIN, i64::MAX] {
            assert!(!relative(odd, 0).is_empty());
            assert!(!full(odd, 0).is_empty());
        }
        assert_eq!(full(0, 60), "1970-01-01T00:00:00Z (60s ago)");
    }
}
