//! Removing scratch directories that nobody needs any more.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Transaction;

use super::super::value;
use super::{OPEN, Result};
use crate::root::Board;

/// The scratch directories of a finished task and of its parents, as far as no open task needs them: none that waits for
/// their task, and none that works in the same place, as tasks do that a worker made.
pub(super) fn unneeded(tx: &Transaction<'_>, id: &str) -> Result<Vec<PathBuf>> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT t.workspace_path FROM tasks t WHERE t.workspace_kind = 'scratch' AND t.workspace_path <> '' \
         AND (t.id = ?1 OR t.id IN (SELECT parent_id FROM task_links WHERE child_id = ?1)) \
         AND NOT EXISTS (SELECT 1 FROM tasks o JOIN task_links l ON l.child_id = o.id \
         WHERE l.parent_id = t.id AND o.{OPEN})"
    ))?;
    let rows = statement.query_map([id], |row| value::exact(row, 0))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in rows {
        paths.extend(path?.map(PathBuf::from));
    }
    if paths.is_empty() {
        return Ok(paths);
    }
    let mut statement = tx.prepare_cached(&format!(
        "SELECT o.workspace_path FROM tasks o WHERE o.{OPEN} AND o.workspace_path <> ''"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(used) = value::shown(row, 0)?.map(PathBuf::from) else {
            continue;
        };
        // Also one that works further in, or around it; and an open parent, which is at its own.
        paths.retain(|path| !used.starts_with(path) && !path.starts_with(&used));
    }
    Ok(paths)
}

/// Removes them, each only if it lies inside the board's own directory for them. One that cannot be removed stays: the task is
/// done all the same.
pub(super) fn remove(board: &Board, paths: &[PathBuf]) {
    for path in paths {
        if let Some(path) = inside(board, path) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Where a directory really is, if that is inside the board's own directory for them. A link is none: it may lead to the directory of
/// another task.
pub(super) fn inside(board: &Board, path: &Path) -> Option<PathBuf> {
    let root = board.workspaces_dir().canonicalize().ok()?;
    let here = path.parent()?.canonicalize().ok()?.join(path.file_name()?);
    let real = path.is_absolute().then(|| path.canonicalize().ok())??;
    (real == here && real != root && real.starts_with(&root)).then_some(real)
}
