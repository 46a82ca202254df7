//! SQLSTATE: what PostgreSQL's five-character codes mean.

mod codes;
#[cfg(feature = "tokio-postgres")]
mod tokio_postgres;

#[cfg(feature = "tokio-postgres")]
pub(crate) use self::tokio_postgres::row;
use crate::Verdict;

/// What a SQLSTATE of PostgreSQL means: the verdict on an error of any driver that hands out the code.
///
/// A code without a row of its own has that of its first two characters, which is what the standard meant them for; a code
/// of an unknown class, or one that is no code at all, is [`Class::Unknown`](crate::Class::Unknown). The code stands in the
/// verdict's [`rule`](Verdict::rule), and only there: [`code`](Verdict::code) is a number. Nothing is read from any message,
/// so no name is known either.
///
/// Remedies take into account that every error aborts the transaction it happens in: what another driver may retry by the
/// call, PostgreSQL wants from the beginning of the transaction. For a statement on its own that is the same.
///
/// Source: PostgreSQL manual, Appendix A. Total, and allocates nothing.
///
/// # Examples
///
/// ```
/// use error_classify::{Class, Remedy, classify_sqlstate};
///
/// let verdict = classify_sqlstate("40001");
/// assert_eq!((verdict.class(), verdict.remedy()), (Class::Stale, Remedy::RestartTxn));
/// assert_eq!(verdict.rule(), "sqlstate/40001 serialization_failure");
/// assert_eq!(classify_sqlstate("42P01").class(), Class::SchemaDrift);
/// assert_eq!(classify_sqlstate("23X99").class(), Class::Constraint);
/// assert_eq!(classify_sqlstate("?").class(), Class::Unknown);
/// ```
///
/// In a rule for a driver's error:
///
/// ```
/// use error_classify::{Classify, Verdict, classify_sqlstate};
///
/// struct DriverError { sqlstate: Option<String> }
///
/// impl Classify for DriverError {
///     fn verdict(&self) -> Option<Verdict<'_>> {
///         Some(classify_sqlstate(self.sqlstate.as_deref()?))
///     }
/// }
/// # let full = DriverError { sqlstate: Some("53100".to_owned()) };
/// # assert_eq!(full.verdict().unwrap().class(), error_classify::Class::DiskFull);
/// ```
pub fn classify_sqlstate(code: &str) -> Verdict<'static> {
    Verdict::of(codes::look_up(code), 0)
}
