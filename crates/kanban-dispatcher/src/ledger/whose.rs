//! Which board something in the ledger is about: a name can be given to another board.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, Result};

use crate::root::Board;

/// What a board is known by again: its directory, its database file, and when `board.json` says that it was made.
///
/// One of the three is enough. A restored backup is a new file in the old directory; a directory that was moved away and back is the
/// old one; and a whole board that was copied back still says when it was made. Only where all three are others was a board
/// removed and made anew. Files are known by their birth, which no other file of that name can share, where the file system tells
/// it, and by their inode elsewhere; never by their device, whose number is another one after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    /// Empty where there is none.
    parts: [String; 3],
}

/// What is found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The same board, or nothing at all: it may come back. How it is to be known from now on.
    Same(Whose),
    /// Another one.
    Other,
}

// ===== impl Whose =====

impl Whose {
    /// By looks at the directory only; nothing of the board's database is opened.
    pub(crate) fn of(board: &Board) -> Self {
        let made_at = board.made_at().map(|at| at.to_string());
        Self {
            parts: [
                birth(board.dir()),
                birth(board.db()),
                made_at.unwrap_or_default(),
            ],
        }
    }

    /// What is found now under the name of a board that was noted as this.
    pub(crate) fn compare(&self, now: &Self) -> Found {
        let parts = || self.parts.iter().zip(&now.parts);
        let is_there = now.parts.iter().any(|part| !part.is_empty());
        if is_there && !parts().any(|(noted, now)| !noted.is_empty() && noted == now) {
            return Found::Other;
        }
        let mut merged = now.clone();
        for (part, noted) in merged.parts.iter_mut().zip(&self.parts) {
            // What is away for a moment stays known.
            if part.is_empty() {
                part.clone_from(noted);
            }
        }
        Found::Same(merged)
    }

    pub(super) fn to_text(&self) -> String {
        self.parts.join(" ")
    }

    /// `None` for a text that nobody here has written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let parts: [String; 3] = parts.try_into().ok()?;
        let is_any = parts.iter().any(|part| !part.is_empty());
        is_any.then_some(Self { parts })
    }
}

/// When a file was made, as text; its inode where the file system does not tell; empty for none.
fn birth(path: &Path) -> String {
    std::fs::metadata(path).map_or_else(|_| String::new(), |metadata| of_file(&metadata))
}

fn of_file(metadata: &Metadata) -> String {
    let born = metadata.created().ok();
    let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    born.map_or_else(
        || format!("i{}", metadata.ino()),
        |born| format!("b{}.{:09}", born.as_secs(), born.subsec_nanos()),
    )
}

pub(super) const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS home (id INTEGER PRIMARY KEY CHECK (id = 1), file TEXT NOT NULL);";

/// A ledger that was copied came with its boards, as a rule: what it notes of them is true of the copies, which are known by other files.
pub(super) fn settle(db: &Connection, path: &Path) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM home WHERE file = ?1)";
    let file = birth(path);
    if db.query_row(sql, [&file], |row| row.get(0))? {
        return Ok(());
    }
    db.execute("INSERT OR REPLACE INTO home VALUES (1, ?1)", [&file])?;
    for table in ["pauses", "breakers"] {
        db.execute(&format!("UPDATE {table} SET board = NULL"), [])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(text: &str) -> Whose {
        Whose::parse(text).expect("three parts")
    }

    #[test]
    fn one_part_is_enough_and_what_is_away_stays_known() {
        let noted = whose("b1 b2 3");
        let same = |now: &str, then: &str| {
            assert_eq!(
                noted.compare(&whose(now)),
                Found::Same(whose(then)),
                "{now}"
            );
        };
        same("b1 b9 9", "b1 b9 9");
        same("b9 b2 9", "b9 b2 9");
        same("b9 b9 3", "b9 b9 3");
        same("b1  ", "b1 b2 3");
        assert_eq!(noted.compare(&whose("b9 b9 9")), Found::Other);
        // The same birth in another part means nothing.
        assert_eq!(noted.compare(&whose("b2 b1 ")), Found::Other);
        assert_eq!(whose("b1  ").compare(&whose("b9  ")), Found::Other);
        let gone = Whose {
            parts: Default::default(),
        };
        assert_eq!(noted.compare(&gone), Found::Same(noted.clone()));
        for text in ["", "  ", "b1 b2", "b1 b2 3 4"] {
            assert_eq!(Whose::parse(text), None, "{text:?}");
        }
    }
}
