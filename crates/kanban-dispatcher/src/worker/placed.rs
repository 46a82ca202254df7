//! An I/O error with the place in front of it.

use std::error::Error;
use std::fmt;
use std::io;

/// The error as it is, behind the place: a kind alone does not tell that descriptors are used up.
#[derive(Debug)]
struct Placed {
    place: String,
    error: io::Error,
}

/// Puts the place where it happened in front of an error; what it is can be told as before.
pub(super) fn placed(place: impl Into<String>, error: io::Error) -> io::Error {
    let place = place.into();
    io::Error::new(error.kind(), Placed { place, error })
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.error)
    }
}

impl Error for Placed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use error_classify::{Class, classify};
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_it_is_stays_known_behind_the_place() {
        for (errno, class) in [
            (Errno::MFILE, Class::Exhausted),
            (Errno::NOMEM, Class::Exhausted),
            (Errno::NOSPC, Class::DiskFull),
            (Errno::ROFS, Class::ReadOnly),
        ] {
            let error = placed("workspace", errno.into());
            assert_eq!(classify(&error).class(), class, "{error}");
            assert!(error.to_string().starts_with("workspace: "), "{error}");
        }
    }
}
