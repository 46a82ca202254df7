//! Reading a message through a wrapper that hides the driver's error.
//!
//! `#[error(transparent)]` and hand-written enums forward `Display` and `source()`, so the result code is reachable and the
//! message is not. The wrapper's text begins with the message; for a statement that did not compile, the statement is
//! glued behind it: ` in SELECT ... at offset 7`. The class is exact, the name is the best that can be had.

use std::error::Error;
use std::fmt::{self, Write as _};

use super::message;
use crate::Verdict;

#[cold]
pub(super) fn read(wrapper: &dyn Error, code: i32) -> Option<Verdict<'static>> {
    let mut head = Head::new();
    // An error here means that the head is full, or that a foreign `Display` failed: what came until then is read.
    let cut = write!(head, "{wrapper}").is_err();
    let said = message::read(without_statement(head.as_str(), cut))?;
    Some(said.verdict(code, 0).into_doubtful())
}

/// The message without the statement. A name may contain ` in ` too, and is then cut there: never too late, so that no
/// part of a statement can pass for a message. What is cut too early is unknown at worst.
fn without_statement(text: &str, cut: bool) -> &str {
    /// Where the messages themselves say it: before the end of SQLite's hint, and in `error in view v: ...`.
    const OWN: [&str; 2] = ["\" - should this be a string literal", "error"];
    let glued = cut
        || text.rsplit_once(" at offset ").is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
    if !glued {
        return text;
    }
    let is_own = |before: &str| before.ends_with(OWN[0]) || before == OWN[1];
    text.match_indices(" in ")
        .map(|(at, _)| &text[..at])
        .find(|before| !is_own(before))
        .unwrap_or(text)
}

/// The first bytes of what is written to it: enough for any message, and no allocation for a long statement.
struct Head {
    bytes: [u8; Self::LEN],
    used: usize,
}

impl Head {
    const LEN: usize = 512;

    const fn new() -> Self {
        Self {
            bytes: [0; Self::LEN],
            used: 0,
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.used]).unwrap_or_default()
    }
}

impl fmt::Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Self::LEN - self.used;
        let mut taken = text.len().min(room);
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        self.bytes[self.used..self.used + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.used += taken;
        if taken < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, without_statement};
    use std::fmt::Write as _;

    #[test]
    fn the_statement_is_cut_off_and_a_name_never_takes_a_part_of_it() {
        let cut = |text| without_statement(text, false);
        assert_eq!(
            cut("no such column: a in SELECT a at offset 7"),
            "no such column: a"
        );
        assert_eq!(cut("no such table: a in b"), "no such table: a in b");
        assert_eq!(
            cut("no such column: a in b at offset x"),
            "no such column: a in b at offset x"
        );
        assert_eq!(
            cut("no such column: a in b at offset "),
            "no such column: a in b at offset "
        );
        assert_eq!(
            cut("no such column: a in b in SELECT at offset 7"),
            "no such column: a"
        );
        assert_eq!(
            cut("error in view v: no such column: a in ALTER TABLE t at offset 7"),
            "error in view v: no such column: a"
        );
        let quoting = "no such column: a in SELECT ' in single-quotes?', 'b in c' at offset 7";
        assert_eq!(cut(quoting), "no such column: a");
        let hint = "no such column: \"a\" - should this be a string literal in single-quotes?";
        assert_eq!(cut(&format!("{hint} in SELECT \"a\" at offset 7")), hint);
        assert_eq!(
            without_statement("no such column: a in SELECT a, b", true),
            "no such column: a"
        );
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let mut head = Head::new();
        assert!(write!(head, "{}", "x".repeat(Head::LEN - 1)).is_ok());
        assert!(write!(head, "ä").is_err());
        assert_eq!(head.as_str().len(), Head::LEN - 1);
        assert!(write!(head, "y").is_ok());
        assert!(write!(head, "z").is_err());
        assert!(head.as_str().ends_with("xy"));
    }
}
