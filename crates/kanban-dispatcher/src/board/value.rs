//! Values as they are, whatever their columns say: SQLite keeps any type in any column, and boards have had many writers.
//!
//! No reader here fails on a value it cannot use. One odd row costs the others nothing.

use rusqlite::types::ValueRef;
use rusqlite::{Result, Row, RowIndex};

use super::iso;

/// Text, as it is meant: numbers as their digits; a blob is no text.
pub(super) fn text(row: &Row<'_>, column: impl RowIndex) -> Result<Option<String>> {
    Ok(text_of(row.get_ref(column)?))
}

/// The same of a value at hand.
pub(super) fn text_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(value.to_string()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// Text for a person to read: also what a blob says.
pub(super) fn shown(row: &Row<'_>, column: impl RowIndex) -> Result<Option<String>> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        value => Ok(text_of(value)),
    }
}

/// Text that statements can find its row by: an approximation of an id or a lock would be another's, or nobody's.
pub(super) fn exact(row: &Row<'_>, column: impl RowIndex) -> Result<Option<String>> {
    Ok(exact_of(row.get_ref(column)?))
}

/// The same of a value at hand.
pub(super) fn exact_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        _ => text_of(value),
    }
}

/// A time or a count: an integer, a real without its fraction, or either as text; older programs wrote all of them.
pub(super) fn number(row: &Row<'_>, column: impl RowIndex) -> Result<Option<i64>> {
    Ok(number_of(row.get_ref(column)?))
}

/// The same of a value at hand.
pub(super) fn number_of(value: ValueRef<'_>) -> Option<i64> {
    match real_or_integer(value)? {
        Number::Integer(value) => Some(value),
        Number::Real(value) => Some(value as i64),
    }
}

/// A time in unix seconds: as [`number`], or as ISO 8601 text.
pub(super) fn time(row: &Row<'_>, column: impl RowIndex) -> Result<Option<i64>> {
    Ok(time_of(row.get_ref(column)?))
}

/// The same of a value at hand.
pub(super) fn time_of(value: ValueRef<'_>) -> Option<i64> {
    match (number_of(value), value) {
        (None, ValueRef::Text(bytes)) => {
            std::str::from_utf8(bytes).ok().and_then(iso::unix_seconds)
        }
        (number, _) => number,
    }
}

/// The number of an attempt: as [`number`], but nothing is cut off, since what is left would name another attempt.
pub(super) fn integer(row: &Row<'_>, column: impl RowIndex) -> Result<Option<i64>> {
    // Above this not every integer has a real of its own.
    const EXACT_MAX: f64 = (1_i64 << 53) as f64;
    Ok(match real_or_integer(row.get_ref(column)?) {
        Some(Number::Integer(value)) => Some(value),
        Some(Number::Real(value)) if value.fract() == 0.0 && value.abs() < EXACT_MAX => {
            Some(value as i64)
        }
        _ => None,
    })
}

enum Number {
    Integer(i64),
    Real(f64),
}

fn real_or_integer(value: ValueRef<'_>) -> Option<Number> {
    match value {
        ValueRef::Integer(value) => Some(Number::Integer(value)),
        ValueRef::Real(value) => Some(Number::Real(value)),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?.trim();
            let real = || text.parse().ok().filter(|real: &f64| real.is_finite());
            let integer = text.parse().ok().map(Number::Integer);
            integer.or_else(|| real().map(Number::Real))
        }
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn read<T>(
        value: &str,
        read: impl Fn(&Row<'_>, usize) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        Connection::open_in_memory()?.query_row(&format!("SELECT {value}"), [], |row| read(row, 0))
    }

    #[test]
    fn numbers_are_read_from_every_type_that_holds_one() -> Result<()> {
        for (value, as_number, as_integer) in [
            ("7", Some(7), Some(7)),
            ("7.0", Some(7), Some(7)),
            ("7.9", Some(7), None),
            ("' 7 '", Some(7), Some(7)),
            ("'7.0'", Some(7), Some(7)),
            ("9e99", Some(i64::MAX), None),
            ("9223372036854775807", Some(i64::MAX), Some(i64::MAX)),
            ("'soon'", None, None),
            ("'inf'", None, None),
            ("''", None, None),
            ("NULL", None, None),
            ("x'37'", None, None),
            ("CAST(x'ff37' AS TEXT)", None, None),
        ] {
            assert_eq!(read(value, number)?, as_number, "{value}");
            assert_eq!(read(value, integer)?, as_integer, "{value}");
        }
        Ok(())
    }

    #[test]
    fn texts_are_read_as_far_as_they_can_be_and_ids_only_exactly() -> Result<()> {
        for (value, as_text, as_shown, as_exact) in [
            ("'é'", Some("é"), Some("é"), Some("é")),
            ("7", Some("7"), Some("7"), Some("7")),
            ("NULL", None, None, None),
            ("x'6162'", None, Some("ab"), None),
            (
                "CAST(x'61ff' AS TEXT)",
                Some("a\u{fffd}"),
                Some("a\u{fffd}"),
                None,
            ),
        ] {
            assert_eq!(read(value, text)?.as_deref(), as_text, "{value}");
            assert_eq!(read(value, shown)?.as_deref(), as_shown, "{value}");
            assert_eq!(read(value, exact)?.as_deref(), as_exact, "{value}");
        }
        Ok(())
    }
}
