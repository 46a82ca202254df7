//! The answer: what happened, what would help, and who says so.

use std::fmt;

use crate::row::Row;
use crate::{Class, Missing, Remedy};

/// What one error is, from [`classify`](crate::classify) or from a rule of your own.
///
/// Displayed on one line, without any text of the failed statement: names are shown only if they are plain identifiers.
///
/// # Examples
///
/// ```
/// use error_classify::{Class, Missing, ObjectKind, Remedy, Verdict};
///
/// let verdict = Verdict::new(Class::SchemaDrift, Remedy::Repair)
///     .with_rule("orders/old file")
///     .with_missing(Missing::new(ObjectKind::Table, "orders"));
/// assert_eq!(verdict.to_string(), "schema_drift: table orders (repair; orders/old file)");
/// ```
#[must_use = "a verdict is only an opinion: act on it"]
#[derive(Clone, PartialEq, Eq)]
pub struct Verdict<'e> {
    class: Class,
    remedy: Remedy,
    depth: u8,
    marks: u8,
    /// Invariant: 0 without the mark `CODED`.
    code: i32,
    rule: &'static str,
    missing: Option<Missing<'e>>,
}

/// Bits of `marks`: two `bool`s and the tag of an `Option` would cost the verdict a word, and a cache line is full.
const CODED: u8 = 1;
const VETO: u8 = 2;

const _: () = assert!(size_of::<Verdict<'_>>() <= 64);

// ===== impl Verdict =====

impl<'e> Verdict<'e> {
    /// An opinion.
    ///
    /// ```
    /// use error_classify::{Class, Remedy, Verdict};
    ///
    /// let verdict = Verdict::new(Class::Busy, Remedy::RetryCall);
    /// assert_eq!((verdict.class(), verdict.remedy()), (Class::Busy, Remedy::RetryCall));
    /// ```
    pub const fn new(class: Class, remedy: Remedy) -> Self {
        Self {
            class,
            remedy,
            depth: 0,
            marks: 0,
            code: 0,
            rule: "",
            missing: None,
        }
    }

    /// What the row says, about the error at this depth. Written in one go: copying a verdict about costs more than the look-up.
    #[inline]
    pub(crate) const fn of(row: &Row, depth: u8) -> Self {
        Self {
            class: row.class,
            remedy: row.remedy,
            depth,
            marks: 0,
            code: 0,
            rule: row.rule,
            missing: None,
        }
    }

    /// The opinion that nothing below in the chain may be acted upon: [`Class::Unknown`], [`Remedy::GiveUp`].
    ///
    /// For an error that wraps a harmless-looking cause but must not be retried or repaired because of it.
    ///
    /// ```
    /// use error_classify::{Class, Remedy, Verdict};
    ///
    /// let veto = Verdict::veto();
    /// assert!(veto.is_veto());
    /// assert_eq!((veto.class(), veto.remedy()), (Class::Unknown, Remedy::GiveUp));
    /// ```
    pub const fn veto() -> Self {
        let mut verdict = Self::new(Class::Unknown, Remedy::GiveUp);
        verdict.marks = VETO;
        verdict
    }

    /// The same opinion under the name of its rule. Without it a [`Rule`](crate::Rule) puts its own name here.
    ///
    /// ```
    /// # use error_classify::{Class, Remedy, Verdict};
    /// let verdict = Verdict::new(Class::Busy, Remedy::RetryCall).with_rule("app/queue full");
    /// assert_eq!(verdict.rule(), "app/queue full");
    /// ```
    pub const fn with_rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// The same opinion with the driver's numeric code.
    ///
    /// ```
    /// # use error_classify::{Class, Remedy, Verdict};
    /// let verdict = Verdict::new(Class::Busy, Remedy::RetryCall);
    /// assert_eq!(verdict.code(), None);
    /// assert_eq!(verdict.with_code(5).code(), Some(5));
    /// ```
    pub const fn with_code(mut self, code: i32) -> Self {
        self.code = code;
        self.marks |= CODED;
        self
    }

    /// The same opinion with the name of what is missing.
    ///
    /// ```
    /// # use error_classify::{Class, Missing, ObjectKind, Remedy, Verdict};
    /// let verdict = Verdict::new(Class::SchemaDrift, Remedy::Repair);
    /// assert_eq!(verdict.missing(), None);
    /// let verdict = verdict.with_missing(Missing::new(ObjectKind::Table, "orders"));
    /// assert_eq!(verdict.missing().map(Missing::name), Some("orders"));
    /// ```
    pub fn with_missing(mut self, missing: Missing<'e>) -> Self {
        self.missing = Some(missing);
        self
    }

    /// What happened.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// What would help.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        self.remedy
    }

    /// What is missing, if the driver named it.
    #[must_use]
    pub const fn missing(&self) -> Option<&Missing<'e>> {
        self.missing.as_ref()
    }

    /// The driver's code: SQLite's extended result code. `None` if the error carries none.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        if self.marks & CODED != 0 {
            Some(self.code)
        } else {
            None
        }
    }

    /// Which rule said so, as `source/what`: `sqlite/BUSY_SNAPSHOT`, `io/StorageFull`, `none` if nobody knew.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }

    /// How far down the chain the error stands that was judged: 0 is the error itself. If nobody knew, how far one looked.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// Whether a rule forbade to look further; see [`veto`](Self::veto).
    #[must_use]
    pub const fn is_veto(&self) -> bool {
        self.marks & VETO != 0
    }

    /// The same, without the borrow from the error.
    ///
    /// ```
    /// use error_classify::{Verdict, classify};
    ///
    /// let verdict: Verdict<'static> = {
    ///     let error = std::io::Error::other("short-lived");
    ///     classify(&error).into_owned()
    /// };
    /// assert_eq!(verdict.rule(), "none");
    /// ```
    pub fn into_owned(self) -> Verdict<'static> {
        Verdict {
            class: self.class,
            remedy: self.remedy,
            depth: self.depth,
            marks: self.marks,
            code: self.code,
            rule: self.rule,
            missing: self.missing.map(Missing::into_owned),
        }
    }

    /// Another opinion on the same error: code and depth stay, the missing name goes.
    #[cfg(all(unix, feature = "path-facts"))]
    pub(crate) fn revised(self, class: Class, remedy: Remedy, rule: &'static str) -> Self {
        Self {
            class,
            remedy,
            rule,
            missing: None,
            ..self
        }
    }

    /// Without a borrow, and with a doubt on the name.
    #[cfg(feature = "rusqlite")]
    pub(crate) fn into_doubtful(self) -> Verdict<'static> {
        let mut owned = self.into_owned();
        owned.missing = owned.missing.map(Missing::approximate);
        owned
    }

    pub(crate) fn at(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }

    pub(crate) const fn has_rule(&self) -> bool {
        !self.rule.is_empty()
    }
}

impl fmt::Debug for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict")
            .field("class", &self.class)
            .field("remedy", &self.remedy)
            .field("depth", &self.depth)
            .field("veto", &self.is_veto())
            .field("code", &self.code())
            .field("rule", &self.rule)
            .field("missing", &self.missing)
            .finish()
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class.as_str())?;
        if let Some(missing) = &self.missing {
            f.write_str(": ")?;
            missing.fmt_discreet(f)?;
        }
        write!(f, " ({}", self.remedy)?;
        if self.has_rule() {
            write!(f, "; {}", self.rule)?;
        }
        if let Some(code) = self.code() {
            write!(f, "; code {code}")?;
        }
        f.write_str(")")
    }
}
