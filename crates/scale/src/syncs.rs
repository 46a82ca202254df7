//! Syncs that reach the disk, counted by strace.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// Both programs ask for these paths, which are nowhere, before and after the work.
pub(crate) const BEGIN: &str = "/scale-marker/begin";
pub(crate) const END: &str = "/scale-marker/end";

/// Syncs between the markers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syncs {
    /// Of the board's files.
    pub(crate) board: u32,
    /// Of the ledger's, and of any other file.
    pub(crate) others: u32,
}

/// strace, to be followed by a program and its arguments; `None` of it is seen but the syncs and the markers.
pub(crate) fn strace(trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-y", "-s", "200"])
        .args([
            "-e",
            "trace=fsync,fdatasync,?stat,?newfstatat,?statx,?access,?faccessat,?faccessat2",
        ])
        .arg("-o")
        .arg(trace);
    command
}

pub(crate) fn is_there() -> bool {
    let mut version = Command::new("strace");
    version.arg("-V").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// What a trace says.
pub(crate) fn count(trace: &Path) -> Result<Syncs> {
    counted(&fs::read_to_string(trace)?)
}

fn counted(trace: &str) -> Result<Syncs> {
    let (_, rest) = trace.split_once(BEGIN).ok_or("no begin in the trace")?;
    let (between, _) = rest.split_once(END).ok_or("no end in the trace")?;
    let mut syncs = Syncs::default();
    for line in between.lines() {
        // One that another thread's call has cut in two has its file in the first half.
        if line.contains(" fsync(") || line.contains(" fdatasync(") {
            match line.contains("/kanban.db") {
                true => syncs.board += 1,
                false => syncs.others += 1,
            }
        }
    }
    Ok(syncs)
}

#[cfg(test)]
mod tests {
    use super::{Syncs, counted};

    #[test]
    fn syncs_between_the_markers_are_counted_by_whose_they_are() -> crate::Result {
        let trace = "1 fdatasync(3</r/kanban.db-wal>) = 0\n\
                     1 statx(AT_FDCWD, \"/scale-marker/begin\", 0) = -1 ENOENT\n\
                     2 fdatasync(3</r/kanban.db-wal> <unfinished ...>\n\
                     1 fdatasync(5</r/kanban/.dispatcher/state.db-wal>) = 0\n\
                     2 <... fdatasync resumed>) = 0\n\
                     2 fsync(3</r/kanban.db>) = 0\n\
                     1 statx(AT_FDCWD, \"/scale-marker/end\", 0) = -1 ENOENT\n\
                     1 fsync(3</r/kanban.db>) = 0\n";
        let expected = Syncs {
            board: 2,
            others: 1,
        };
        assert_eq!(counted(trace)?, expected);
        assert!(counted("").is_err());
        Ok(())
    }
}
