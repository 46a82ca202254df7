//! Reading a name as SQLite prints it. Done only when somebody asks for the name: the class does not depend on it.

use crate::names::{Doubt, Reading};

/// What stands behind `no such table: ` and its like: a schema may stand before the dot, or the dot belongs to the name.
/// Both are legal, and both are printed alike.
pub(crate) fn dotted(text: &str) -> Reading<'_> {
    let doubt = if text.contains('.') {
        Doubt::Approximate
    } else {
        Doubt::Exact
    };
    Reading {
        table: None,
        name: text,
        doubt,
    }
}

/// What stands behind `no such column: `.
pub(crate) fn column(text: &str) -> Reading<'_> {
    let reading = |table, name, doubt| Reading { table, name, doubt };
    if text.starts_with(['"', '`', '[']) {
        return match text.strip_suffix(HINT) {
            Some(quoted) => reading(None, unquoted(quoted), Doubt::MaybeLiteral),
            None => reading(None, unquoted(text), Doubt::Approximate),
        };
    }
    match text.rsplit_once('.') {
        // What stands before the dot can be a table, an alias, or a schema and a table.
        Some((table, name)) if !table.is_empty() && !name.is_empty() => {
            reading(Some(table), name, Doubt::Approximate)
        }
        _ => reading(None, text, Doubt::Exact),
    }
}

/// Stands between the two names when an INSERT names a column that is not there.
pub(super) const BETWEEN: &str = " has no column named ";

/// What stands before and behind [`BETWEEN`]. A name may contain that too.
pub(crate) fn in_table<'t>(table: Option<&'t str>, name: &'t str) -> Reading<'t> {
    let several = name.contains(BETWEEN) || table.is_some_and(|table| table.contains('.'));
    let doubt = if several {
        Doubt::Approximate
    } else {
        Doubt::Exact
    };
    Reading { table, name, doubt }
}

/// Printed behind a name in double quotes that is no column, when such a name may not be a string.
const HINT: &str = " - should this be a string literal in single-quotes?";

/// ALTER TABLE prints the name as it was written, quotes included.
fn unquoted(text: &str) -> &str {
    let (open, close) = match text.as_bytes().first() {
        Some(b'"') => ('"', '"'),
        Some(b'`') => ('`', '`'),
        Some(b'[') => ('[', ']'),
        _ => return text,
    };
    text.strip_prefix(open)
        .and_then(|text| text.strip_suffix(close))
        .unwrap_or(text)
}
