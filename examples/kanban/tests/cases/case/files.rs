//! A board's files, damaged and replaced from outside.
//!
//! They are read and written only while this process has no connection to them: closing any descriptor of a file drops the locks
//! that the process holds on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::{Case, Result};

/// As SQLite makes them, and as the format has them.
const PAGE: usize = 4096;

/// Longer than a step of any file system's clock here.
const STEP: Duration = Duration::from_millis(50);

impl Case {
    /// The board's content as one file, with nothing left in the log; nobody may write to it meanwhile.
    pub(crate) fn content(&self, slug: &str) -> Result<Vec<u8>> {
        self.until("all of the log in the main file", |case| {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy: i64 = case.db(slug)?.query_row(sql, [], |row| row.get(0))?;
            match busy {
                0 => Ok(()),
                _ => Err("the board is in use".into()),
            }
        })?;
        Ok(fs::read(self.file(slug))?)
    }

    /// Puts this content in the place of the board's file, in one step. There must be nothing in the log.
    ///
    /// The daemon sees it when it is past doubt: a file that has changed in the step of the clock in which it is looked at counts as
    /// changed once more, which would be one attempt more, now and then.
    pub(crate) fn put(&self, slug: &str, content: &[u8]) -> Result {
        let signal = |signal| self.daemon.as_ref().map_or(Ok(()), |it| it.signal(signal));
        let new = self.dir(slug).join("put.new");
        fs::write(&new, content)?;
        signal(Signal::STOP)?;
        fs::rename(new, self.file(slug))?;
        self.until("a file past doubt", |case| {
            let changed = fs::metadata(case.file(slug))?;
            let changed = Duration::new(
                changed.ctime().try_into()?,
                changed.ctime_nsec().try_into()?,
            );
            match (SystemTime::UNIX_EPOCH + changed).elapsed() {
                Ok(age) if age > STEP => Ok(()),
                age => Err(format!("{age:?}").into()),
            }
        })?;
        signal(Signal::CONT)
    }

    /// Where the page begins on which the tasks begin.
    pub(crate) fn tasks_page(&self, slug: &str) -> Result<usize> {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let root: i64 = self.query(slug, sql, "tasks")?;
        Ok((usize::try_from(root)? - 1) * PAGE)
    }

    /// Damages a board: the page that its tasks begin on is overwritten. What it was before.
    pub(crate) fn damage(&mut self, slug: &str) -> Result<Vec<u8>> {
        self.expect_damage(slug);
        let tasks = self.tasks_page(slug)?;
        let sound = self.content(slug)?;
        let mut damaged = sound.clone();
        damaged[tasks..tasks + PAGE].fill(0xa5);
        self.put(slug, &damaged)?;
        Ok(sound)
    }

    /// What the main file looks like from outside, its last access aside; and how long the log is.
    pub(crate) fn look(&self, slug: &str) -> Result<String> {
        let main = fs::metadata(self.file(slug))?;
        let wal = fs::metadata(self.file(slug).with_extension("db-wal"));
        let (ino, len) = (main.ino(), main.len());
        let times = (
            main.mtime(),
            main.mtime_nsec(),
            main.ctime(),
            main.ctime_nsec(),
        );
        let wal = wal.map_or(0, |wal| wal.len());
        Ok(format!("{ino} {len} {times:?} {wal}"))
    }

    /// How many copies of a damaged file lie beside the board.
    pub(crate) fn copies(&self, slug: &str) -> Result<usize> {
        let mut copies = 0;
        for entry in fs::read_dir(self.dir(slug))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            copies += usize::from(name.contains(".corrupt.") && name.ends_with(".bak"));
        }
        Ok(copies)
    }
}
