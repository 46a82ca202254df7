//! A worker's log: one file per task, appended to, rotated only before a start.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;

use super::placed::placed;
use crate::root::Board;

/// Opens the log of `task`, rotating it first if it is larger than `rotate_bytes`.
///
/// Makes the log directory but never its parents: those are the board, and looking must not create one.
pub(super) fn open(board: &Board, task: &str, rotate_bytes: u64, backups: u32) -> io::Result<File> {
    let dir = board.logs_dir();
    make_dir(&dir)?;
    let path = dir.join(format!("{task}.log"));
    open_at(&path, rotate_bytes, backups)
        .map_err(|error| placed(format!("log {}", path.display()), error))
}

fn open_at(path: &Path, rotate_bytes: u64, backups: u32) -> io::Result<File> {
    match judged(path)? {
        Some((_, size)) if size > rotate_bytes => rotate(path, backups),
        Some((held, _)) => return appended(&held),
        None => {}
    }
    // Somebody may have put something there since, or it could not be moved: it is judged like anything else.
    let made = OpenOptions::new().append(true).create_new(true).open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match judged(path)? {
            Some((held, _)) => appended(&held),
            None => Err(error),
        },
        made => made,
    }
}

/// The log that is there, held but not opened, and its size; none if there is none.
///
/// No link of either kind, which may lead to a board, and no pipe, which would be waited for: all of them can be made by whoever works
/// there. It is judged before it is opened, because closing a board's file would drop every lock that we have on it.
fn judged(path: &Path) -> io::Result<Option<(OwnedFd, u64)>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        held => held?,
    };
    let metadata = fstat(&held)?;
    let is_file = FileType::from_raw_mode(metadata.st_mode) == FileType::RegularFile;
    if !is_file || metadata.st_nlink > 1 {
        let what = "it is a link, or no file: remove it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(Some((held, metadata.st_size.unsigned_abs())))
}

/// Opens what is held, and nothing else that may be at its path by now.
fn appended(held: &OwnedFd) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    OpenOptions::new().append(true).open(path)
}

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// `.log.2` -> `.log.3` and so on; the oldest is dropped. What cannot be moved stays: a log is no reason not to start.
fn rotate(path: &Path, backups: u32) {
    let generation = |n: u32| -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        if n > 0 {
            name.push(format!(".{n}"));
        }
        name.into()
    };
    if backups == 0 {
        let _ = fs::remove_file(path);
    }
    for n in (0..backups).rev() {
        let _ = fs::rename(generation(n), generation(n + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use rusqlite::{Connection, OpenFlags};

    use super::*;
    use crate::root::{Root, Slug};

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    const LIMIT: u64 = 8;

    /// The names and contents of a task's logs after each of these was written by one attempt.
    fn logs(attempts: &[&str], backups: u32) -> Result<Vec<(String, String)>> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("kanban"))?;
        let board = Root::at(dir.path()).board(&Slug::default());
        for text in attempts {
            open(&board, "t", LIMIT, backups)?.write_all(text.as_bytes())?;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(board.logs_dir())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(entry.path())?));
        }
        found.sort();
        Ok(found)
    }

    fn named(found: &[(String, String)]) -> Vec<(&str, &str)> {
        let found = found.iter();
        found.map(|(name, text)| (&**name, &**text)).collect()
    }

    #[test]
    fn a_log_that_is_too_large_makes_room_before_a_start_and_only_then() -> Result {
        let (one, two, three) = ("111111111", "222222222", "333333333");
        let found = logs(&[one, two, three], 1)?;
        assert_eq!(named(&found), [("t.log", three), ("t.log.1", two)]);
        let found = logs(&[one, two, three, "4"], 3)?;
        let kept = [
            ("t.log", "4"),
            ("t.log.1", three),
            ("t.log.2", two),
            ("t.log.3", one),
        ];
        assert_eq!(named(&found), kept);
        let found = logs(&[one, two], 0)?;
        assert_eq!(named(&found), [("t.log", two)]);
        Ok(())
    }

    #[test]
    fn a_log_of_exactly_the_limit_is_appended_to() -> Result {
        assert_eq!(
            named(&logs(&["12345678", "9"], 1)?),
            [("t.log", "123456789")]
        );
        Ok(())
    }

    #[test]
    fn a_log_that_cannot_be_moved_is_appended_to() -> Result {
        let dir = tempfile::tempdir()?;
        let board = Root::at(dir.path()).board(&Slug::default());
        fs::create_dir_all(board.logs_dir().join("t.log.1"))?;
        open(&board, "t", 0, 1)?.write_all(b"a")?;
        open(&board, "t", 0, 1)?.write_all(b"b")?;
        assert_eq!(fs::read_to_string(board.logs_dir().join("t.log"))?, "ab");
        Ok(())
    }

    #[test]
    fn a_link_or_a_pipe_in_a_logs_place_is_no_log() -> Result {
        let dir = tempfile::tempdir()?;
        let board = Root::at(dir.path()).board(&Slug::default());
        fs::create_dir_all(board.logs_dir())?;
        fs::write(board.db(), "a board")?;
        std::os::unix::fs::symlink(board.db(), board.logs_dir().join("link.log"))?;
        let error = open(&board, "link", LIMIT, 1).unwrap_err().to_string();
        assert!(error.contains("link.log"), "{error}");
        assert_eq!(fs::read_to_string(board.db())?, "a board");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            board.logs_dir().join("pipe.log"),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )?;
        // Whoever opens it to be written to waits for a reader, who never comes.
        assert!(open(&board, "pipe", LIMIT, 1).is_err());
        Ok(())
    }

    #[test]
    fn a_second_name_of_a_board_is_no_log_and_costs_no_lock() -> Result {
        let dir = tempfile::tempdir()?;
        let board = Root::at(dir.path()).board(&Slug::default());
        fs::create_dir_all(board.logs_dir())?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let db = Connection::open_with_flags(board.db(), flags)?;
        db.execute_batch("CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")?;
        let locks = || -> Result<BTreeSet<String>> {
            let ours = (std::process::id().to_string(), board.db().metadata()?.ino());
            let locks = fs::read_to_string("/proc/locks")?;
            let ours = |line: &&str| {
                line.contains(&format!(" {} ", ours.0)) && line.contains(&format!(":{} ", ours.1))
            };
            // Without its number in the list.
            let lock = |line: &str| line.split_once(": ").map(|(_, lock)| lock.to_owned());
            Ok(locks.lines().filter(ours).filter_map(lock).collect())
        };
        // Others come and go while the list is read, and then it lacks one or has it twice.
        let held: BTreeSet<String> = (0..20).flat_map(|_| locks()).flatten().collect();
        assert!(!held.is_empty(), "it has its locks");
        fs::hard_link(board.db(), board.logs_dir().join("hard.log"))?;
        // Of a size that would be rotated, and of one that would not.
        for limit in [0, u64::MAX] {
            let error = open(&board, "hard", limit, 1).unwrap_err().to_string();
            assert!(
                error.contains("hard.log") && error.contains("link"),
                "{error}"
            );
            // What is lost does not come back.
            let is_held = || locks().is_ok_and(|now| now == held);
            assert!(
                (0..1000).any(|_| is_held()),
                "{held:?}, and now {:?}",
                locks()?
            );
        }
        Ok(())
    }
}
