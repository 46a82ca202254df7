//! What real SQLite says, and what we make of it: one entry per statement, none built by hand.
//!
//! The entries are in `golden/`, with SQLite's own message beside the verdict, so that an upgrade of SQLite shows what has
//! changed. `GOLDEN=print cargo test --test golden -- --nocapture` prints them anew.
#![cfg(feature = "rusqlite")]

mod support;

use std::error::Error;

use error_classify::{Class, classify, confirm_missing};
use support::{HIDING, OPEN, database, error_of, golden, message_of, run};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[test]
fn every_golden_statement_has_its_message_and_its_verdict() -> Result {
    if let Ok(version) = std::env::var("EXPECT_SQLITE") {
        assert_eq!(rusqlite::version(), version, "the one that was asked for");
    }
    let mut different = Vec::new();
    for entry in golden() {
        let outcome = run(&database()?, entry.sql);
        let now = match &outcome {
            Ok(()) => "-".to_owned(),
            Err(error) => format!("{}\n  {}", message_of(error), classify(error)),
        };
        if std::env::var_os("GOLDEN").is_some() {
            #[expect(clippy::print_stdout, reason = "asked for")]
            {
                println!("{}\n  {now}\n", entry.sql);
            }
        }
        if now != format!("{}\n  {}", entry.message, entry.verdict) {
            different.push(format!("{}\n  {now}", entry.sql));
        }
    }
    assert!(golden().len() >= 80);
    let version = rusqlite::version();
    let different = different.join("\n\n");
    assert_eq!(
        different, "",
        "SQLite {version} says otherwise:\n{different}"
    );
    Ok(())
}

/// Messages may differ between versions; what a caller acts upon does not.
#[test]
fn a_version_that_says_it_otherwise_means_the_same() {
    // The class, and what stands in the last parentheses: remedy, rule and code.
    let meaning = |verdict: &'static str| {
        let class = verdict.split([':', ' ']).next();
        (class, verdict.rsplit_once('(').map(|(_, rest)| rest))
    };
    for (entry, other) in support::differences() {
        assert_ne!(entry.message, other.message, "{}", entry.sql);
        let same = meaning(entry.verdict) == meaning(other.verdict);
        assert!(other.message == "-" || same, "{}", entry.sql);
    }
}

#[test]
fn a_wrapping_that_can_be_seen_through_changes_nothing() -> Result {
    for entry in golden() {
        let plain = error_of(entry.sql)?;
        let plain = classify(&plain);
        for (name, wrap) in OPEN {
            let wrapped = wrap(error_of(entry.sql)?);
            let verdict = classify(wrapped.as_ref());
            let at = format!("{name}: {}", entry.sql);
            assert_eq!(verdict.to_string(), plain.to_string(), "{at}");
            assert_eq!(verdict.missing(), plain.missing(), "{at}");
        }
    }
    Ok(())
}

#[test]
fn a_wrapping_that_hides_the_error_keeps_class_code_and_rule_and_doubts_the_name() -> Result {
    for entry in golden() {
        let plain = error_of(entry.sql)?;
        let plain = classify(&plain);
        for (name, wrap) in HIDING {
            let wrapped = wrap(error_of(entry.sql)?);
            let verdict = classify(wrapped.as_ref());
            let at = format!("{name}: {}", entry.sql);
            assert_eq!(
                (
                    verdict.class(),
                    verdict.remedy(),
                    verdict.code(),
                    verdict.rule()
                ),
                (plain.class(), plain.remedy(), plain.code(), plain.rule()),
                "{at}"
            );
            let names = |v: &error_classify::Verdict<'_>| {
                v.missing()
                    .map(|m| (m.kind(), m.table().map(str::to_owned), m.name().to_owned()))
            };
            // A name that looks like the place where the statement begins is cut there.
            if entry.sql.contains(" in at offset ") {
                let name = |v: &error_classify::Verdict<'_>| names(v).map(|(.., name)| name);
                let (cut, whole) = (name(&verdict), name(&plain));
                let is_cut = whole.zip(cut).is_some_and(|(whole, cut)| {
                    whole.trim_matches('"').starts_with(cut.trim_matches('"'))
                });
                assert!(is_cut, "{at}: {verdict}");
            } else {
                assert_eq!(names(&verdict), names(&plain), "{at}");
            }
            assert!(verdict.missing().is_none_or(|m| m.is_approximate()), "{at}");
        }
    }
    Ok(())
}

#[test]
fn what_sqlite_calls_missing_is_confirmed_and_comes_back_when_it_is_made() -> Result {
    let db = database()?;
    for entry in golden() {
        let error = error_of(entry.sql)?;
        let verdict = classify(&error);
        // An alias that hides a table's own column: no look-up can see that.
        if let Some(missing) = verdict.missing()
            && entry.sql != "SELECT nope.a FROM t"
        {
            assert!(confirm_missing(&db, missing)?, "{}", entry.sql);
        }
    }
    Ok(())
}

/// FTS5 reads `word:` in a search text as a column filter and reports it with code 1. It cannot be told from drift by the error,
/// and it shows why drift is a hint.
#[test]
fn a_search_text_can_look_like_drift() -> Result {
    let db = database()?;
    let error = run(&db, "SELECT * FROM ft WHERE ft MATCH 'todo:milk'").unwrap_err();
    assert_eq!(classify(&error).class(), Class::SchemaDrift);
    assert_eq!(message_of(&error), "no such column: todo");
    Ok(())
}
