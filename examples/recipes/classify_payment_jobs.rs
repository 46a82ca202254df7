//! Payment jobs: own errors say what they are, and one of them forbids to try again whatever its cause is.
//!
//! Run with `cargo run --example classify_payment_jobs`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use error_classify::{Class, Classifier, Classify, Remedy, Rule, Verdict};

#[derive(Debug)]
enum Charge {
    Declined,
    /// The bank asks for patience.
    Throttled,
    /// Nothing was sent: the cause decides.
    NotSent(io::Error),
    /// The order went out and no answer came back: money may have moved.
    Unanswered(io::Error),
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "charge the card: {self:?}")
    }
}

impl Error for Charge {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotSent(cause) | Self::Unanswered(cause) => Some(cause),
            Self::Declined | Self::Throttled => None,
        }
    }
}

impl Classify for Charge {
    fn verdict(&self) -> Option<Verdict<'_>> {
        match self {
            Self::Declined => Some(Verdict::new(Class::Constraint, Remedy::GiveUp)),
            Self::Throttled => Some(Verdict::new(Class::Busy, Remedy::RetryCall)),
            Self::NotSent(_) => None,
            // The cause looks harmless, and a second try may charge twice.
            Self::Unanswered(_) => Some(Verdict::veto()),
        }
    }
}

static JOBS: Classifier<1> = Classifier::new([Rule::of::<Charge>("payments/charge")]);

fn main() {
    let reset = || io::Error::from(ErrorKind::ConnectionReset);
    for (error, expected) in [
        (Charge::Declined, "drop"),
        (Charge::Throttled, "again"),
        (Charge::NotSent(reset()), "again"),
        (Charge::Unanswered(reset()), "ask a person"),
    ] {
        // As it comes out of the job: behind somebody else's wrapper.
        let error = io::Error::other(error);
        let verdict = JOBS.classify(&error);
        let action = match verdict.remedy() {
            _ if verdict.is_veto() => "ask a person",
            remedy if remedy.is_transient() => "again",
            _ => "drop",
        };
        println!("{action:<13} {verdict}");
        assert_eq!(action, expected, "{error}");
    }
    // Without the rule the cause alone would be heard, and the card charged again.
    let unanswered = Charge::Unanswered(reset());
    assert!(
        error_classify::classify(&unanswered)
            .remedy()
            .is_transient()
    );
}
