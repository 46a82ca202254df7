//! What a worker writes down about itself: one file per process, forced to disk line by line. The dispatcher never sees them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// A worker's own record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) board: String,
    pub(crate) task: String,
    pub(crate) run: i64,
    pub(crate) pid: i64,
    /// Nanoseconds of the clock that all processes share.
    pub(crate) began: u64,
    /// `None` if it never came to its end.
    pub(crate) ended: Option<u64>,
}

/// The record under way.
#[derive(Debug)]
pub(crate) struct Record(File);

// ===== impl Record =====

impl Record {
    /// The first thing a worker does.
    pub(crate) fn begin(dir: &Path, board: &str, task: &str, run: i64) -> Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let start = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19))
            .ok_or("no start time")?;
        let pid = std::process::id();
        // The start time makes it this process's own even when its pid is used again.
        let path = dir.join(format!("{pid}-{start}"));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        let mut record = Self(file);
        record.line(&format!("begin {board} {task} {run} {pid} {}", now()))?;
        Ok(record)
    }

    /// The last one.
    pub(crate) fn end(&mut self) -> Result {
        self.line(&format!("end {}", now()))
    }

    fn line(&mut self, text: &str) -> Result {
        self.0.write_all(format!("{text}\n").as_bytes())?;
        Ok(self.0.sync_data()?)
    }
}

// ===== impl Witness =====

impl Witness {
    /// All records in a directory.
    pub(crate) fn all(dir: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(dir)? {
            let text = fs::read_to_string(entry?.path())?;
            // One that has only just made its file has not begun.
            all.extend(Self::parse(&text));
        }
        Ok(all)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut begin = lines
            .next()?
            .strip_prefix("begin ")?
            .split_ascii_whitespace();
        let end = lines.next().and_then(|line| line.strip_prefix("end "));
        Some(Self {
            board: begin.next()?.to_owned(),
            task: begin.next()?.to_owned(),
            run: begin.next()?.parse().ok()?,
            pid: begin.next()?.parse().ok()?,
            began: begin.next()?.parse().ok()?,
            ended: end.and_then(|at| at.trim().parse().ok()),
        })
    }
}

/// Nanoseconds of the monotonic clock, which counts the same in every process.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let nanos = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    nanos.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_half_a_line_is_none() -> Result {
        let dir = tempfile::tempdir()?;
        let mut record = Record::begin(dir.path(), "b", "t_1", 7)?;
        let begun = Witness::all(dir.path())?.remove(0);
        assert_eq!((&*begun.board, &*begun.task, begun.run), ("b", "t_1", 7));
        assert_eq!((begun.pid, begun.ended), (std::process::id().into(), None));
        record.end()?;
        let ended = Witness::all(dir.path())?.remove(0).ended;
        assert!(ended.is_some_and(|at| at >= begun.began));
        assert_eq!(Witness::parse("begin b t_1 7 1 5"), None);
        let cut = Witness::parse("begin b t_1 7 1 5\nend 9").ok_or("begun")?;
        assert_eq!(cut.ended, None);
        Ok(())
    }
}
