//! Times as ISO 8601 text, which older programs wrote where a number belongs.

/// Unix seconds of `2026-05-10`, `2026-05-10T15:00:00Z`, `2026-05-10 15:00:00.123+02:00` and the like; without a zone it is UTC.
pub(super) fn unix_seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let date = text.get(..10)?;
    let [year, month, day] = numbers::<3>(date, '-', &[4, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(days * 86_400);
    }
    let (time, offset) = zone(rest.strip_prefix(['T', 't', ' '])?)?;
    Some(days * 86_400 + seconds_of_day(time)? - offset)
}

fn seconds_of_day(time: &str) -> Option<i64> {
    let (whole, fraction) = time.split_once(['.', ',']).unwrap_or((time, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let [hours, minutes, seconds] = match whole.len() {
        5 => {
            let [hours, minutes] = numbers::<2>(whole, ':', &[2, 2])?;
            [hours, minutes, 0]
        }
        _ => numbers::<3>(whole, ':', &[2, 2, 2])?,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// The time of day, and the seconds by which its zone is ahead.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, 0));
    };
    let (time, offset) = text.split_at(at);
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    let [hours, minutes] = match digits.len() {
        2 => [number(&digits)?, 0],
        4 => [number(&digits[..2])?, number(&digits[2..])?],
        _ => return None,
    };
    let seconds = hours * 3600 + minutes * 60;
    Some((
        time,
        if offset.starts_with('-') {
            -seconds
        } else {
            seconds
        },
    ))
}

/// Exactly so many numbers of exactly so many digits.
fn numbers<const N: usize>(text: &str, separator: char, digits: &[usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (slot, digits) in found.iter_mut().zip(digits) {
        *slot = number(parts.next().filter(|part| part.len() == *digits)?)?;
    }
    parts.next().is_none().then_some(found)
}

fn number(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 to the first of a month, in the Gregorian calendar.
fn days_before(year: i64, month: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>()
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_their_zone_and_nothing_else_is() {
        for (text, seconds) in [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1969-12-31 23:59:59", Some(-1)),
            ("2000-02-29T12:00", Some(951_825_600)),
            ("2026-05-10T15:00:00Z", Some(1_778_425_200)),
            ("2026-05-10T15:00:00.987654+00:00", Some(1_778_425_200)),
            (" 2026-05-10T17:00:00+02:00 ", Some(1_778_425_200)),
            ("2026-05-10T10:30:00-0430", Some(1_778_425_200)),
            ("2026-05-10T16:00:00+01", Some(1_778_425_200)),
            ("1900-02-29", None),
            ("2026-13-01", None),
            ("2026-05-32", None),
            ("2026-5-10", None),
            ("2026-05-10T24:00:00Z", None),
            ("2026-05-10T15:00:00+1", None),
            ("2026-05-10T15:00:00.x", None),
            ("2026-05-10Tnoon", None),
            ("soon", None),
            ("2026-05-1é", None),
            ("", None),
        ] {
            assert_eq!(unix_seconds(text), seconds, "{text}");
        }
    }
}
