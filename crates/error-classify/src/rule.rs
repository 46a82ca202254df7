//! Opinions on single errors: the trait for your own types, and the rule that carries one into a classifier.

use std::error::Error;
use std::fmt;

use crate::Verdict;
use crate::cast::cast;

/// An error type that knows what it is.
///
/// For your own types, put into a [`Classifier`](crate::Classifier) by [`Rule::of`]. It is asked about one error of the chain;
/// causes below are asked in their turn. Needed for every `#[error(transparent)]` wrapper around an error without a code: the
/// wrapper hides it from everybody but itself.
///
/// # Examples
///
/// ```
/// use error_classify::{Class, Classify, Remedy, Verdict};
///
/// enum Fetch { Throttled, Other }
///
/// impl Classify for Fetch {
///     fn verdict(&self) -> Option<Verdict<'_>> {
///         match self {
///             Self::Throttled => Some(Verdict::new(Class::Busy, Remedy::RetryCall)),
///             Self::Other => None,
///         }
///     }
/// }
///
/// assert_eq!(Fetch::Throttled.verdict().map(|v| v.class()), Some(Class::Busy));
/// assert_eq!(Fetch::Other.verdict(), None);
/// ```
pub trait Classify {
    /// The opinion on this error alone; `None` is "no opinion", and the walk goes on.
    fn verdict(&self) -> Option<Verdict<'_>>;
}

/// What a rule asks of one error of a chain.
type Opinion = for<'e> fn(&'e (dyn Error + 'static)) -> Option<Verdict<'e>>;

/// One named opinion, made in a `const` context.
///
/// # Examples
///
/// ```
/// use error_classify::{Class, Remedy, Rule, Verdict};
/// use std::num::ParseIntError;
///
/// const NUMBERS: Rule = Rule::new("app/number", |error| {
///     error.is::<ParseIntError>().then(|| Verdict::new(Class::BadData, Remedy::GiveUp))
/// });
/// let error = "x".parse::<u8>().unwrap_err();
/// assert_eq!(NUMBERS.ask(&error).map(|v| v.rule()), Some("app/number"));
/// assert_eq!(NUMBERS.ask(&std::fmt::Error), None);
/// ```
#[derive(Clone, Copy)]
pub struct Rule {
    name: &'static str,
    opinion: Opinion,
}

// ===== impl Rule =====

impl Rule {
    /// A rule from a function, or a closure that captures nothing.
    #[must_use]
    pub const fn new(name: &'static str, opinion: Opinion) -> Self {
        Self { name, opinion }
    }

    /// The rule that asks errors of type `E` themselves.
    ///
    /// ```
    /// use error_classify::{Class, Rule};
    ///
    /// const IO: Rule = Rule::of::<std::io::Error>("app/io");
    /// let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    /// assert_eq!(IO.ask(&full).map(|v| v.class()), Some(Class::DiskFull));
    /// ```
    #[must_use]
    pub const fn of<E: Classify + Error + 'static>(name: &'static str) -> Self {
        Self::new(name, ask_itself::<E>)
    }

    /// The name that stands in the verdicts of this rule.
    ///
    /// ```
    /// # use error_classify::Rule;
    /// assert_eq!(Rule::new("app/number", |_error| None).name(), "app/number");
    /// ```
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What this rule thinks of one error, its causes left aside.
    ///
    /// ```
    /// use error_classify::{Rule, Verdict};
    ///
    /// let rule = Rule::new("app/text", |error| error.is::<std::fmt::Error>().then(Verdict::veto));
    /// assert_eq!(rule.ask(&std::fmt::Error), Some(Verdict::veto().with_rule("app/text")));
    /// assert_eq!(rule.ask(&std::io::Error::other(std::fmt::Error)), None, "only a cause");
    /// ```
    pub fn ask<'e>(&self, error: &'e (dyn Error + 'static)) -> Option<Verdict<'e>> {
        let verdict = (self.opinion)(error)?;
        Some(if verdict.has_rule() {
            verdict
        } else {
            verdict.with_rule(self.name)
        })
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.name).finish()
    }
}

fn ask_itself<'e, E: Classify + Error + 'static>(
    error: &'e (dyn Error + 'static),
) -> Option<Verdict<'e>> {
    cast::<E>(error)?.verdict()
}
