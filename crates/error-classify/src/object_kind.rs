//! What kind of thing a name belongs to.

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
