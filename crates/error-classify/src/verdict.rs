//! The answer: what happened, what would help, and who says so.

use std::fmt;

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
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Verdict<'e> {
    class: Class,
    remedy: Remedy,
    depth: u8,
    veto: bool,
    code: Option<i32>,
    rule: &'static str,
    missing: Option<Missing<'e>>,
}

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
            veto: false,
            code: None,
            rule: "",
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
        verdict.veto = true;
        verdict
    }

    /// The same opinion under the name of its rule. Without it a [`Rule`](crate::Rule) puts its own name here.
    pub const fn with_rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// The same opinion with the driver's numeric code.
    pub const fn with_code(mut self, code: i32) -> Self {
        self.code = Some(code);
        self
    }

    /// The same opinion with the name of what is missing.
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
        self.code
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
        self.veto
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
            veto: self.veto,
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

    pub(crate) fn at(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }

    pub(crate) const fn has_rule(&self) -> bool {
        !self.rule.is_empty()
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
        if let Some(code) = self.code {
            write!(f, "; code {code}")?;
        }
        f.write_str(")")
    }
}
