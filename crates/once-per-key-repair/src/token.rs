//! The proof, inside a run, that this key may be repaired now.

use std::fmt;

/// Proof, inside [`Permit::run`](crate::Permit::run), that this key may be repaired now. A repair function takes it by value.
///
/// The key comes from the token, so a permit for one key cannot repair another. A token may be sent to another thread, but not
/// out of the run.
///
/// A repair cannot be called without one:
/// ```compile_fail,E0061
/// use once_per_key_repair::Token;
/// fn repair(token: Token<'_, u32>) -> Result<(), ()> { Ok(()) }
/// let _ = repair();
/// ```
/// or with a key in its place:
/// ```compile_fail,E0308
/// use once_per_key_repair::Token;
/// fn repair(token: Token<'_, u32>) -> Result<(), ()> { Ok(()) }
/// let _ = repair(7);
/// ```
/// or with one made by hand:
/// ```compile_fail,E0451
/// use once_per_key_repair::Token;
/// let _ = Token { key: &7, attempt: 1 };
/// ```
/// or twice with the same one:
/// ```compile_fail,E0382
/// use once_per_key_repair::{Permit, Token};
/// fn repair(token: Token<'_, u32>) -> Result<(), ()> { Ok(()) }
/// fn both(permit: Permit<'_, u32>) {
///     let _ = permit.run(|token| repair(token).and(repair(token)));
/// }
/// ```
/// and it cannot be kept:
/// ```compile_fail
/// use once_per_key_repair::{Permit, Token};
/// fn keep<'g>(permit: Permit<'g, u32>) -> Result<Token<'g, u32>, ()> {
///     permit.run(|token| Ok(token))
/// }
/// ```
pub struct Token<'p, K> {
    key: &'p K,
    attempt: u32,
}

// ===== impl Token =====

impl<'p, K> Token<'p, K> {
    pub(crate) fn new(key: &'p K, attempt: u32) -> Self {
        Self { key, attempt }
    }

    /// The key to repair.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<u32>::new();
    /// let Turn::Yours(permit) = gate.enter(&7) else { unreachable!() };
    /// assert_eq!(permit.run(|token| Ok::<_, ()>(*token.key())), Ok(7));
    /// ```
    #[must_use]
    pub fn key(&self) -> &'p K {
        self.key
    }

    /// Which attempt this is, as [`Permit::attempt`](crate::Permit::attempt): a later one may go further than the first.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<u32>::new();
    /// let Turn::Yours(permit) = gate.enter(&7) else { unreachable!() };
    /// assert_eq!(permit.run(|token| Ok::<_, ()>(token.attempt())), Ok(1));
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl<K: fmt::Debug> fmt::Debug for Token<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("key", self.key)
            .field("attempt", &self.attempt)
            .finish()
    }
}
