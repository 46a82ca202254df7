//! The class of a line: a small number that stands beside the key.

use std::fmt;

/// What kind of line this is, so that a new kind of trouble is not hidden by an old one.
///
/// Each (key, class) has its own window. A class is a number because it is compared on every check; give your own enum
/// one `From` impl and pass the enum.
///
/// # Examples
///
/// ```
/// use keyed_log_throttle::{ClassId, LogThrottle};
/// use std::time::Duration;
///
/// #[derive(Clone, Copy)]
/// enum Trouble { Locked, Corrupt }
///
/// impl From<Trouble> for ClassId {
///     fn from(trouble: Trouble) -> Self {
///         ClassId::new(trouble as u16)
///     }
/// }
///
/// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
/// assert!(throttle.check("alpha", Trouble::Locked).is_some());
/// assert!(throttle.check("alpha", Trouble::Locked).is_none());
/// assert!(throttle.check("alpha", Trouble::Corrupt).is_some(), "a new class passes at once");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ClassId(u16);

// ===== impl ClassId =====

impl ClassId {
    /// A class from its number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number of this class.
    ///
    /// ```
    /// # use keyed_log_throttle::ClassId;
    /// assert_eq!(ClassId::new(7).get(), 7);
    /// ```
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<u16> for ClassId {
    fn from(number: u16) -> Self {
        Self(number)
    }
}

impl From<ClassId> for u16 {
    fn from(class: ClassId) -> Self {
        class.0
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
