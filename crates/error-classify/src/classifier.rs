//! The walk down a chain of causes.

use std::error::Error;
use std::io;
use std::sync::Arc;

use crate::cast::cast;
use crate::row::Row;
#[cfg(feature = "rusqlite")]
use crate::sqlite;
use crate::{Class, Remedy, Rule, Verdict};

/// How many errors of one chain are looked at. A chain that turns in a circle ends here.
pub const DEPTH_MAX: u8 = 64;

/// A list of your own rules in front of the built-in ones.
///
/// The outermost error on which anybody has an opinion decides; on one error the rules are asked in their order, then the
/// built-in knowledge. An opinion ends the walk, a [`veto`](Verdict::veto) too. A classifier is plain data: make it a
/// `static`, or keep one per caller.
///
/// # Examples
///
/// ```
/// use error_classify::{Class, Classifier, Remedy, Rule, Verdict};
/// use std::io;
///
/// // In this program a refused connection means "start the server", not "try again".
/// static CLASSIFIER: Classifier<1> = Classifier::new([Rule::new("app/no server", |error| {
///     let error = error.downcast_ref::<io::Error>()?;
///     (error.kind() == io::ErrorKind::ConnectionRefused)
///         .then(|| Verdict::new(Class::Disconnected, Remedy::Repair))
/// })]);
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// let verdict = CLASSIFIER.classify(&refused);
/// assert_eq!((verdict.remedy(), verdict.rule()), (Remedy::Repair, "app/no server"));
///
/// let denied = io::Error::from(io::ErrorKind::PermissionDenied);
/// assert_eq!(CLASSIFIER.classify(&denied).class(), Class::Permission);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Classifier<const N: usize> {
    rules: [Rule; N],
}

// ===== impl Classifier =====

impl<const N: usize> Classifier<N> {
    /// A classifier with these rules, asked in this order.
    #[must_use]
    pub const fn new(rules: [Rule; N]) -> Self {
        Self { rules }
    }

    /// What kind of failure `error` is; see [`classify`].
    ///
    /// ```
    /// use error_classify::{Class, Classifier, Remedy, Rule, Verdict};
    ///
    /// let classifier = Classifier::new([Rule::new("app/text", |error| {
    ///     error.is::<std::fmt::Error>().then(|| Verdict::new(Class::BadData, Remedy::GiveUp))
    /// })]);
    /// let error = std::io::Error::other(std::fmt::Error);
    /// let verdict = classifier.classify(&error);
    /// assert_eq!((verdict.class(), verdict.rule(), verdict.depth()), (Class::BadData, "app/text", 1));
    /// ```
    pub fn classify<'e>(&self, error: &'e (dyn Error + 'static)) -> Verdict<'e> {
        walk(&self.rules, error)
    }

    /// The rules, in their order.
    ///
    /// ```
    /// # use error_classify::{Classifier, Rule};
    /// let rules = ["app/first", "app/second"].map(|name| Rule::new(name, |_error| None));
    /// let classifier = Classifier::new(rules);
    /// assert!(classifier.rules().iter().map(Rule::name).eq(["app/first", "app/second"]));
    /// ```
    #[must_use]
    pub const fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// Tells what kind of failure an error is, and what would help.
///
/// Walks the chain of causes from the outside, through `source()` and through the payload of an [`io::Error`] (which its `source()`
/// skips), and returns the first opinion. Nobody knew it: [`Class::Unknown`], [`Remedy::GiveUp`], rule `none`.
///
/// Total: it returns for every chain, looks at no more than [`DEPTH_MAX`] errors, and panics only if a `source` or
/// `Display` of somebody else's error does. It allocates nothing as long as the driver's error can be reached by a downcast.
///
/// `anyhow::Error` is no `Error`; pass `error.as_ref()`. A `Box<dyn Error>` is passed as `&*boxed`.
///
/// # Examples
///
/// ```
/// use error_classify::{Class, Remedy, classify};
/// use std::io;
///
/// let error = anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull)).context("save board");
/// let verdict = classify(error.as_ref());
/// assert_eq!(verdict.class(), Class::DiskFull);
/// assert_eq!(verdict.remedy(), Remedy::ExternalFix);
/// assert_eq!((verdict.rule(), verdict.depth()), ("io/StorageFull", 1));
/// ```
pub fn classify<'e>(error: &'e (dyn Error + 'static)) -> Verdict<'e> {
    walk(&[], error)
}

fn walk<'e>(rules: &[Rule], error: &'e (dyn Error + 'static)) -> Verdict<'e> {
    #[cfg(feature = "rusqlite")]
    let mut parent = None;
    let mut node = error;
    // An `io::Error` that only carries another error, and how deep: heard if the other one is unknown.
    let mut carrier: Option<(&'static Row, u8)> = None;
    let mut unheard = &NOBODY_KNEW;
    let mut depth = 0;
    // Every `return` here writes the verdict where the caller wants it: one that is passed on is copied on the way.
    loop {
        for rule in rules {
            if let Some(verdict) = rule.ask(node) {
                return verdict.at(depth);
            }
        }
        #[cfg(feature = "rusqlite")]
        if let Some(error) = cast::<rusqlite::Error>(node) {
            if let Some((code, text)) = sqlite::coded(error) {
                return sqlite::by_code(code, text, depth);
            }
            if let Some(verdict) = sqlite::by_variant(error, depth) {
                return verdict;
            }
        } else if let Some(error) = cast::<rusqlite::ffi::Error>(node) {
            return sqlite::under_wrapper(error.extended_code, parent, depth);
        }
        #[cfg(feature = "tokio-postgres")]
        if let Some(row) = crate::sqlstate::row(node) {
            return Verdict::of(row, depth);
        }
        let next = match cast::<io::Error>(node) {
            None => node.source(),
            Some(error) => {
                let row = crate::io::row(error);
                let payload = error.get_ref();
                if let Some(row) = row {
                    if payload.is_none() {
                        return Verdict::of(row, depth);
                    }
                    carrier = carrier.or(Some((row, depth)));
                }
                payload.map(|payload| payload as _)
            }
        };
        let Some(next) = next.or_else(|| pointee(node)) else {
            break;
        };
        if depth + 1 == DEPTH_MAX {
            unheard = &TOO_DEEP;
            break;
        }
        #[cfg(feature = "rusqlite")]
        {
            parent = Some(node);
        }
        node = next;
        depth += 1;
    }
    let (row, depth) = carrier.unwrap_or((unheard, depth));
    Verdict::of(row, depth)
}

static NOBODY_KNEW: Row = Row::new(Class::Unknown, Remedy::GiveUp, "none");
static TOO_DEEP: Row = Row::new(Class::Unknown, Remedy::GiveUp, "none: chain too deep");

/// What a shared or boxed error points to. The pointer's `source()` is the cause of what it points to, so that an error
/// without a cause would be stepped over. Asked only at the end of a chain: it is rare, and costs a few comparisons.
#[cold]
fn pointee<'e>(node: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    fn behind<'e, E: Error + 'static>(
        node: &'e (dyn Error + 'static),
    ) -> Option<&'e (dyn Error + 'static)> {
        if let Some(shared) = cast::<Arc<E>>(node) {
            return Some(&**shared);
        }
        Some(&**cast::<Box<E>>(node)?)
    }
    #[cfg(feature = "rusqlite")]
    if let Some(error) = behind::<rusqlite::Error>(node) {
        return Some(error);
    }
    if let Some(shared) = cast::<Arc<dyn Error + Send + Sync>>(node) {
        return Some(&**shared);
    }
    behind::<io::Error>(node)
}
