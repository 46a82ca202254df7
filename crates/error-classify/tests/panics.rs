//! Which code of an error's own a classification calls, and what a panic in it costs: the one verdict that was asked for. A text
//! is read where a wrapper hides SQLite's message, and nowhere else; nobody below an opinion is asked at all.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use error_classify::{Class, Classifier, Classify, DEPTH_MAX, Remedy, Rule, Verdict, classify};

/// A wrapper whose text panics.
#[derive(Debug)]
struct Loud<E>(E);

impl<E> fmt::Display for Loud<E> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It does not print a message.
        resume_unwind(Box::new("display"))
    }
}

impl<E: Error + 'static> Error for Loud<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// An error whose cause panics.
#[derive(Debug)]
struct Trap;

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("trap")
    }
}

impl Error for Trap {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        resume_unwind(Box::new("source"))
    }
}

/// An error whose own opinion panics.
#[derive(Debug, thiserror::Error)]
#[error("moody")]
struct Moody;

impl Classify for Moody {
    fn verdict(&self) -> Option<Verdict<'_>> {
        resume_unwind(Box::new("opinion"))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("layer")]
struct Layer(#[source] Box<dyn Error + Send + Sync>);

/// The last one panics at what the first one knows, and at an error of its own.
static OWN: Classifier<3> = Classifier::new([
    Rule::new("own/trap", |error| {
        error
            .is::<Trap>()
            .then(|| Verdict::new(Class::Misuse, Remedy::GiveUp))
    }),
    Rule::of::<Moody>("own/moody"),
    PANICS,
]);

const PANICS: Rule = Rule::new("own/panics", |error| {
    if error.is::<Trap>() || error.is::<fmt::Error>() {
        resume_unwind(Box::new("rule"))
    }
    None
});

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

/// What the classification panics with.
#[track_caller]
fn panic_of<T>(classify: impl FnOnce() -> T) -> &'static str {
    let panic = catch_unwind(AssertUnwindSafe(classify)).err();
    let panic = panic.expect("a panic is for the caller");
    panic.downcast_ref::<&str>().expect("one of these")
}

/// Asked after each panic: no verdict depends on one before it.
#[track_caller]
fn sound_errors_have_their_class() {
    let late = io::Error::from(io::ErrorKind::TimedOut);
    for (error, class) in [
        (
            Box::new(Layer(full().into())) as Box<dyn Error>,
            Class::DiskFull,
        ),
        (late.into(), Class::Busy),
        (Box::new(Layer("?".into())), Class::Unknown),
    ] {
        assert_eq!(classify(&*error).class(), class, "{error:?}");
        assert_eq!(OWN.classify(&*error).class(), class, "{error:?}");
    }
    #[cfg(feature = "rusqlite")]
    {
        let busy = sqlite(5, "database is locked");
        let drift = sqlite(1, "no such table: tasks");
        assert_eq!(classify(&busy).class(), Class::Busy);
        assert_eq!(OWN.classify(&drift).to_string(), DRIFT);
    }
}

#[cfg(feature = "rusqlite")]
const DRIFT: &str = "schema_drift: table tasks (repair; sqlite/no such table; code 1)";

#[cfg(feature = "rusqlite")]
fn sqlite(code: i32, text: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(text.to_owned()))
}

#[test]
fn an_error_with_a_kind_is_classified_whoever_panics_at_its_text() {
    for error in [
        Box::new(Loud(full())) as Box<dyn Error>,
        Box::new(Loud(Loud(full()))),
        Box::new(Loud(Layer(Box::new(Loud(full()))))),
        Box::new(Box::new(Loud(full()))),
        Box::new(Arc::new(Loud(full()))),
        io::Error::other(Loud(full())).into(),
        io::Error::new(io::ErrorKind::StorageFull, Loud(Layer("?".into()))).into(),
    ] {
        assert_eq!(classify(&*error).class(), Class::DiskFull, "{error:?}");
        assert_eq!(OWN.classify(&*error).class(), Class::DiskFull, "{error:?}");
    }
    let unknown = Loud(Layer("?".into()));
    assert_eq!(classify(&unknown).rule(), "none");
}

