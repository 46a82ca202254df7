//! What would help.

use std::fmt;

/// What would help against a failure: how far back one has to go before trying again makes sense.
///
/// The litmus test, first "yes" from the top decides (it is the one gRPC uses to tell `UNAVAILABLE`, `ABORTED` and
/// `FAILED_PRECONDITION` apart, with two steps more for things that are held open and can be mended):
///
/// 1. Can the *same call*, unchanged, succeed a little later? [`RetryCall`](Self::RetryCall)
/// 2. Can it succeed once the *transaction* is started over, with everything read again? [`RestartTxn`](Self::RestartTxn)
/// 3. Can it succeed over a *new handle*, with the file or connection opened again? [`Reopen`](Self::Reopen)
/// 4. Can *this program* mend the state, for instance by a migration? [`Repair`](Self::Repair)
/// 5. Can *somebody else* mend it: free the disk, restore the file, change the mode? [`ExternalFix`](Self::ExternalFix)
/// 6. Nothing outside the request will change the answer. [`GiveUp`](Self::GiveUp)
///
/// A remedy is an upper bound for hope, not a promise: bound every retry. Order is that of the list.
///
/// With the feature `serde` it is written as its [`as_str`](Self::as_str).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Remedy {
    /// Wait a little and make the same call again. Inside a transaction the call, outside of it the statement.
    RetryCall,
    /// Roll back, begin again and read everything anew. The call alone would fail for ever.
    RestartTxn,
    /// Close the handle and open a new one; what it points to is not what is there now.
    Reopen,
    /// The program itself can mend the state. Do it once, then run once more what had failed.
    Repair,
    /// Somebody outside has to act. Leave it alone until something there changes.
    ExternalFix,
    /// The request itself is at fault, or nothing is known: the next attempt gives the same answer.
    GiveUp,
}

// ===== impl Remedy =====

impl Remedy {
    /// Every remedy, in the order of the litmus test.
    pub const ALL: &[Self] = &[
        Self::RetryCall,
        Self::RestartTxn,
        Self::Reopen,
        Self::Repair,
        Self::ExternalFix,
        Self::GiveUp,
    ];

    /// The remedy in `snake_case`, for logs, metrics and reports.
    ///
    /// ```
    /// use error_classify::Remedy;
    ///
    /// assert_eq!(Remedy::RestartTxn.as_str(), "restart_txn");
    /// assert_eq!(Remedy::GiveUp.to_string(), "give_up");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryCall => "retry_call",
            Self::RestartTxn => "restart_txn",
            Self::Reopen => "reopen",
            Self::Repair => "repair",
            Self::ExternalFix => "external_fix",
            Self::GiveUp => "give_up",
        }
    }

    /// Whether trying again can help with nobody mending anything: the first three.
    ///
    /// ```
    /// use error_classify::Remedy;
    ///
    /// assert!(Remedy::Reopen.is_transient());
    /// assert!(!Remedy::Repair.is_transient());
    /// ```
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RetryCall | Self::RestartTxn | Self::Reopen)
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
