//! With the feature `serde`, stamps survive a round trip and what a status page shows has stable words.
#![cfg(feature = "serde")]

use std::io::ErrorKind;
use std::path::Path;

use fingerprint_quarantine::{FileState, Hold, Quarantine, SqliteStamp};

#[test]
fn a_stamp_read_back_equals_the_one_written() -> Result<(), Box<dyn std::error::Error>> {
    let file = tempfile::NamedTempFile::new()?;
    for path in [
        file.path(),
        Path::new("/nowhere"),
        &file.path().join("below"),
    ] {
        let stamp = SqliteStamp::of(path);
        let json = serde_json::to_string(&stamp)?;
        assert_eq!(serde_json::from_str::<SqliteStamp>(&json)?, stamp, "{json}");
        let value = serde_json::from_value::<SqliteStamp>(serde_json::to_value(stamp)?)?;
        assert_eq!(value, stamp);
    }
    Ok(())
}

#[test]
fn a_kind_without_a_word_reads_back_as_changed() -> Result<(), serde_json::Error> {
    let json = serde_json::to_string(&FileState::Unreadable(ErrorKind::BrokenPipe))?;
    assert_eq!(json, r#"{"unreadable":"other"}"#);
    let back: FileState = serde_json::from_str(r#"{"unreadable":"a word of a later version"}"#)?;
    assert_eq!(back, FileState::Unreadable(ErrorKind::Other));
    Ok(())
}

#[test]
fn what_is_held_has_stable_words() -> Result<(), serde_json::Error> {
    let boards = Quarantine::<u32, u32>::new();
    let attempt = boards.admit_stamped(&1, 1).go().unwrap();
    let held = attempt.failed(&Hold::until_changed(), |same| *same);
    let json = serde_json::to_value(held)?;
    assert_eq!(json["standing"], "held");
    assert_eq!(json["retry_in"], serde_json::Value::Null);
    assert_eq!(json["on_change"], true);
    let recovery = boards.admit_stamped(&1, 2).go().unwrap().ok();
    assert_eq!(serde_json::to_value(recovery)?["why"], "changed");
    Ok(())
}
