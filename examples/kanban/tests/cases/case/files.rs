//! A board's files, damaged and replaced from outside.
//!
//! They are read and written only while this process has no connection to them: closing any descriptor of a file drops the locks
//! that the process holds on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::{Case, Daemon, Result};

/// As SQLite makes them, and as the format has them.
const PAGE: usize = 4096;

/// Longer than a step of any file system's clock here.
const STEP: Duration = Duration::from_millis(50);

/// A daemon that stands still until this is dropped.
struct Stopped<'a>(&'a Daemon);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::CONT);
    }
}

impl Case {
    /// The board's content as one file, with nothing left in the log, once its workers have ended; nobody else may write to it meanwhile.
    pub(crate) fn content(&self, slug: &str) -> Result<Vec<u8>> {
        self.until("all of the log in the main file", |case| {
            let running = "SELECT count(*) FROM tasks WHERE status = ?1";
            if case.query::<i64>(slug, running, "running")? > 0 {
                return Err("a worker may write".into());
            }
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
    /// The daemon is not at it, and sees it when it is past doubt: an attempt that began before, or a file that has changed in the
    /// step of the clock in which it is looked at, would be one attempt more, now and then.
    pub(crate) fn put(&self, slug: &str, content: &[u8]) -> Result {
        let new = self.dir(slug).join("put.new");
        fs::write(&new, content)?;
        let _stopped = self.stop_between_turns(slug)?;
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
        })
    }

    /// Stops the daemon, if there is one, at a moment when this board has no turn.
    fn stop_between_turns(&self, slug: &str) -> Result<Option<Stopped<'_>>> {
        let Some(daemon) = &self.daemon else {
            return Ok(None);
        };
        self.until("the daemon between two turns of it", |case| {
            daemon.signal(Signal::STOP)?;
            let stopped = Stopped(daemon);
            case.until("a daemon that stands", |_| {
                let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid()))?;
                match stat
                    .rsplit_once(") ")
                    .is_some_and(|(_, rest)| rest.starts_with('T'))
                {
                    true => Ok(()),
                    false => Err(stat.into()),
                }
            })?;
            match case.has_turn(slug)? {
                false => Ok(Some(stopped)),
                true => Err("it has one".into()),
            }
        })
    }

    /// Whether anybody has its tick lock. The kernel is asked, since opening the file would count as a turn.
    fn has_turn(&self, slug: &str) -> Result<bool> {
        let Ok(lock) = fs::metadata(self.file(slug).with_extension("db.dispatch.lock")) else {
            return Ok(false);
        };
        let inode = format!(":{} ", lock.ino());
        let locks = fs::read_to_string("/proc/locks")?;
        Ok(locks.lines().any(|line| line.contains(&inode)))
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
