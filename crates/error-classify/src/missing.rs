//! The name of what is not there.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::ObjectKind;
use crate::names::{Doubt, Form, Names, Own, Reading};

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
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        from = "crate::stored::Missing<'e>",
        into = "crate::stored::Missing<'e>"
    )
)]
pub struct Missing<'e> {
    names: Names<'e>,
    form: Form,
    kind: ObjectKind,
}

// ===== impl Missing =====

impl<'e> Missing<'e> {
    /// An object by its kind and name.
    #[must_use]
    pub fn new(kind: ObjectKind, name: impl Into<Cow<'e, str>>) -> Self {
        let names = match name.into() {
            Cow::Borrowed(name) => Names::Borrowed { table: None, name },
            Cow::Owned(name) => Names::Owned(Box::new(Own {
                table: None,
                name: name.into(),
            })),
        };
        Self {
            names,
            form: Form::Read(Doubt::Exact),
            kind,
        }
    }

    /// The same object, known to belong to `table`.
    ///
    /// ```
    /// # use error_classify::{Missing, ObjectKind};
    /// let column = Missing::new(ObjectKind::Column, "title").in_table("tasks");
    /// assert_eq!(column.kind(), ObjectKind::Column);
    /// assert_eq!((column.table(), column.name()), (Some("tasks"), "title"));
    /// ```
    #[must_use]
    pub fn in_table(self, table: impl Into<Cow<'e, str>>) -> Self {
        let mut missing = self.read();
        missing.names = match (missing.names, table.into()) {
            (Names::Borrowed { name, .. }, Cow::Borrowed(table)) => Names::Borrowed {
                table: Some(table),
                name,
            },
            (Names::Borrowed { name, .. }, Cow::Owned(table)) => Names::Owned(Box::new(Own {
                table: Some(table.into()),
                name: name.into(),
            })),
            (Names::Owned(mut own), table) => {
                own.table = Some(table.into());
                Names::Owned(own)
            }
        };
        missing
    }

    /// The same object, with the remark that the name was cut out of a text that has several readings.
    ///
    /// ```
    /// # use error_classify::{Missing, ObjectKind};
    /// let table = Missing::new(ObjectKind::Table, "tasks");
    /// assert!(!table.is_approximate());
    /// assert!(table.approximate().is_approximate());
    /// ```
    #[must_use]
    pub fn approximate(self) -> Self {
        let mut missing = self.read();
        missing.form = Form::Read(missing.reading().doubt.max(Doubt::Approximate));
        missing
    }

    /// What SQLite printed, to be read when somebody asks.
    #[cfg(feature = "rusqlite")]
    #[inline]
    pub(crate) const fn as_printed(
        kind: ObjectKind,
        form: Form,
        table: Option<&'e str>,
        name: &'e str,
    ) -> Self {
        Self {
            names: Names::Borrowed { table, name },
            form,
            kind,
        }
    }

    #[cfg(feature = "serde")]
    pub(crate) fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    #[cfg(feature = "serde")]
    pub(crate) fn into_parts(self) -> (ObjectKind, Names<'e>, Doubt) {
        let missing = self.read();
        let doubt = missing.reading().doubt;
        (missing.kind, missing.names, doubt)
    }

    /// What kind of object it is.
    #[must_use]
    pub const fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The table it belongs to, if the message said one. It can be an alias, or carry a schema (`main.tasks`).
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.reading().table
    }

    /// Its name, without quotes.
    #[must_use]
    pub fn name(&self) -> &str {
        self.reading().name
    }

    /// Whether the text it was read from had several readings: dots, quotes, an alias, or SQL glued to the message.
    #[must_use]
    pub fn is_approximate(&self) -> bool {
        self.reading().doubt != Doubt::Exact
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
        let missing = self.read();
        let names = match missing.names {
            Names::Borrowed { table, name } => Names::Owned(Box::new(Own {
                table: table.map(Into::into),
                name: name.into(),
            })),
            Names::Owned(own) => Names::Owned(own),
        };
        Missing {
            names,
            form: missing.form,
            kind: missing.kind,
        }
    }

    /// The same, its names read out of what was printed.
    fn read(self) -> Self {
        match self.names {
            Names::Borrowed { table, name } => {
                let Reading { table, name, doubt } = self.form.read(table, name);
                Self {
                    names: Names::Borrowed { table, name },
                    form: Form::Read(doubt),
                    kind: self.kind,
                }
            }
            // Nothing is boxed unread.
            Names::Owned(_) => self,
        }
    }

    fn reading(&self) -> Reading<'_> {
        self.names.read(self.form)
    }

    /// For logs: the kind always, the name only if it cannot be anything but a name.
    pub(crate) fn fmt_discreet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading { table, name, doubt } = self.reading();
        let plain = is_plain(name) && table.is_none_or(is_plain);
        if plain && doubt != Doubt::MaybeLiteral {
            fmt::Display::fmt(self, f)
        } else {
            write!(f, "{} (name withheld)", self.kind)
        }
    }
}

impl PartialEq for Missing<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.reading() == other.reading()
    }
}

impl Eq for Missing<'_> {}

impl Hash for Missing<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.reading().hash(state);
    }
}

impl fmt::Debug for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading { table, name, doubt } = self.reading();
        f.debug_struct("Missing")
            .field("kind", &self.kind)
            .field("table", &table)
            .field("name", &name)
            .field("doubt", &doubt)
            .finish()
    }
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading { table, name, .. } = self.reading();
        write!(f, "{} ", self.kind)?;
        if let Some(table) = table {
            fmt_name(table, f)?;
            f.write_str(".")?;
        }
        fmt_name(name, f)
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
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

    use super::{Missing, ObjectKind};

    #[test]
    fn names_are_the_same_wherever_they_are_kept() {
        let borrowed = || Missing::new(ObjectKind::Column, "a");
        let owned = || Missing::new(ObjectKind::Column, "a".to_owned());
        let all = [
            borrowed().in_table("t"),
            borrowed().in_table("t".to_owned()),
            owned().in_table("t"),
            owned().in_table("t".to_owned()),
            borrowed().in_table("t").into_owned(),
            owned().in_table("u").in_table("t").into_owned(),
        ];
        for missing in &all {
            assert_eq!(missing, &all[0]);
            assert_eq!((missing.table(), missing.name()), (Some("t"), "a"));
            assert_eq!(missing.kind(), ObjectKind::Column);
            assert!(!missing.is_approximate());
            let doubtful = missing.clone().approximate();
            assert!(doubtful.is_approximate() && &doubtful != missing);
            assert_eq!(format!("{missing:?}"), format!("{:?}", all[0]));
        }
        assert_eq!(
            format!("{:?}", all[0]),
            "Missing { kind: Column, table: Some(\"t\"), name: \"a\", doubt: Exact }"
        );
        let hash = |missing: &Missing<'_>| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(missing)
        };
        assert!(all.iter().all(|missing| hash(missing) == hash(&all[0])));
        assert_ne!(hash(&borrowed()), hash(&all[0]));
        assert_ne!(borrowed(), all[0]);
        assert_ne!(borrowed(), Missing::new(ObjectKind::Table, "a"));
    }

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
