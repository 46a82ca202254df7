//! `rusqlite` errors: the result code first, the text only under primary code 1.

mod codes;
mod confirm;
mod glued;
mod message;
mod said;

use std::error::Error;
use std::sync::Arc;

use rusqlite::ffi;

pub use self::confirm::{confirm_missing, quick_check};
use crate::{Class, Classify, Missing, ObjectKind, Remedy, Verdict};

/// By result code; errors that `rusqlite` itself makes, by their variant.
///
/// ```
/// use error_classify::{Class, Classify};
///
/// let error = rusqlite::Error::InvalidColumnName("block_kind".to_owned());
/// let verdict = error.verdict().unwrap();
/// assert_eq!(verdict.class(), Class::SchemaDrift);
/// assert_eq!(verdict.missing().unwrap().to_string(), "column block_kind");
/// ```
impl Classify for rusqlite::Error {
    #[inline]
    fn verdict(&self) -> Option<Verdict<'_>> {
        match self {
            Self::SqliteFailure(error, text) => Some(by_code(error.extended_code, text.as_deref())),
            Self::SqlInputError { error, msg, .. } => Some(by_code(error.extended_code, Some(msg))),
            other => by_variant(other),
        }
    }
}

/// By result code alone: the message has been dropped on the way, so code 1 says nothing more.
///
/// ```
/// use error_classify::{Class, Classify, Remedy};
///
/// let error = rusqlite::ffi::Error::new(517);
/// let verdict = error.verdict().unwrap();
/// assert_eq!((verdict.class(), verdict.remedy()), (Class::Stale, Remedy::RestartTxn));
/// ```
impl Classify for ffi::Error {
    fn verdict(&self) -> Option<Verdict<'_>> {
        Some(by_code(self.extended_code, None))
    }
}

/// What is known of one error of a chain, and of the one above it.
#[inline]
pub(crate) fn opinion<'e>(
    node: &'e (dyn Error + 'static),
    parent: Option<&'e (dyn Error + 'static)>,
) -> Option<Verdict<'e>> {
    if let Some(error) = node.downcast_ref::<rusqlite::Error>() {
        return error.verdict();
    }
    let error = node.downcast_ref::<ffi::Error>()?;
    Some(under_wrapper(error.extended_code, parent))
}

/// The code was reached without passing a `rusqlite::Error`: the wrapper above hides it, but shows its text.
#[cold]
fn under_wrapper<'e>(code: i32, parent: Option<&'e (dyn Error + 'static)>) -> Verdict<'e> {
    if codes::primary(code) != codes::ERROR {
        return by_code(code, None);
    }
    let Some(parent) = parent else {
        return by_code(code, None);
    };
    let shared = parent.downcast_ref::<Arc<rusqlite::Error>>().map(|e| &**e);
    let boxed = || parent.downcast_ref::<Box<rusqlite::Error>>().map(|e| &**e);
    shared
        .or_else(boxed)
        .and_then(Classify::verdict)
        .or_else(|| glued::read(parent, code))
        .unwrap_or_else(|| by_code(code, None))
}

#[inline]
fn by_code(code: i32, text: Option<&str>) -> Verdict<'_> {
    if codes::primary(code) == codes::ERROR
        && let Some(said) = text.and_then(message::read)
    {
        return said.verdict(code);
    }
    let row = codes::look_up(code);
    Verdict::new(row.class, row.remedy)
        .with_rule(row.rule)
        .with_code(code)
}

/// Errors without a result code. What is not listed has no opinion of its own; its cause may have one.
fn by_variant(error: &rusqlite::Error) -> Option<Verdict<'_>> {
    use rusqlite::Error as E;
    let (class, remedy, rule) = match error {
        E::InvalidColumnName(name) => {
            let column = Missing::new(ObjectKind::Column, name.as_str());
            let drift = Verdict::new(Class::SchemaDrift, Remedy::Repair);
            return Some(
                drift
                    .with_rule("rusqlite/InvalidColumnName")
                    .with_missing(column),
            );
        }
        E::InvalidColumnIndex(_) => (
            Class::SchemaDrift,
            Remedy::Repair,
            "rusqlite/InvalidColumnIndex",
        ),
        E::QueryReturnedNoRows => (Class::Missing, Remedy::GiveUp, "rusqlite/no row"),
        E::QueryReturnedMoreThanOneRow | E::StatementChangedRows(_) => {
            (Class::Constraint, Remedy::GiveUp, "rusqlite/row count")
        }
        E::InvalidColumnType(..)
        | E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..) => (Class::BadData, Remedy::ExternalFix, "rusqlite/value"),
        E::ToSqlConversionFailure(_)
        | E::NulError(_)
        | E::InvalidParameterName(_)
        | E::InvalidParameterCount(..)
        | E::InvalidPath(_)
        | E::ExecuteReturnedResults
        | E::Empty
        | E::InvalidQuery
        | E::MultipleStatement
        | E::InvalidDatabaseIndex(_) => (Class::Misuse, Remedy::GiveUp, "rusqlite/call"),
        E::SqliteSingleThreadedMode => (
            Class::Unsupported,
            Remedy::GiveUp,
            "rusqlite/single-threaded",
        ),
        _ => return None,
    };
    Some(Verdict::new(class, remedy).with_rule(rule))
}
