//! The walk: who is asked, in which order, through which wrappers, and how far.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use error_classify::{Class, Classifier, Classify, DEPTH_MAX, Remedy, Rule, Verdict, classify};

#[derive(Debug, thiserror::Error)]
#[error("layer")]
struct Layer(#[source] Box<dyn Error + Send + Sync>);

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Transparent(#[from] io::Error);

impl Classify for Transparent {
    fn verdict(&self) -> Option<Verdict<'_>> {
        self.0.verdict()
    }
}

/// An error that knows what it is, if it is told so.
#[derive(Debug, thiserror::Error)]
#[error("own")]
struct Own(Option<Class>, #[source] Option<io::Error>);

impl Classify for Own {
    fn verdict(&self) -> Option<Verdict<'_>> {
        Some(Verdict::new(self.0?, Remedy::GiveUp))
    }
}

static OWN: Classifier<2> = Classifier::new([
    Rule::of::<Own>("own/first"),
    Rule::new("own/second", |error| {
        error
            .is::<Own>()
            .then(|| Verdict::new(Class::Misuse, Remedy::GiveUp))
    }),
]);

fn kind(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

fn deep(depth: usize, end: io::Error) -> Box<dyn Error + Send + Sync> {
    (0..depth).fold(end.into(), |below, _| Box::new(Layer(below)))
}

#[test]
fn the_outermost_opinion_wins_and_own_rules_are_asked_in_their_order() {
    let full = || Some(kind(io::ErrorKind::StorageFull));
    let both = Own(Some(Class::Busy), full());
    let verdict = OWN.classify(&both);
    assert_eq!(
        (verdict.class(), verdict.rule(), verdict.depth()),
        (Class::Busy, "own/first", 0)
    );

    // The first rule has no opinion, the second has.
    let second = Own(None, full());
    let verdict = OWN.classify(&second);
    assert_eq!(
        (verdict.class(), verdict.rule()),
        (Class::Misuse, "own/second")
    );

    // An outer built-in opinion is stronger than an inner one by a rule.
    let outer = io::Error::from(io::ErrorKind::BrokenPipe);
    assert_eq!(OWN.classify(&outer).class(), Class::Disconnected);
    assert_eq!(
        classify(&both).class(),
        Class::DiskFull,
        "without rules the cause decides"
    );
    assert_eq!(classify(&both).depth(), 1);
}

#[test]
fn a_rule_comes_before_the_built_in_knowledge_of_the_same_error() {
    let classifier = Classifier::new([Rule::new("app/missing is fine", |error| {
        let error = error.downcast_ref::<io::Error>()?;
        (error.kind() == io::ErrorKind::NotFound)
            .then(|| Verdict::new(Class::Missing, Remedy::Repair).with_rule("own name"))
    })]);
    let missing = kind(io::ErrorKind::NotFound);
    let verdict = classifier.classify(&missing);
    assert_eq!(
        (verdict.remedy(), verdict.rule()),
        (Remedy::Repair, "own name")
    );
    assert_eq!(classify(&missing).remedy(), Remedy::ExternalFix);
    assert_eq!(classifier.rules()[0].name(), "app/missing is fine");
}

#[test]
fn a_veto_keeps_everything_below_from_being_heard() {
    let classifier = Classifier::new([Rule::new("app/veto", |error| {
        error.is::<Own>().then(Verdict::veto)
    })]);
    let error = Layer(Box::new(Own(None, Some(kind(io::ErrorKind::StorageFull)))));
    let verdict = classifier.classify(&error);
    assert!(verdict.is_veto());
    assert_eq!(
        (verdict.class(), verdict.rule()),
        (Class::Unknown, "app/veto")
    );
    assert_eq!(verdict.depth(), 1);
    assert_eq!(classify(&error).class(), Class::DiskFull);
}

#[test]
fn the_kind_of_a_carrier_is_heard_only_if_its_payload_is_unknown() {
    let denied = |payload: Box<dyn Error + Send + Sync>| {
        io::Error::new(io::ErrorKind::PermissionDenied, payload)
    };
    let text = denied("no".into());
    assert_eq!(classify(&text).class(), Class::Permission);
    assert_eq!(classify(&text).depth(), 0);
    let full = denied(kind(io::ErrorKind::StorageFull).into());
    assert_eq!(
        (classify(&full).class(), classify(&full).depth()),
        (Class::DiskFull, 1)
    );
    // Of two carriers the outer one decides.
    let two = denied(io::Error::new(io::ErrorKind::TimedOut, "late").into());
    assert_eq!(classify(&two).class(), Class::Permission);
    let other = io::Error::other(denied("no".into()));
    assert_eq!(
        (classify(&other).class(), classify(&other).depth()),
        (Class::Permission, 1)
    );
}

#[test]
fn shared_and_boxed_errors_without_a_cause_are_not_stepped_over() {
    let full = || kind(io::ErrorKind::StorageFull);
    let any: Arc<dyn Error + Send + Sync> = Arc::new(full());
    for error in [
        Box::new(Arc::new(full())) as Box<dyn Error>,
        Box::new(Box::new(full())),
        Box::new(any),
        Box::new(Layer(Box::new(Arc::new(full())))),
        Box::new(Arc::new(io::Error::other(full()))),
    ] {
        assert_eq!(classify(&*error).class(), Class::DiskFull, "{error:?}");
    }
}

/// The limit that the crate page names, and the way out of it.
#[test]
fn a_transparent_wrapper_hides_an_error_without_code_unless_it_speaks_for_itself() {
    let error = Transparent(kind(io::ErrorKind::StorageFull));
    assert_eq!(classify(&error).class(), Class::Unknown);
    let classifier = Classifier::new([Rule::of::<Transparent>("app/transparent")]);
    let verdict = classifier.classify(&error);
    assert_eq!(
        (verdict.class(), verdict.rule()),
        (Class::DiskFull, "io/StorageFull")
    );
}

#[test]
fn nothing_known_is_unknown_and_says_how_far_one_looked() {
    let verdict_of = |error: &(dyn Error + 'static)| classify(error).into_owned();
    let unknown = verdict_of(&Layer(Box::new(fmt::Error)));
    assert_eq!(
        (unknown.class(), unknown.remedy()),
        (Class::Unknown, Remedy::GiveUp)
    );
    assert_eq!(
        (unknown.rule(), unknown.depth(), unknown.code()),
        ("none", 1, None)
    );
    assert!(!unknown.is_veto());
}

#[test]
fn the_walk_ends_at_its_bound_and_not_before() {
    let full = || kind(io::ErrorKind::StorageFull);
    let last = usize::from(DEPTH_MAX) - 1;
    let verdict_of = |error: Box<dyn Error + Send + Sync>| classify(&*error).into_owned();
    let reached = verdict_of(deep(last, full()));
    assert_eq!((reached.class(), reached.depth()), (Class::DiskFull, 63));
    let beyond = verdict_of(deep(last + 1, full()));
    assert_eq!((beyond.class(), beyond.depth()), (Class::Unknown, 63));
    assert_eq!(beyond.rule(), "none: chain too deep");
    let carried = io::Error::new(io::ErrorKind::TimedOut, deep(100, full()));
    assert_eq!(
        classify(&carried).class(),
        Class::Busy,
        "what was heard until then"
    );
}

#[test]
fn a_chain_that_turns_in_a_circle_is_left() {
    #[derive(Debug)]
    struct Circle;
    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("round")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    assert_eq!(classify(&Circle).rule(), "none: chain too deep");
}
