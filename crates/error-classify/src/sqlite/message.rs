//! What SQLite says under code 1. Its texts are not translated, and start at the beginning of the message.

use super::name::BETWEEN;
use crate::names::{Doubt, Form};
use crate::row::Row;
use crate::{Class, Missing, ObjectKind, Remedy, Verdict};

/// What a message means. Made of pointers only: the verdict is written once, at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'m> {
    row: &'static Row,
    named: Option<Named<'m>>,
}

/// The object that a message names, as it is printed there.
#[derive(Clone, Copy, Debug)]
struct Named<'m> {
    kind: ObjectKind,
    form: Form,
    table: Option<&'m str>,
    name: &'m str,
}

// ===== impl Said =====

impl<'m> Said<'m> {
    #[inline]
    pub(super) fn verdict(self, code: i32, depth: u8) -> Verdict<'m> {
        let verdict = Verdict::of(self.row, depth).with_code(code);
        match self.named {
            Some(named) => verdict.with_missing(named.missing()),
            None => verdict,
        }
    }
}

// ===== impl Named =====

impl<'m> Named<'m> {
    #[inline]
    const fn new(kind: ObjectKind, form: Form, name: &'m str) -> Self {
        Self {
            kind,
            form,
            table: None,
            name,
        }
    }

    #[inline]
    fn missing(self) -> Missing<'m> {
        Missing::as_printed(self.kind, self.form, self.table, self.name)
    }
}

/// What a message of primary code 1 means; `None` if it is none of the known ones.
///
/// The class is told by the beginning alone. Names stay where they are until somebody asks for them.
pub(super) fn read(message: &str) -> Option<Said<'_>> {
    frequent(message).or_else(|| other(message))
}

/// A missing column or table, which is what drift nearly always says.
#[inline]
pub(super) fn frequent(message: &str) -> Option<Said<'_>> {
    match message.strip_prefix(NO_SUCH) {
        Some(rest) => no_column_or_table(rest),
        None => no_column_named(message),
    }
}

/// All else.
pub(super) fn other(message: &str) -> Option<Said<'_>> {
    if let Some(rest) = message.strip_prefix(NO_SUCH) {
        return no_such_other(rest);
    }
    in_schema_object(message)
        .or_else(|| already_there(message))
        .or_else(|| wrong_sql(message))
}

const NO_SUCH: &str = "no such ";

/// The rows of drift and of what this build lacks: `NAME Class Remedy "what"`.
macro_rules! rows {
    ($($name:ident $class:ident $remedy:ident $what:literal,)*) => {
        $(static $name: Row = Row::new(Class::$class, Remedy::$remedy, concat!("sqlite/", $what));)*
    };
}

rows! {
    NO_COLUMN SchemaDrift Repair "no such column",
    NO_TABLE SchemaDrift Repair "no such table",
    NO_INDEX SchemaDrift Repair "no such index",
    NO_VIEW SchemaDrift Repair "no such view",
    NO_TRIGGER SchemaDrift Repair "no such trigger",
    NO_COLUMN_NAMED SchemaDrift Repair "has no column named",
    IN_SCHEMA_OBJECT SchemaDrift Repair "error in schema object",
    NO_FUNCTION Unsupported GiveUp "no such function",
    NO_MODULE Unsupported GiveUp "no such module",
    NO_COLLATION Unsupported GiveUp "no such collation",
    ALREADY_EXISTS Exists RestartTxn "already exists",
    WRONG_STATEMENT Misuse GiveUp "wrong statement",
    VALUES_AND_COLUMNS Misuse GiveUp "values and columns",
}

/// `no such column: tasks.block_kind`, `no such table: tasks`.
#[inline]
fn no_column_or_table(rest: &str) -> Option<Said<'_>> {
    let (row, named) = if let Some(name) = rest.strip_prefix("column: ") {
        let named = Named::new(ObjectKind::Column, Form::Column, name);
        (&NO_COLUMN, named)
    } else {
        let name = rest.strip_prefix("table: ")?;
        let named = Named::new(ObjectKind::Table, Form::Dotted, name);
        (&NO_TABLE, named)
    };
    let named = Some(named);
    Some(Said { row, named })
}

