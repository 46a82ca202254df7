//! Laws for any chain: the walk ends, it never panics, the code decides and not the text, and nothing of the statement leaks.
#![cfg(feature = "rusqlite")]

mod support;

use std::error::Error;
use std::io;
use std::sync::Arc;

use error_classify::{Class, Classify as _, Missing, classify};
use proptest::prelude::*;
use rusqlite::{Connection, ffi};
use support::{Context, Transparent};

type Boxed = Box<dyn Error + Send + Sync>;

/// Stands in every statement, and must not stand in any verdict.
const SECRET: &str = "s3cr3t";

/// Messages that begin like SQLite's, and go on like nobody's.
fn message() -> impl Strategy<Value = String> {
    let begin = prop::sample::select(vec![
        "",
        "no such column: ",
        "no such table: ",
        "no such ",
        "table t has no column named ",
        "table ",
        "error in view ",
        "error in view v: no such column: ",
        "duplicate column name: ",
        "near \"",
        "database disk image is malformed",
        "database is locked",
        "3 values for ",
    ]);
    let end = prop::sample::select(vec![
        "",
        " in SELECT 1 at offset 3",
        " at offset 3",
        " already exists",
        ": syntax error",
        "\"",
        " - should this be a string literal in single-quotes?",
        " has no column named x",
        " columns",
    ]);
    (begin, any::<String>(), end).prop_map(|(begin, middle, end)| format!("{begin}{middle}{end}"))
}

fn code() -> impl Strategy<Value = i32> {
    prop_oneof![
        any::<i32>(),
        0..40_i32,
        (0..40_i32, 0..40_i32).prop_map(|(p, s)| p | s << 8)
    ]
}

fn input_error(code: i32, msg: String) -> rusqlite::Error {
    rusqlite::Error::SqlInputError {
        error: ffi::Error::new(code),
        msg,
        sql: format!("SELECT nope, '{SECRET} in {SECRET}' FROM t"),
        offset: 7,
    }
}

fn end() -> impl Strategy<Value = Boxed> {
    prop_oneof![
        any::<i32>().prop_map(|n| Boxed::from(io::Error::from_raw_os_error(n))),
        any::<String>().prop_map(Boxed::from),
        any::<String>().prop_map(|name| Boxed::from(rusqlite::Error::InvalidColumnName(name))),
        code().prop_map(|code| Boxed::from(ffi::Error::new(code))),
        (code(), message()).prop_map(|(code, text)| {
            Boxed::from(rusqlite::Error::SqliteFailure(
                ffi::Error::new(code),
                Some(text),
            ))
        }),
        (code(), message()).prop_map(|(code, text)| Boxed::from(input_error(code, text))),
    ]
}

/// One layer around an error; the same kinds as in `support`, but for any error.
fn wrap(kind: u8, inner: Boxed) -> Boxed {
    match kind {
        0 => Context(inner).into(),
        1 => io::Error::other(inner).into(),
        2 => io::Error::new(io::ErrorKind::TimedOut, inner).into(),
        3 => Transparent(Context(inner)).into(),
        4 => Transparent(io::Error::other(inner)).into(),
        5 => Arc::new(Context(inner)).into(),
        6 => anyhow::Error::from_boxed(inner).context("tick").into(),
        _ => Box::new(io::Error::other(inner)).into(),
    }
}

proptest! {
    #[test]
    fn any_chain_has_a_verdict_on_one_line(
        end in end(),
        layers in prop::collection::vec(0..8_u8, 0..90),
    ) {
        let error = layers.into_iter().fold(end, |inner, kind| wrap(kind, inner));
        let verdict = classify(&*error);
        prop_assert!(verdict.depth() < 64);
        prop_assert!(!verdict.rule().is_empty());
        let shown = verdict.to_string();
        prop_assert!(!shown.contains(SECRET) && !shown.contains(char::is_control), "{}", shown);
        prop_assert_eq!(verdict.clone().into_owned(), verdict);
    }

    #[test]
    fn under_any_code_but_one_the_text_changes_nothing(code in code(), text in message()) {
        prop_assume!(code & 0xff != 1);
        let bare = ffi::Error::new(code);
        let bare = bare.verdict();
        let spoken = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text.clone()));
        prop_assert_eq!(spoken.verdict(), bare.clone());
        let pointed = input_error(code, text);
        prop_assert_eq!(pointed.verdict(), bare.clone());
        let hidden = Transparent(pointed);
        let hidden = classify(&hidden);
        let told = |v: &error_classify::Verdict<'_>| (v.class(), v.remedy(), v.code(), v.rule());
        prop_assert_eq!(Some(told(&hidden)), bare.as_ref().map(told));
    }

    #[test]
    fn wrapping_never_changes_the_class_of_a_coded_error(
        code in code(),
        text in message(),
        layers in prop::collection::vec(0..8_u8, 0..15),
    ) {
        let make = || rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text.clone()));
        let plain = make();
        let plain = classify(&plain);
        let wrapped = layers.iter().fold(Boxed::from(make()), |inner, kind| wrap(*kind, inner));
        let verdict = classify(&*wrapped);
        prop_assert_eq!(verdict.code(), plain.code());
        // A message with ` in ` of its own may be cut there if a wrapper hides it, and is unknown then: never something else.
        let cut_early = code & 0xff == 1 && text.contains(" in ") && verdict.class() == Class::Unknown;
        let told = |v: &error_classify::Verdict<'_>| (v.class(), v.remedy(), v.rule());
        prop_assert!(cut_early || told(&verdict) == told(&plain), "{} {}", verdict, plain);
    }

    /// Through real SQLite: a name comes back as it was, or it is marked as doubtful.
    #[test]
    fn a_column_s_name_comes_back_or_is_marked(name in "[^\0\"]{1,40}") {
        let db = Connection::open_in_memory().map_err(|e| TestCaseError::fail(e.to_string()))?;
        db.execute_batch("CREATE TABLE t(a)").map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assume!(!["a", "rowid", "oid", "_rowid_"].contains(&name.to_lowercase().as_str()));
        for sql in [
            format!("INSERT INTO t(\"{name}\") VALUES (1)"),
            format!("UPDATE t SET \"{name}\" = 1"),
        ] {
            let error = db.execute(&sql, []).expect_err("there is no such column");
            let verdict = classify(&error);
            prop_assert_eq!(verdict.class(), Class::SchemaDrift, "{}", error);
            let missing = verdict.missing().ok_or_else(|| TestCaseError::fail("no name"))?;
            prop_assert!(missing.is_approximate() || missing.name() == name, "{} {}", error, missing);
            if !missing.is_approximate() {
                prop_assert_eq!(error_classify::confirm_missing(&db, missing), Ok(true));
            }
            // Through a wrapper the name may be cut short; it never takes a part of the statement.
            let plain = missing.clone().into_owned();
            let hidden = Transparent(error);
            let hidden = classify(&hidden);
            prop_assert_eq!(hidden.class(), Class::SchemaDrift);
            let best = hidden.missing().map(Missing::name).unwrap_or_default();
            prop_assert!(plain.name().starts_with(best) || name.contains('.'), "{}", best);
        }
    }
}
