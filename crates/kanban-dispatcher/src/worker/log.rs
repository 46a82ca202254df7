//! A worker's log: one file per task, appended to, rotated only before a start.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::root::Board;

/// Opens the log of `task`, rotating it first if it is larger than `rotate_bytes`.
///
/// Makes the log directory but never its parents: those are the board, and looking must not create one.
pub(super) fn open(board: &Board, task: &str, rotate_bytes: u64, backups: u32) -> io::Result<File> {
    let dir = board.logs_dir();
    make_dir(&dir)?;
    let path = dir.join(format!("{task}.log"));
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > rotate_bytes) {
        rotate(&path, backups)?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// `.log.2` -> `.log.3` and so on; the oldest is dropped.
fn rotate(path: &Path, backups: u32) -> io::Result<()> {
    let generation = |n: u32| -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        if n > 0 {
            name.push(format!(".{n}"));
        }
        name.into()
    };
    if backups == 0 {
        return fs::remove_file(path);
    }
    for n in (0..backups).rev() {
        match fs::rename(generation(n), generation(n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
