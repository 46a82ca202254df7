//! Where a [`Missing`](crate::Missing) keeps its names: in the error's own text for as long as nobody asks, or in a box.

/// The texts. One null pointer tells the two shapes apart, so that it takes no more than two `&str`.
#[derive(Clone, Debug)]
pub(crate) enum Names<'e> {
    Borrowed {
        table: Option<&'e str>,
        name: &'e str,
    },
    Owned(Box<Own>),
}

/// Names without a borrow.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) table: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

/// How the texts are to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// They are the names.
    Read(Doubt),
    /// The name is what SQLite prints for a table and the like; where it has a dot, it may have several readings.
    #[cfg(feature = "rusqlite")]
    Dotted,
    /// The name is what SQLite prints for a column: with its table or without, quoted or not.
    #[cfg(feature = "rusqlite")]
    Column,
    /// Table and column as SQLite prints them for an INSERT.
    #[cfg(feature = "rusqlite")]
    InTable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Doubt {
    /// There is one reading.
    Exact,
    /// The text could be read in more than one way.
    Approximate,
    /// SQLite itself takes it for a misquoted string, so it may be somebody's data and no name at all.
    MaybeLiteral,
}

/// The names, once they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reading<'t> {
    pub(crate) table: Option<&'t str>,
    pub(crate) name: &'t str,
    pub(crate) doubt: Doubt,
}

// ===== impl Names =====

impl Names<'_> {
    #[inline]
    pub(crate) fn read(&self, form: Form) -> Reading<'_> {
        match self {
            Self::Borrowed { table, name } => form.read(*table, name),
            Self::Owned(own) => form.read(own.table.as_deref(), &own.name),
        }
    }
}

// ===== impl Form =====

impl Form {
    pub(crate) fn read<'t>(self, table: Option<&'t str>, name: &'t str) -> Reading<'t> {
        match self {
            Self::Read(doubt) => Reading { table, name, doubt },
            #[cfg(feature = "rusqlite")]
            Self::Dotted => crate::sqlite::dotted(name),
            #[cfg(feature = "rusqlite")]
            Self::Column => crate::sqlite::column(name),
            #[cfg(feature = "rusqlite")]
            Self::InTable => crate::sqlite::in_table(table, name),
        }
    }
}

// ===== impl Own =====

impl From<Reading<'_>> for Own {
    fn from(reading: Reading<'_>) -> Self {
        Self {
            table: reading.table.map(Into::into),
            name: reading.name.into(),
        }
    }
}
