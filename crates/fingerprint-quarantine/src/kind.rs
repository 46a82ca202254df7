//! `io::ErrorKind` for serde, which has no words for it: the kinds a `stat` can end with, and one word for the rest.

use std::borrow::Cow;
use std::io::ErrorKind;

use serde::{Deserialize, Deserializer, Serializer};

const WORDS: &[(ErrorKind, &str)] = &[
    (ErrorKind::PermissionDenied, "permission denied"),
    (ErrorKind::NotADirectory, "not a directory"),
    (ErrorKind::InvalidInput, "invalid input"),
    (
        ErrorKind::StaleNetworkFileHandle,
        "stale network file handle",
    ),
    (ErrorKind::TimedOut, "timed out"),
    (ErrorKind::Interrupted, "interrupted"),
    (ErrorKind::OutOfMemory, "out of memory"),
];
const OTHER: &str = "other";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn serialize<S: Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    let word = WORDS.iter().find(|(known, _)| known == kind);
    serializer.serialize_str(word.map_or(OTHER, |(_, word)| word))
}

/// An unknown word is `Other`, which equals no kind that a look gives: the state has changed, and that is the safe side.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ErrorKind, D::Error> {
    let word = Cow::<'de, str>::deserialize(deserializer)?;
    let kind = WORDS.iter().find(|(_, known)| *known == word);
    Ok(kind.map_or(ErrorKind::Other, |(kind, _)| *kind))
}
