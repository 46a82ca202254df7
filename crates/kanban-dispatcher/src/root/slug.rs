//! A board's name.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// A board's name: `[a-z0-9][a-z0-9_-]{0,63}`; cheap to clone.
///
/// # Examples
/// ```
/// use kanban_dispatcher::Slug;
///
/// let slug: Slug = " Web-Shop ".parse()?;
/// assert_eq!(slug.as_str(), "web-shop");
/// assert!("../etc".parse::<Slug>().is_err());
/// # Ok::<(), kanban_dispatcher::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(Arc<str>);

// ===== impl Slug =====

impl Slug {
    /// The name of the board that always exists.
    pub const DEFAULT: &'static str = "default";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the board at the root itself.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == Self::DEFAULT
    }
}

impl serde::Serialize for Slug {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl Default for Slug {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl std::str::FromStr for Slug {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.trim().to_lowercase();
        if is_name(&name) {
            return Ok(Self(name.into()));
        }
        Err(Error::new(
            ErrorKind::Input,
            format!(
                "read board name \"{text}\": allowed are 1 to 64 of a-z 0-9 _ -, starting with a letter or digit"
            ),
        ))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The rule that slugs and profile names share.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let head = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 64
        && bytes.next().is_some_and(head)
        && bytes.all(|b| head(b) || b == b'_' || b == b'-')
}
