//! `tokio_postgres` errors: made by the driver itself, from what a server would send through a pipe.
#![cfg(feature = "tokio-postgres")]

use std::error::Error;
use std::sync::Arc;

use error_classify::{Class, Classify as _, Remedy, classify, classify_sqlstate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::error::DbError;
use tokio_postgres::{Config, NoTls};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Transparent(tokio_postgres::Error);

/// The driver's error when a server answers the start with `answer`, and closes.
fn refused_with(answer: Vec<u8>) -> Result<tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let (ours, mut server) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let _ = server.read(&mut [0; 4096]).await;
            let _ = server.write_all(&answer).await;
        });
        let mut config = Config::new();
        config.user("nobody");
        let connected = config.connect_raw(ours, NoTls).await;
        Ok(connected.err().ok_or("it was let in")?)
    })
}

/// An ErrorResponse with this code, and a message that says something else.
fn error_response(code: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{code}\0Mno such column: x; database is locked\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap_or_default();
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

#[test]
fn the_code_decides_through_every_wrapping_and_the_text_never() -> Result {
    for code in [
        "40001", "40P01", "42P01", "23505", "57P01", "53300", "XX001", "99999",
    ] {
        let plain = classify_sqlstate(code);
        let make = || refused_with(error_response(code));
        let told = |error: &(dyn Error + 'static)| {
            let verdict = classify(error);
            (
                verdict.class(),
                verdict.remedy(),
                verdict.rule(),
                verdict.code(),
            )
        };
        let expected = (plain.class(), plain.remedy(), plain.rule(), None);
        let error = make()?;
        assert_eq!(error.verdict().map(|v| v.rule()), Some(plain.rule()));
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        let cause: &DbError = cause.ok_or("what the server said is the cause")?;
        assert_eq!(cause.verdict().map(|v| v.rule()), Some(plain.rule()));
        for error in [
            Box::new(make()?) as Box<dyn Error>,
            Box::new(Transparent(make()?)),
            Box::new(Arc::new(make()?)),
            Box::new(Box::new(make()?)),
            Box::new(std::io::Error::other(make()?)),
            Box::new(std::io::Error::other(Transparent(make()?))),
        ] {
            assert_eq!(told(&*error), expected, "{error:?}");
        }
        let error = anyhow::Error::from(make()?)
            .context("connect")
            .context("tick");
        assert_eq!(told(error.as_ref()), expected);
    }
    Ok(())
}

#[test]
fn a_connection_that_is_gone_wants_a_new_one() -> Result {
    let error = refused_with(Vec::new())?;
    let verdict = classify(&error);
    assert_eq!(verdict.remedy(), Remedy::Reopen, "{verdict} {error:?}");
    assert!(matches!(verdict.class(), Class::Disconnected | Class::Io));
    Ok(())
}

#[test]
fn what_has_no_code_and_is_not_closed_is_not_guessed_at() -> Result {
    let error = "port=x".parse::<Config>().err().ok_or("a port")?;
    assert!(error.verdict().is_none());
    // Its cause has no opinion, either.
    assert_eq!(classify(&error).class(), Class::Unknown);
    Ok(())
}
