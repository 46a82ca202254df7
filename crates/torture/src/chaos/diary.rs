//! A worker's own diary: one file per process. Its beginning and end are forced to disk; signs of life in between are not, since no
//! SIGKILL takes them away.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use super::history::At;
use crate::Result;

/// What one worker wrote about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Diary {
    pub(super) board: String,
    pub(super) task: String,
    pub(super) run: i64,
    pub(super) pid: i64,
    /// Clock ticks since boot: with the pid it is nobody else.
    pub(super) start: u64,
    pub(super) began: At,
    /// The last sign of life.
    pub(super) alive: At,
    /// When it was asked to end by a signal.
    pub(super) asked: Option<At>,
    /// How it was about to end by itself without a report.
    pub(super) planned: Option<String>,
    /// What it reported, and was told to be written.
    pub(super) reported: Option<String>,
    pub(super) refused: bool,
    pub(super) ended: bool,
}

/// The diary under way.
#[derive(Debug)]
pub(super) struct Writer(File);

// ===== impl Writer =====

impl Writer {
    /// The first thing a worker does.
    pub(super) fn begin(dir: &Path, board: &str, task: &str, run: i64) -> Result<Self> {
        let pid = std::process::id();
        let start = start_of(i64::from(pid)).ok_or("no start time")?;
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(dir.join(format!("{pid}-{start}")))?;
        let mut writer = Self(file);
        writer.force(&format!("begin {board} {task} {run} {pid} {start}"))?;
        Ok(writer)
    }

    pub(super) fn note(&mut self, text: &str) -> Result {
        // One write per line: a reader sees all of it or nothing.
        Ok(self.0.write_all(format!("{} {text}\n", now()).as_bytes())?)
    }

    pub(super) fn force(&mut self, text: &str) -> Result {
        self.note(text)?;
        Ok(self.0.sync_data()?)
    }
}

// ===== impl Diary =====

impl Diary {
    /// All diaries in a directory.
    pub(super) fn all(dir: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(dir)? {
            // One that has only just made its file has not begun.
            all.extend(Self::parse(&fs::read_to_string(entry?.path())?));
        }
        Ok(all)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let lines = text.split_inclusive('\n');
        let mut diary = Self::default();
        for line in lines.filter_map(|line| line.strip_suffix('\n')) {
            let (at, line) = line.split_once(' ')?;
            let at = at.parse().ok()?;
            diary.alive = at;
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "begin" => diary.begin(at, rest)?,
                "asked" => diary.asked = Some(at),
                "planned" => diary.planned = Some(rest.to_owned()),
                "reported" => diary.reported = Some(rest.to_owned()),
                "refused" => diary.refused = true,
                "end" => diary.ended = true,
                _ => {}
            }
        }
        (diary.began > 0).then_some(diary)
    }

    fn begin(&mut self, at: At, rest: &str) -> Option<()> {
        let mut words = rest.split(' ');
        self.began = at;
        self.board = words.next()?.to_owned();
        self.task = words.next()?.to_owned();
        self.run = words.next()?.parse().ok()?;
        self.pid = words.next()?.parse().ok()?;
        self.start = words.next()?.parse().ok()?;
        Some(())
    }

    /// Whether this very process is still there.
    pub(super) fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.start)
    }

    /// The words that only this worker reports with.
    pub(super) fn token(&self) -> String {
        token(self.pid, self.start, self.run)
    }

    pub(super) fn name(&self) -> String {
        format!(
            "{}/{}: worker {} of attempt {}",
            self.board, self.task, self.pid, self.run
        )
    }
}

pub(super) fn token(pid: i64, start: u64, run: i64) -> String {
    format!("worked {pid}-{start} {run}")
}

/// The start time of a live process; a zombie has ended.
pub(super) fn start_of(pid: i64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Nanoseconds of the monotonic clock.
pub(super) fn now() -> At {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec * 1_000_000_000 + time.tv_nsec).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diary_is_read_as_it_was_written_and_half_a_line_is_none() -> Result {
        let dir = tempfile::tempdir()?;
        let mut writer = Writer::begin(dir.path(), "b", "t_1", 7)?;
        writer.note("beat")?;
        writer.force("asked")?;
        writer.force("reported complete")?;
        let read = Diary::all(dir.path())?.remove(0);
        assert_eq!((&*read.board, &*read.task, read.run), ("b", "t_1", 7));
        assert!(read.asked.is_some_and(|at| at > read.began) && !read.ended);
        assert_eq!(read.reported.as_deref(), Some("complete"));
        assert!(read.is_alive());
        writer.force("end")?;
        assert!(Diary::all(dir.path())?[0].ended);
        assert_eq!(Diary::parse("5 begin b t_1 7 1 9"), None);
        let cut = Diary::parse("5 begin b t_1 7 1 9\n8 beat\n9 end").ok_or("begun")?;
        assert_eq!((cut.alive, cut.ended), (8, false));
        Ok(())
    }
}