#[cfg(feature = "rusqlite")]
#[test]
fn an_error_with_a_code_is_classified_whoever_panics_at_its_text() {
    use rusqlite::{Error as E, ffi, types::Type};

    let loud = || Box::new(Loud(full()));
    for (error, rule) in [
        (
            Box::new(Loud(sqlite(517, "?"))) as Box<dyn Error>,
            "sqlite/BUSY_SNAPSHOT",
        ),
        (Box::new(Arc::new(Loud(sqlite(13, "?")))), "sqlite/FULL"),
        (
            io::Error::other(Loud(sqlite(11, "?"))).into(),
            "sqlite/CORRUPT",
        ),
        // The message is hidden, and the code says enough.
        (Box::new(Loud(ffi::Error::new(5))), "sqlite/BUSY"),
        // These have no code but know what they are.
        (
            Box::new(E::FromSqlConversionFailure(0, Type::Text, loud())),
            "rusqlite/value",
        ),
        (Box::new(E::ToSqlConversionFailure(loud())), "rusqlite/call"),
    ] {
        assert_eq!(classify(&*error).rule(), rule, "{error:?}");
    }
    let drift = Loud(sqlite(1, "no such table: tasks"));
    assert_eq!(
        classify(&drift).to_string(),
        DRIFT,
        "by SQLite's own message"
    );
}

#[cfg(feature = "rusqlite")]
#[test]
fn a_text_that_has_to_be_read_and_panics_costs_that_verdict_and_no_other() {
    let hidden = Loud(rusqlite::ffi::Error::new(1));
    for _ in 0..2 {
        assert_eq!(panic_of(|| classify(&hidden).class()), "display");
        sound_errors_have_their_class();
    }
    // Nobody's text is read in place of that of the wrapper around the code.
    let above = Loud(Layer(Box::new(rusqlite::ffi::Error::new(1))));
    assert_eq!(classify(&above).class(), Class::Unknown);
}

#[test]
fn a_cause_that_panics_costs_that_verdict_and_no_other() {
    for error in [
        Box::new(Trap) as Box<dyn Error>,
        Box::new(Layer(Box::new(Trap))),
        // What its carrier is would be heard only after it.
        io::Error::new(io::ErrorKind::StorageFull, Trap).into(),
    ] {
        assert_eq!(
            panic_of(|| classify(&*error).class()),
            "source",
            "{error:?}"
        );
        sound_errors_have_their_class();
        // An opinion on the error itself is all that is asked for.
        assert_eq!(OWN.classify(&*error).rule(), "own/trap", "{error:?}");
    }
    let bottom: Box<dyn Error + Send + Sync> = Box::new(Trap);
    let deep = (0..DEPTH_MAX).fold(bottom, |below, _| Box::new(Layer(below)));
    assert_eq!(classify(&*deep).rule(), "none: chain too deep");
}

#[test]
fn a_rule_or_an_opinion_that_panics_costs_that_verdict_and_no_other() {
    for (error, panic) in [
        (Box::new(fmt::Error) as Box<dyn Error>, "rule"),
        (Box::new(Layer(Box::new(fmt::Error))), "rule"),
        (Box::new(Moody), "opinion"),
        (Box::new(Loud(Moody)), "opinion"),
    ] {
        assert_eq!(
            panic_of(|| OWN.classify(&*error).class()),
            panic,
            "{error:?}"
        );
        sound_errors_have_their_class();
        assert_eq!(
            classify(&*error).rule(),
            "none",
            "{error:?}: no rule, no panic"
        );
    }
    // An outer error that is known keeps the rules from being asked about its causes.
    let veto = Classifier::new([
        Rule::new("veto", |error| error.is::<Layer>().then(Verdict::veto)),
        PANICS,
    ]);
    let vetoed = Layer(Box::new(fmt::Error));
    assert!(veto.classify(&vetoed).is_veto());
    assert_eq!(panic_of(|| veto.classify(&fmt::Error).class()), "rule");
}
