//! `rusqlite` errors: the result code first, the text only under primary code 1.

mod codes;
mod confirm;
mod glued;
mod message;
mod name;

use std::error::Error;
use std::sync::Arc;

use rusqlite::ffi;

pub use self::confirm::{confirm_missing, quick_check};
pub(crate) use self::name::{column, dotted, in_table};
use crate::cast::cast;
use crate::row::Row;
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
        match coded(self) {
            Some((code, text)) => Some(by_code(code, text, 0)),
            None => by_variant(self, 0),
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
        Some(by_code(self.extended_code, None, 0))
    }
}

/// The result code, and SQLite's message.
#[inline]
pub(crate) fn coded(error: &rusqlite::Error) -> Option<(i32, Option<&str>)> {
    match error {
        rusqlite::Error::SqliteFailure(error, text) => Some((error.extended_code, text.as_deref())),
        rusqlite::Error::SqlInputError { error, msg, .. } => Some((error.extended_code, Some(msg))),
        _ => None,
    }
}

/// The code was reached without passing a `rusqlite::Error`: the wrapper above hides it, but shows its text.
#[cold]
pub(crate) fn under_wrapper<'e>(
    code: i32,
    parent: Option<&'e (dyn Error + 'static)>,
    depth: u8,
) -> Verdict<'e> {
    if codes::primary(code) != codes::ERROR {
        return by_code(code, None, depth);
    }
    let Some(parent) = parent else {
        return by_code(code, None, depth);
    };
    let shared = cast::<Arc<rusqlite::Error>>(parent).map(|e| &**e);
    let boxed = || cast::<Box<rusqlite::Error>>(parent).map(|e| &**e);
    shared
        .or_else(boxed)
        .and_then(Classify::verdict)
        .or_else(|| glued::read(parent, code))
        .map_or_else(|| by_code(code, None, depth), |verdict| verdict.at(depth))
}

/// The verdict on a code, and under primary code 1 on the message.
pub(crate) fn by_code(code: i32, text: Option<&str>, depth: u8) -> Verdict<'_> {
    if codes::primary(code) == codes::ERROR {
        if let Some(said) = text.and_then(message::frequent) {
            return said.verdict(code, depth);
        }
        if let Some(said) = text.and_then(message::other) {
            return said.verdict(code, depth);
        }
    }
    Verdict::of(codes::look_up(code), depth).with_code(code)
}

/// Errors without a result code. What is not listed has no opinion of its own; its cause may have one.
pub(crate) fn by_variant(error: &rusqlite::Error, depth: u8) -> Option<Verdict<'_>> {
    use rusqlite::Error as E;
    static NAME: Row = Row::new(
        Class::SchemaDrift,
        Remedy::Repair,
        "rusqlite/InvalidColumnName",
    );
    static INDEX: Row = Row::new(
        Class::SchemaDrift,
        Remedy::Repair,
        "rusqlite/InvalidColumnIndex",
    );
    static NO_ROW: Row = Row::new(Class::Missing, Remedy::GiveUp, "rusqlite/no row");
    static ROW_COUNT: Row = Row::new(Class::Constraint, Remedy::GiveUp, "rusqlite/row count");
    static VALUE: Row = Row::new(Class::BadData, Remedy::ExternalFix, "rusqlite/value");
    static CALL: Row = Row::new(Class::Misuse, Remedy::GiveUp, "rusqlite/call");
    static THREADS: Row = Row::new(
        Class::Unsupported,
        Remedy::GiveUp,
        "rusqlite/single-threaded",
    );
    let row = match error {
        E::InvalidColumnName(name) => {
            let column = Missing::new(ObjectKind::Column, name.as_str());
            return Some(Verdict::of(&NAME, depth).with_missing(column));
        }
        E::InvalidColumnIndex(_) => &INDEX,
        E::QueryReturnedNoRows => &NO_ROW,
        E::QueryReturnedMoreThanOneRow | E::StatementChangedRows(_) => &ROW_COUNT,
        E::InvalidColumnType(..)
        | E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..) => &VALUE,
        E::ToSqlConversionFailure(_)
        | E::NulError(_)
        | E::InvalidParameterName(_)
        | E::InvalidParameterCount(..)
        | E::InvalidPath(_)
        | E::ExecuteReturnedResults
        | E::Empty
        | E::InvalidQuery
        | E::MultipleStatement
        | E::InvalidDatabaseIndex(_) => &CALL,
        E::SqliteSingleThreadedMode => &THREADS,
        _ => return None,
    };
    Some(Verdict::of(row, depth))
}
