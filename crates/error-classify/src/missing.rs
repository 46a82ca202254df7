//! The name of what is not there.

use std::borrow::Cow;
use std::fmt;

/// What kind of thing is missing.
///
/// With the feature `serde` it is written as its [`as_str`](Self::as_str).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ObjectKind {
    /// A table, or a view where a table is meant.
    Table,
    /// A column of a table or view.
    Column,
    /// An index.
    Index,
    /// A view.
    View,
    /// A trigger.
    Trigger,
    /// A function of the SQL dialect; it lives in the program, not in the file.
    Function,
    /// A virtual table's module; it lives in the program, not in the file.
    Module,
    /// A collating sequence; it lives in the program, not in the file.
    Collation,
}

impl ObjectKind {
    /// The kind as one lowercase word.
    ///
    /// ```
    /// assert_eq!(error_classify::ObjectKind::Column.as_str(), "column");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Column => "column",
            Self::Index => "index",
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Function => "function",
            Self::Module => "module",
            Self::Collation => "collation",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The object whose absence made the call fail, as the driver named it.
///
/// The name is a hint until it is confirmed (`confirm_missing`, feature `rusqlite`): what is printed as table may be an
/// alias, and an application's own SQL function may say anything. Names are as in the message; SQL compares them
/// without regard to ASCII case.
///
/// Displayed as `column tasks.block_kind` or `table task_runs`. A name that is no plain identifier is quoted, escaped, and
/// cut after 64 characters, so that one cannot write a second log line with it.
///
/// # Examples
///
/// ```
/// use error_classify::{Missing, ObjectKind};
///
/// let column = Missing::new(ObjectKind::Column, "block_kind").in_table("tasks");
/// assert_eq!(column.to_string(), "column tasks.block_kind");
/// assert_eq!(Missing::new(ObjectKind::Table, "task_runs").to_string(), "table task_runs");
/// assert_eq!(Missing::new(ObjectKind::Table, "a\nb").to_string(), r#"table "a\nb""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Missing<'e> {
    kind: ObjectKind,
    table: Option<Cow<'e, str>>,
    name: Cow<'e, str>,
    /// The message could be read in more than one way.
    #[cfg_attr(feature = "serde", serde(default))]
    approximate: bool,
    /// SQLite itself takes it for a misquoted string, so it may be somebody's data and no name at all.
    #[cfg_attr(feature = "serde", serde(default))]
    maybe_literal: bool,
}

// ===== impl Missing =====

impl<'e> Missing<'e> {
    /// An object by its kind and name.
    #[must_use]
    pub fn new(kind: ObjectKind, name: impl Into<Cow<'e, str>>) -> Self {
        Self {
            kind,
            table: None,
            name: name.into(),
            approximate: false,
            maybe_literal: false,
        }
    }

    /// The same object, known to belong to `table`.
    #[must_use]
    pub fn in_table(mut self, table: impl Into<Cow<'e, str>>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// The same object, with the remark that the name was cut out of a text that has several readings.
    #[must_use]
    pub fn approximate(mut self) -> Self {
        self.approximate = true;
        self
    }

    #[cfg(feature = "rusqlite")]
    pub(crate) fn maybe_literal(mut self) -> Self {
        self.maybe_literal = true;
        self.approximate()
    }

    /// What kind of object it is.
    #[must_use]
    pub const fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The table it belongs to, if the message said one. It can be an alias, or carry a schema (`main.tasks`).
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// Its name, without quotes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the text it was read from had several readings: dots, quotes, an alias, or SQL glued to the message.
    #[must_use]
    pub const fn is_approximate(&self) -> bool {
        self.approximate
    }

    /// The same, without the borrow from the error.
    ///
    /// ```
    /// use error_classify::{Missing, ObjectKind};
    ///
    /// let kept: Missing<'static> = {
    ///     let message = String::from("tasks");
    ///     Missing::new(ObjectKind::Table, message.as_str()).into_owned()
    /// };
    /// assert_eq!(kept.name(), "tasks");
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Missing<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Missing {
            kind: self.kind,
            table: self.table.map(own),
            name: own(self.name),
            approximate: self.approximate,
            maybe_literal: self.maybe_literal,
        }
    }

    /// For logs: the kind always, the name only if it cannot be anything but a name.
    pub(crate) fn fmt_discreet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = is_plain(&self.name) && self.table().is_none_or(is_plain);
        if plain && !self.maybe_literal {
            fmt::Display::fmt(self, f)
        } else {
            write!(f, "{} (name withheld)", self.kind)
        }
    }
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(table) = self.table() {
            fmt_name(table, f)?;
            f.write_str(".")?;
        }
        fmt_name(&self.name, f)
    }
}

/// Longer names are cut: the text may be anything that was between double quotes.
const SHOWN_MAX: usize = 64;

fn is_plain(name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    !name.is_empty() && name.len() <= SHOWN_MAX && name.chars().all(part)
}

fn fmt_name(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_plain(name) {
        return f.write_str(name);
    }
    f.write_str("\"")?;
    for shown in name.chars().take(SHOWN_MAX) {
        write!(f, "{}", shown.escape_debug())?;
    }
    let cut = name.chars().nth(SHOWN_MAX).is_some();
    f.write_str(if cut { "…\"" } else { "\"" })
}

#[cfg(test)]
mod tests {
    use super::{Missing, ObjectKind};

    #[test]
    fn a_name_that_is_no_identifier_is_quoted_escaped_and_cut() {
        let show = |name: &str| Missing::new(ObjectKind::Column, name.to_owned()).to_string();
        assert_eq!(show("größe_1$"), "column größe_1$");
        assert_eq!(show(""), "column \"\"");
        assert_eq!(show("a b"), "column \"a b\"");
        assert_eq!(show("a\r\n\"b\u{1b}"), "column \"a\\r\\n\\\"b\\u{1b}\"");
        assert_eq!(
            show(&"ä ".repeat(50)),
            format!("column \"{}…\"", "ä ".repeat(32))
        );
        assert_eq!(
            show(&"x".repeat(65)),
            format!("column \"{}…\"", "x".repeat(64))
        );
    }
}
