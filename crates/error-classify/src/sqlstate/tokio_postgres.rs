//! Errors of `tokio_postgres`, by their SQLSTATE and never by their text.

use std::error::Error;

use ::tokio_postgres::error::DbError;

use super::codes;
use crate::cast::cast;
use crate::row::Row;
use crate::{Class, Classify, Remedy, Verdict};

/// By SQLSTATE. One without a code has no opinion, but for a closed connection: its cause may have one.
impl Classify for ::tokio_postgres::Error {
    fn verdict(&self) -> Option<Verdict<'_>> {
        Some(Verdict::of(of_error(self)?, 0))
    }
}

/// By SQLSTATE. It is the cause of a `tokio_postgres::Error`, and is met alone where a wrapper hides that.
impl Classify for DbError {
    fn verdict(&self) -> Option<Verdict<'_>> {
        Some(Verdict::of(codes::look_up(self.code().code()), 0))
    }
}

/// What is known of one error of a chain.
#[inline]
pub(crate) fn row(node: &(dyn Error + 'static)) -> Option<&'static Row> {
    if let Some(error) = cast::<::tokio_postgres::Error>(node) {
        return of_error(error);
    }
    Some(codes::look_up(cast::<DbError>(node)?.code().code()))
}

fn of_error(error: &::tokio_postgres::Error) -> Option<&'static Row> {
    static CLOSED: Row = Row::new(Class::Disconnected, Remedy::Reopen, "tokio_postgres/closed");
    match error.code() {
        Some(code) => Some(codes::look_up(code.code())),
        None if error.is_closed() => Some(&CLOSED),
        None => None,
    }
}
