//! What is remembered about a key, and what a re-arm did.

use std::fmt;

/// How a repair of a key ended. The outcome of the last that was allowed stays until the key is re-armed or forgotten.
///
/// With the feature `serde` it is written as its [`as_str`](Self::as_str).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// The repair returned `Ok`. Whether it helped is for the caller to see: run once more what failed.
    Repaired,
    /// The repair returned `Err`.
    Failed,
    /// The repair panicked. That counts as the one attempt.
    Panicked,
    /// The permit was dropped and no repair ran. That counts as the one attempt, too: a caller that is cancelled between
    /// two steps must not re-arm the key in silence.
    Abandoned,
    /// [`Permit::record`](crate::Permit::record) found that all attempts had been made before, for instance by earlier
    /// processes. No repair ran, and none will.
    Exhausted,
}

impl Outcome {
    /// One lowercase word, for logs and reports.
    ///
    /// ```
    /// use once_per_key_repair::Outcome;
    ///
    /// assert_eq!(Outcome::Repaired.as_str(), "repaired");
    /// assert_eq!(Outcome::Abandoned.to_string(), "abandoned");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Abandoned => "abandoned",
            Self::Exhausted => "exhausted",
        }
    }

    /// Never 0, which is "no outcome", and below 0x80, which has a meaning of its own.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Repaired => 1,
            Self::Failed => 2,
            Self::Panicked => 3,
            Self::Abandoned => 4,
            Self::Exhausted => 5,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Repaired),
            2 => Some(Self::Failed),
            3 => Some(Self::Panicked),
            4 => Some(Self::Abandoned),
            5 => Some(Self::Exhausted),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What [`RepairGate::rearm`](crate::RepairGate::rearm) found and did.
#[must_use = "only `Ready` and `AfterFlight` changed something"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rearmed {
    /// At least one attempt had been made, and the last ended so; all attempts are free again.
    Ready(Outcome),
    /// A permit is out. It keeps its turn, and all attempts are free once it has ended. Asking again before that changes nothing.
    AfterFlight,
    /// Nothing to re-arm: no attempt has been made.
    Unspent,
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn every_code_is_the_code_of_its_outcome_and_zero_is_none() {
        let known: Vec<Outcome> = (0..=u8::MAX).filter_map(Outcome::from_code).collect();
        assert_eq!(
            known,
            [
                Outcome::Repaired,
                Outcome::Failed,
                Outcome::Panicked,
                Outcome::Abandoned,
                Outcome::Exhausted,
            ]
        );
        for outcome in known {
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
        }
        assert_eq!(Outcome::from_code(0), None);
    }
}
