//! Copies of damaged files, beside them: what was there before anybody touched it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use fingerprint_quarantine::SqliteFiles;
use sha2::{Digest as _, Sha256};

use crate::config;

/// A copy that was made now or was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) path: PathBuf,
    /// What its first bytes tell of what happened, if they are not a database's.
    pub(crate) header: Option<String>,
}

/// Copies a database and its log, unless a copy of the same bytes is there. Whoever calls has the board's tick lock and no connection open.
///
/// The name is made of the content, as the peer makes it, so the same damage leaves one copy, whoever meets it and how often.
///
/// The bytes are read by another process: closing a file drops every lock that a process has on it, and this one may have a
/// connection that we do not know of, when it is a part of a larger program.
///
/// # Errors
/// Why there is none: too many or too large, too little room, a failure of the disk, or the files changed meanwhile. Nothing is
/// left behind then.
pub(crate) fn keep(db: &Path, limits: &config::Evidence) -> io::Result<Copy> {
    // Beside the file itself, where the peer has its own.
    let db = db.canonicalize()?;
    let log = with_suffix(&db, "-wal");
    let files = SqliteFiles::new(&db);
    // At a fixed time, so that no file grows old between two looks.
    let stamp = || files.observe_at(SystemTime::UNIX_EPOCH);
    let before = stamp();
    let length = fs::metadata(&db)?.len();
    let log_length = fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let kept = copies(&db)?;
    let is_full = refuse(&db, limits, length + log_length, &kept);
    // One of the same content may be there all the same.
    if let Err(error) = &is_full
        && !kept.iter().any(|(_, other)| *other == length + log_length)
    {
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    let staged = Staged::new(&db);
    copy(&db, &staged.main)?;
    if log_length > 0 {
        copy(&log, &staged.log)?;
    }
    if stamp() != before {
        return Err(io::Error::other("the files changed while they were copied"));
    }
    let path = with_suffix(&db, &format!(".corrupt.{}.bak", staged.digest()?));
    if !path.exists() {
        is_full?;
        staged.publish(&path)?;
    }
    Ok(Copy {
        header: header(&path)?,
        path,
    })
}

/// The copies that are there, with their logs' bytes counted in.
fn copies(db: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let prefix = file_name(db, ".corrupt.");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory(db))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(prefix.as_encoded_bytes()) && name.ends_with(b".bak") {
            let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
            let bytes = length(&path) + length(&with_suffix(&path, "-wal"));
            found.push((path, bytes));
        }
    }
    Ok(found)
}

fn refuse(
    db: &Path,
    limits: &config::Evidence,
    length: u64,
    kept: &[(PathBuf, u64)],
) -> io::Result<()> {
    if kept.len() >= limits.copies_max {
        let what = format!("{} are there, and no more are allowed", kept.len());
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, what));
    }
    let bytes: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
    if bytes + length > limits.bytes_max {
        let what = format!("it would make {} bytes of them", bytes + length);
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, what));
    }
    let disk = rustix::fs::statvfs(directory(db))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < length.saturating_add(limits.free_bytes_min) {
        let what = format!("only {free} bytes are free on its disk");
        return Err(io::Error::new(io::ErrorKind::StorageFull, what));
    }
    Ok(())
}

/// A copy that has no name of its own yet. Dropped, it is removed.
struct Staged {
    main: PathBuf,
    log: PathBuf,
}

impl Staged {
    fn new(db: &Path) -> Self {
        // Always the same name: what a killed process left is overwritten, and does not add up.
        let staged = Self {
            main: with_suffix(db, ".corrupt.partial"),
            log: with_suffix(db, ".corrupt.partial-wal"),
        };
        staged.remove();
        staged
    }

