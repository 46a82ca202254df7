//! What SQLite says under code 1. Its texts are not translated, and start at the beginning of the message.

use super::said::{Doubt, Named, Said};
use crate::{Class, ObjectKind, Remedy};

/// What a message of primary code 1 means; `None` if it is none of the known ones.
#[inline]
pub(super) fn read(message: &str) -> Option<Said<'_>> {
    if let Some(rest) = message.strip_prefix("no such ") {
        return no_such(rest);
    }
    no_column_named(message)
        .or_else(|| in_schema_object(message))
        .or_else(|| already_there(message))
        .or_else(|| wrong_sql(message))
}

/// `no such column: tasks.block_kind`, and its sisters.
fn no_such(rest: &str) -> Option<Said<'_>> {
    use ObjectKind as K;
    if let Some(name) = rest.strip_prefix("column: ") {
        return Said::drift("sqlite/no such column", Named::column(name));
    }
    if let Some(name) = rest.strip_prefix("table: ") {
        return Said::drift("sqlite/no such table", Named::dotted(K::Table, name));
    }
    let (what, name) = rest.split_once(": ")?;
    match what {
        "index" => Said::drift("sqlite/no such index", Named::dotted(K::Index, name)),
        "view" => Said::drift("sqlite/no such view", Named::dotted(K::View, name)),
        "trigger" => Said::drift("sqlite/no such trigger", Named::dotted(K::Trigger, name)),
        "function" => Said::unable("sqlite/no such function", K::Function, name),
        "module" => Said::unable("sqlite/no such module", K::Module, name),
        "collation sequence" => Said::unable("sqlite/no such collation", K::Collation, name),
        _ => None,
    }
}

/// `table tasks has no column named block_kind`, from an INSERT.
fn no_column_named(message: &str) -> Option<Said<'_>> {
    const BETWEEN: &str = " has no column named ";
    let (table, name) = message.strip_prefix("table ")?.split_once(BETWEEN)?;
    let several = name.contains(BETWEEN) || table.contains('.');
    let named = Named {
        kind: ObjectKind::Column,
        table: Some(table),
        name,
        doubt: if several {
            Doubt::Approximate
        } else {
            Doubt::Exact
        },
    };
    Said::drift("sqlite/has no column named", named)
}

/// `error in view v: no such column: x`, from an ALTER that met a view or trigger which is broken already.
fn in_schema_object(message: &str) -> Option<Said<'_>> {
    const KINDS: [&str; 4] = ["view ", "trigger ", "index ", "table "];
    const REASON: &str = ": no such ";
    let rest = message.strip_prefix("error in ")?;
    if !KINDS.iter().any(|kind| rest.starts_with(kind)) {
        return None;
    }
    let at = rest.find(REASON)?;
    let named = no_such(&rest[at + REASON.len()..])?.named?;
    Said::drift(
        "sqlite/error in schema object",
        named.with_doubt(Doubt::Approximate),
    )
}

/// The schema has more than the program thought; often another process has just made the same change.
fn already_there(message: &str) -> Option<Said<'_>> {
    const KINDS: [&str; 4] = ["table ", "index ", "view ", "trigger "];
    let there = message.starts_with("duplicate column name: ")
        || message.starts_with("there is already a")
        || message.ends_with(" already exists") && KINDS.iter().any(|k| message.starts_with(k));
    there.then(|| Said::nameless(Class::Exists, Remedy::RestartTxn, "sqlite/already exists"))
}

/// The statement is wrong by itself, or it counts columns otherwise than the table does.
fn wrong_sql(message: &str) -> Option<Said<'_>> {
    const BEGINNINGS: [&str; 4] = [
        "unrecognized token: ",
        "ambiguous column name: ",
        "wrong number of arguments to function ",
        "misuse of ",
    ];
    let rule = if message.starts_with("near \"") && message.ends_with(": syntax error")
        || message == "incomplete input"
        || BEGINNINGS.iter().any(|begin| message.starts_with(begin))
    {
        "sqlite/wrong statement"
    } else if message.ends_with(" values were supplied")
        || message.ends_with(" columns") && message.contains(" values for ")
    {
        "sqlite/values and columns"
    } else {
        return None;
    };
    Some(Said::nameless(Class::Misuse, Remedy::GiveUp, rule))
}

#[cfg(test)]
mod tests {
    use super::read;

    /// Kind, name and doubt of what a message says is missing.
    fn missing(message: &str) -> Option<(String, bool)> {
        let verdict = read(message)?.verdict(1);
        let missing = verdict.missing()?;
        Some((missing.to_string(), missing.is_approximate()))
    }

    #[test]
    fn a_name_with_one_reading_is_exact_and_any_other_is_marked() {
        let exact = |shown: &str| Some((shown.to_owned(), false));
        let doubtful = |shown: &str| Some((shown.to_owned(), true));
        assert_eq!(missing("no such column: a"), exact("column a"));
        assert_eq!(missing("no such column: t.a"), doubtful("column t.a"));
        assert_eq!(missing("no such column: .a"), exact("column .a"));
        assert_eq!(missing("no such column: a."), exact("column a."));
        assert_eq!(missing("no such column: \"a\""), doubtful("column a"));
        assert_eq!(missing("no such column: \""), doubtful("column \"\\\"\""));
        assert_eq!(missing("no such column: [a.b]"), doubtful("column a.b"));
        assert_eq!(missing("no such table: a"), exact("table a"));
        assert_eq!(missing("no such table: main.a"), doubtful("table main.a"));
        assert_eq!(missing("no such column: a: b"), exact("column \"a: b\""));
        let hinted = "no such column: \"a\" - should this be a string literal in single-quotes?";
        assert_eq!(missing(hinted), doubtful("column a"));
        let between = "table a has no column named b has no column named c";
        assert_eq!(
            missing(between),
            doubtful("column a.\"b has no column named c\"")
        );
        assert_eq!(
            missing("error in view v: no such table: main.x"),
            doubtful("table main.x")
        );
    }

    #[test]
    fn a_known_phrase_that_is_not_the_beginning_means_nothing() {
        for message in [
            "",
            "no such ",
            "no such column",
            "no such column:x",
            "No such column: x",
            " no such column: x",
            "cannot say: no such column: x",
            "no such savepoint: x",
            "table t has no column",
            "error in paradise: no such column: x",
            "an error in view v: no such column: x",
            "error in view v: it is ugly",
            "already exists",
            "the table t already exists",
            "near the end: syntax error",
            "3 values",
        ] {
            assert_eq!(read(message), None, "{message}");
        }
    }
}
