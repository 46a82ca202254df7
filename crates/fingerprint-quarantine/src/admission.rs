//! What the quarantine answers, and why.

use std::fmt;

use crate::attempt::Attempt;
use crate::clock::Monotonic;
use crate::held::Held;

/// Whether a key may be attempted now; from `admit`.
#[must_use = "an admission holds the key's one attempt"]
pub enum Admission<'q, K, T, C = Monotonic, Q: ?Sized = K> {
    /// Try it, and say how it went.
    Go(Attempt<'q, K, T, C, Q>),
    /// Leave it alone.
    Held(Held),
    /// Leave it to somebody else, who looks at it or tries it at this moment.
    Probing,
}

// ===== impl Admission =====

impl<'q, K, T, C, Q: ?Sized> Admission<'q, K, T, C, Q> {
    /// The attempt, if there is one.
    ///
    /// ```
    /// # use fingerprint_quarantine::Quarantine;
    /// let quarantine = Quarantine::<String, u64>::new();
    /// assert!(quarantine.admit("a", || 1).go().is_some());
    /// ```
    pub fn go(self) -> Option<Attempt<'q, K, T, C, Q>> {
        match self {
            Self::Go(attempt) => Some(attempt),
            Self::Held(_) | Self::Probing => None,
        }
    }
}

impl<K, T: fmt::Debug, C, Q: ?Sized> fmt::Debug for Admission<'_, K, T, C, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Go(attempt) => f.debug_tuple("Go").field(attempt).finish(),
            Self::Held(held) => f.debug_tuple("Held").field(held).finish(),
            Self::Probing => f.write_str("Probing"),
        }
    }
}

/// Why an attempt is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Reason {
    /// Nothing is on record about the key.
    New,
    /// It failed once, when no stamp had been taken; now one has.
    Probation,
    /// Its stamp differs from the one its last failure started from.
    Changed,
    /// Its timer ran out.
    Timer,
    /// Somebody released it.
    Manual,
}

// ===== impl Reason =====

impl Reason {
    /// A stable lowercase word, for logs.
    ///
    /// ```
    /// # use fingerprint_quarantine::Reason;
    /// assert_eq!(Reason::Changed.as_str(), "changed");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Probation => "probation",
            Self::Changed => "changed",
            Self::Timer => "timer",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
