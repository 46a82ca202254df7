//! What happens to a board's files behind everybody's back, and what is there afterwards.
//!
//! They are opened here while this process has no connection to them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::process::Signal;

use super::{Case, FAULTY, Result};

/// The format's.
const PAGE: u64 = 4096;

impl Case {
    /// Another board with the same content. Its log is not taken along: [`checkpoint`](Self::checkpoint) first.
    pub(crate) fn copy_board(&mut self, from: &str, to: &str) -> Result {
        fs::create_dir_all(self.dir(to))?;
        for name in ["kanban.db", "board.json"] {
            fs::copy(self.dir(from).join(name), self.dir(to).join(name))?;
        }
        self.boards.insert(to.to_owned());
        Ok(())
    }

    /// Moves everything that is in the log to the database file.
    pub(crate) fn checkpoint(&self, slug: &str) -> Result {
        self.until("an empty log", |case| {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            match case.db(slug)?.query_row(sql, [], |row| row.get(0))? {
                0 => Ok(()),
                busy => Err(format!("busy: {busy}").into()),
            }
        })
    }

    /// Stops the faulty board's daemon where it is and changes the board; what its files are then. It goes on when it is told to.
    pub(crate) fn change_under_daemon(&self, sql: &str) -> Result<[Vec<u8>; 2]> {
        self.daemon()?.signal(Signal::STOP)?;
        self.db(FAULTY)?.execute_batch(sql)?;
        self.bytes(FAULTY)
    }

    /// The page with which an index or a table begins.
    pub(crate) fn page(&self, slug: &str, name: &str) -> Result<u64> {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        Ok(self.query::<i64>(slug, sql, name)?.unsigned_abs())
    }

    /// Writes these bytes into a page, at this place in it.
    pub(crate) fn overwrite(&self, slug: &str, page: u64, at: u64, bytes: &[u8]) -> Result {
        let file = File::options().write(true).open(self.file(slug))?;
        Ok(file.write_all_at(bytes, (page - 1) * PAGE + at)?)
    }

    /// Writes nonsense all over a page.
    pub(crate) fn destroy(&self, slug: &str, page: u64) -> Result {
        self.overwrite(slug, page, 0, &[0xa5; PAGE as usize])
    }

    /// Cuts the last page off.
    pub(crate) fn cut(&self, slug: &str) -> Result {
        let file = File::options().write(true).open(self.file(slug))?;
        let length = file.metadata()?.len();
        Ok(file.set_len(length - PAGE)?)
    }

    /// The database file and its log.
    pub(crate) fn bytes(&self, slug: &str) -> Result<[Vec<u8>; 2]> {
        let log = fs::read(self.dir(slug).join("kanban.db-wal")).unwrap_or_default();
        Ok([fs::read(self.file(slug))?, log])
    }

    /// What is kept of its damage, without the logs; nothing half made may be there.
    pub(crate) fn kept(&self, slug: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir(slug))? {
            let path = entry?.path();
            let name = path.to_string_lossy();
            assert!(!name.contains(".partial"), "{name}");
            if name.contains(".corrupt.") && name.ends_with(".bak") {
                found.push(path);
            }
        }
        Ok(found)
    }
}