    /// The first 16 hexadecimal digits of the SHA-256 of main file and log.
    fn digest(&self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        for path in [&self.main, &self.log] {
            match File::open(path) {
                Ok(mut file) => {
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        match file.read(&mut buffer)? {
                            0 => break,
                            read => hasher.update(&buffer[..read]),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let digest = hasher.finalize();
        Ok(digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// The log first: a main file with its name is a whole copy.
    fn publish(&self, path: &Path) -> io::Result<()> {
        if self.log.exists() {
            File::open(&self.log)?.sync_all()?;
            fs::rename(&self.log, with_suffix(path, "-wal"))?;
        }
        File::open(&self.main)?.sync_all()?;
        fs::rename(&self.main, path)?;
        File::open(directory(path))?.sync_all()
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.main);
        let _ = fs::remove_file(&self.log);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.remove();
    }
}

/// With mode and times, as the peer copies: a copy is as private as the board.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut command = Command::new("cp");
    command.arg("-p").arg("--").arg(from).arg(to);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("run cp: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().to_owned()))
}

/// What a copy's first bytes are, where they are not those of a database. A copy is nobody's board: it may be opened.
fn header(copy: &Path) -> io::Result<Option<String>> {
    let mut bytes = [0; 16];
    let mut file = File::open(copy)?;
    if file.read_exact(&mut bytes).is_err() || bytes == *b"SQLite format 3\0" {
        return Ok(None);
    }
    // Type 20 to 23, then version 3.0 to 3.4.
    let is_tls = |at: usize| matches!(bytes[at..at + 3], [20..=23, 3, 0..=4]);
    if let Some(at) = [0, 5].into_iter().find(|at| is_tls(*at)) {
        return Ok(Some(format!(
            "a TLS record is at offset {at} of its header: a program wrote to a socket that was closed, whose number the file had then"
        )));
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(format!("its header is {hex}")))
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn file_name(path: &Path, suffix: &str) -> OsString {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(suffix);
    name
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    path.with_file_name(file_name(path, suffix))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn board(content: &[u8]) -> io::Result<(tempfile::TempDir, PathBuf)> {
        let dir = tempfile::tempdir()?;
        let db = dir.path().join("kanban.db");
        fs::write(&db, content)?;
        Ok((dir, db))
    }

    fn names(dir: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    #[test]
    fn the_same_bytes_are_one_copy_and_others_another_up_to_the_limit() -> Result {
        let (dir, db) = board(b"damage")?;
        fs::set_permissions(&db, fs::Permissions::from_mode(0o600))?;
        let limits = config::Evidence {
            copies_max: 2,
            ..config::Evidence::default()
        };
        let first = keep(&db, &limits)?;
        // The first 16 digits of `printf damage | sha256sum`, as the peer has it.
        let expected = "kanban.db.corrupt.6f5a5c61ccdbd8ff.bak";
        assert_eq!(first.path.file_name(), Some(OsStr::new(expected)));
        assert_eq!(
            fs::metadata(&first.path)?.permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(keep(&db, &limits)?, first);
        fs::write(dir.path().join("kanban.db-wal"), "a log")?;
        let second = keep(&db, &limits)?;
        assert_ne!(second, first);
        assert_eq!(fs::read(with_suffix(&second.path, "-wal"))?, b"a log");
        // Full; but what is there is found again.
        fs::write(&db, "damagE")?;
        assert_eq!(
            keep(&db, &limits).unwrap_err().kind(),
            io::ErrorKind::QuotaExceeded
        );
        fs::write(&db, "damage")?;
        assert_eq!(keep(&db, &limits)?, second);
        assert_eq!(names(dir.path())?.len(), 5, "{:?}", names(dir.path())?);
        Ok(())
    }

    #[test]
    fn what_is_too_large_or_leaves_too_little_room_is_not_copied_and_leaves_nothing() -> Result {
        let (dir, db) = board(&[1; 5_000])?;
        let default = config::Evidence::default;
        let small = config::Evidence {
            bytes_max: 4_999,
            ..default()
        };
        let error = keep(&db, &small).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded, "{error}");
        let full = config::Evidence {
            free_bytes_min: u64::MAX / 2,
            ..default()
        };
        let error = keep(&db, &full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(names(dir.path())?, ["kanban.db"]);
        Ok(())
    }
}