/// Their sisters.
fn no_such_other(rest: &str) -> Option<Said<'_>> {
    use ObjectKind as K;
    const EXACT: Form = Form::Read(Doubt::Exact);
    let (what, name) = rest.split_once(": ")?;
    let (row, kind, form) = match what {
        "index" => (&NO_INDEX, K::Index, Form::Dotted),
        "view" => (&NO_VIEW, K::View, Form::Dotted),
        "trigger" => (&NO_TRIGGER, K::Trigger, Form::Dotted),
        "function" => (&NO_FUNCTION, K::Function, EXACT),
        "module" => (&NO_MODULE, K::Module, EXACT),
        "collation sequence" => (&NO_COLLATION, K::Collation, EXACT),
        _ => return None,
    };
    let named = Some(Named::new(kind, form, name));
    Some(Said { row, named })
}

/// `table tasks has no column named block_kind`, from an INSERT.
#[inline]
fn no_column_named(message: &str) -> Option<Said<'_>> {
    let rest = message.strip_prefix("table ")?;
    let (table, name) = split_at_first(rest, BETWEEN)?;
    let mut named = Named::new(ObjectKind::Column, Form::InTable, name);
    named.table = Some(table);
    Some(Said {
        row: &NO_COLUMN_NAMED,
        named: Some(named),
    })
}

/// `split_once`, without the machinery that `str` sets up for a search: it takes longer than the search.
#[inline]
fn split_at_first<'t>(text: &'t str, between: &str) -> Option<(&'t str, &'t str)> {
    let (bytes, between) = (text.as_bytes(), between.as_bytes());
    // The first byte alone rules out nearly every place, without the call that comparing the rest is.
    let found = |at: &usize| bytes[*at] == between[0] && bytes[*at..].starts_with(between);
    let at = (0..bytes.len()).find(found)?;
    Some((&text[..at], &text[at + between.len()..]))
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
    let rest = &rest[at + REASON.len()..];
    let said = no_column_or_table(rest).or_else(|| no_such_other(rest))?;
    let named = said.named?;
    let read = named.form.read(named.table, named.name);
    let named = Named {
        form: Form::Read(read.doubt.max(Doubt::Approximate)),
        table: read.table,
        name: read.name,
        ..named
    };
    Some(Said {
        row: &IN_SCHEMA_OBJECT,
        named: Some(named),
    })
}

/// The schema has more than the program thought; often another process has just made the same change.
fn already_there(message: &str) -> Option<Said<'_>> {
    const KINDS: [&str; 4] = ["table ", "index ", "view ", "trigger "];
    let there = message.starts_with("duplicate column name: ")
        || message.starts_with("there is already a")
        || message.ends_with(" already exists") && KINDS.iter().any(|k| message.starts_with(k));
    there.then_some(Said {
        row: &ALREADY_EXISTS,
        named: None,
    })
}

/// The statement is wrong by itself, or it counts columns otherwise than the table does.
fn wrong_sql(message: &str) -> Option<Said<'_>> {
    const BEGINNINGS: [&str; 4] = [
        "unrecognized token: ",
        "ambiguous column name: ",
        "wrong number of arguments to function ",
        "misuse of ",
    ];
    let row = if message.starts_with("near \"") && message.ends_with(": syntax error")
        || message == "incomplete input"
        || BEGINNINGS.iter().any(|begin| message.starts_with(begin))
    {
        &WRONG_STATEMENT
    } else if message.ends_with(" values were supplied")
        || message.ends_with(" columns") && message.contains(" values for ")
    {
        &VALUES_AND_COLUMNS
    } else {
        return None;
    };
    Some(Said { row, named: None })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::Verdict;

    /// Kind, name and doubt of what a message says is missing.
    fn missing(message: &str) -> Option<(String, bool)> {
        let verdict = read(message)?.verdict(1, 0);
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
        assert_eq!(missing("no such column: `a`"), doubtful("column a"));
        let in_view = |message| missing(&format!("error in view v: no such {message}"));
        assert_eq!(in_view("table: main.x"), doubtful("table main.x"));
        assert_eq!(in_view("column: x"), doubtful("column x"));
        assert_eq!(in_view("column: \"x\""), doubtful("column x"));
        let said = read("error in view v: no such column: t.x").map(|said| said.verdict(1, 0));
        let names = said.as_ref().and_then(Verdict::missing);
        let names = names.map(|missing| (missing.table(), missing.name()));
        assert_eq!(names, Some((Some("t"), "x")));
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
            "3 values for a",
            "3 columns",
        ] {
            assert!(read(message).is_none(), "{message}");
        }
    }
}
