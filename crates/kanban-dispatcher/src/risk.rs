//! Programs that still write to a log that was deleted under them: nobody else will ever see what they commit, and their next checkpoint
//! overwrites what others have committed since.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::root::{Board, Slug};

/// How the kernel marks the target of a descriptor whose file has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// The boards whose deleted log some other process has open, and which. Processes of other users cannot be looked into.
pub(crate) fn deleted_logs<'b>(
    boards: impl IntoIterator<Item = &'b Board>,
) -> HashMap<Slug, String> {
    let own = std::process::id();
    let others = processes().filter(|pid| *pid != own);
    let open: HashMap<PathBuf, u32> = others
        .flat_map(|pid| deleted_logs_of(pid).map(move |log| (log, pid)))
        .collect();
    if open.is_empty() {
        // As a rule: then nobody asks where the boards' logs are.
        return HashMap::new();
    }
    let risk = |board: &Board| {
        let pid = open.get(&log_of(board.db())?)?;
        let risk = format!(
            "process {pid} ({}) works on a deleted write-ahead log: what it commits is lost, and may overwrite more; end it",
            name(*pid)
        );
        Some((board.slug().clone(), risk))
    };
    boards.into_iter().filter_map(risk).collect()
}

/// The log's path as the kernel tells it: SQLite follows symbolic links before it names its files.
fn log_of(db: &Path) -> Option<PathBuf> {
    let mut log = fs::canonicalize(db).ok()?.into_os_string();
    log.push("-wal");
    Some(log.into())
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The paths that a process's deleted logs had.
fn deleted_logs_of(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    entries.filter_map(|entry| {
        let target = fs::read_link(entry.ok()?.path()).ok()?;
        let path = target.as_os_str().as_bytes().strip_suffix(DELETED)?;
        let path = path.ends_with(b"-wal").then_some(path)?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    })
}

fn name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}
