//! What two `stat`s tell about a SQLite database, and why those two.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::file::{FileState, is_young};

/// As many as Linux follows before it gives up.
const LINKS_MAX: usize = 40;

/// What a SQLite database looks like from outside: its main file, and its write-ahead log if there is something in it.
///
/// In WAL mode a commit, a schema change included, touches only the `-wal` file until a checkpoint; so the log belongs to the
/// stamp. See [`WalStamp`] for which parts of it.
///
/// Left out on purpose: `-shm`, which every reader changes, and a log that is absent or empty, which are the same thing: a visit
/// that only reads makes and removes both. So a failing visit leaves the stamp alone, with one exception: the last connection to close
/// copies the log into the main file. Set `SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE` on yours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SqliteStamp {
    /// The database file.
    pub main: FileState,
    /// The write-ahead log; `None` if it is absent, empty or unreadable.
    pub wal: Option<WalStamp>,
}

// ===== impl SqliteStamp =====

impl SqliteStamp {
    /// Looks at the database `db` once. A loop keeps a [`SqliteFiles`] instead, which has the paths ready.
    ///
    /// ```
    /// use fingerprint_quarantine::SqliteStamp;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let db = dir.path().join("a.db");
    /// assert!(SqliteStamp::of(&db).is_absent());
    /// std::fs::write(&db, "")?;
    /// assert!(SqliteStamp::of(&db).is_empty_file());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn of(db: &Path) -> Self {
        SqliteFiles::new(db).observe()
    }

    /// Whether there is no database file.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        self.main.is_absent()
    }

    /// Whether the database file is there and has no content. To SQLite that is a new database; where there was one before, it is lost data.
    #[must_use]
    pub const fn is_empty_file(&self) -> bool {
        self.main.is_empty_file()
    }

    /// Whether a write could still go unseen, so that an equal stamp later proves nothing; see
    /// [`FileStamp`](crate::FileStamp).
    #[must_use]
    pub const fn is_young(&self) -> bool {
        self.main.is_young() || self.is_wal_young()
    }

    /// This stamp with the age that `before` was seen at; see [`FileState::aged_as`].
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let (now, db) = (SystemTime::now(), tempfile::NamedTempFile::new()?);
    /// let files = SqliteFiles::new(db.path());
    /// let [young, old] = [now, now + Duration::from_secs(60)].map(|now| files.observe_at(now));
    /// assert_ne!(old, young);
    /// assert_eq!(old.aged_as(&young), young);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub const fn aged_as(mut self, before: &Self) -> Self {
        self.main = self.main.aged_as(&before.main);
        if let Some(wal) = &mut self.wal {
            wal.young = before.is_wal_young();
        }
        self
    }

    const fn is_wal_young(&self) -> bool {
        matches!(self.wal, Some(WalStamp { young: true, .. }))
    }
}

/// Both files as they are, for a caller that asks more than whether the content has changed: a program that keeps a connection can see
/// that the log it writes to is no longer the one at its path, which an empty log does not show in a stamp.
///
/// ```
/// use std::time::SystemTime;
/// use fingerprint_quarantine::SqliteFiles;
///
/// let dir = tempfile::tempdir()?;
/// let files = SqliteFiles::new(&dir.path().join("a.db"));
/// std::fs::write(files.wal(), "")?;
/// let before = files.states_at(SystemTime::now());
/// std::fs::remove_file(files.wal())?;
/// let after = files.states_at(SystemTime::now());
/// assert_eq!(before.stamp(), after.stamp(), "the same content");
/// assert_eq!((before.wal.is_absent(), after.wal.is_absent()), (false, true));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SqliteStates {
    /// The database file.
    pub main: FileState,
    /// The write-ahead log, also if it is empty.
    pub wal: FileState,
    log: Option<WalStamp>,
}

// ===== impl SqliteStates =====

impl SqliteStates {
    /// What of them tells whether the content has changed.
    #[must_use]
    pub const fn stamp(&self) -> SqliteStamp {
        SqliteStamp {
            main: self.main,
            wal: self.log,
        }
    }

    fn new([main, wal]: [FileState; 2], now: SystemTime) -> Self {
        let log = WalStamp::new(wal, now);
        Self { main, wal, log }
    }
}

/// What a write-ahead log with something in it looks like from outside.
///
/// The length alone would not do: after a checkpoint the next commit writes over the start of the log and leaves its length as it was,
/// and only the times move. Of these ctime is left out: SQLite gives the log the owner of the database each time it opens it, if it
/// runs as root, so every visit would move it. Nobody sets the mtime of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct WalStamp {
    /// The device; 0 where there is none (Windows).
    pub dev: u64,
    /// The inode; 0 where there is none (Windows).
    pub ino: u64,
    /// The length in bytes, never 0.
    pub len: u64,
    /// When something was written to it last, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Whether another write could still go unseen, as in [`FileStamp`](crate::FileStamp), but by mtime.
    pub young: bool,
}

// ===== impl WalStamp =====

impl WalStamp {
    fn new(state: FileState, now: SystemTime) -> Option<Self> {
        let file = state.stamp().filter(|file| file.len > 0)?;
        Some(Self {
            dev: file.dev,
            ino: file.ino,
            len: file.len,
            mtime_ns: file.mtime_ns,
            young: is_young(file.mtime_ns, file.mtime_ns, now),
        })
    }
}

/// Where a database and its log are, to look at them again and again: two `stat`s per look, and no allocation.
///
/// SQLite resolves a link to a database and keeps the log beside the file it leads to. This is done here once; if the link is
/// made to lead elsewhere, the main file's stamp changes, and the log is found again after [`new`](Self::new).
///
/// ```
/// use fingerprint_quarantine::SqliteFiles;
///
/// let dir = tempfile::tempdir()?;
/// let files = SqliteFiles::new(&dir.path().join("a.db"));
/// let before = files.observe();
/// std::fs::write(files.wal(), "")?;
/// assert_eq!(files.observe(), before, "an empty log is no log");
/// std::fs::write(files.wal(), "frame")?;
/// assert_ne!(files.observe(), before);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SqliteFiles {
    main: PathBuf,
    wal: PathBuf,
}

// ===== impl SqliteFiles =====

impl SqliteFiles {
    /// The files of the database at `db`, which need not exist. Asks the file system only whether `db` is a link.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let files = SqliteFiles::new(Path::new("boards/a.db"));
    /// assert_eq!(files.main(), Path::new("boards/a.db"));
    /// assert_eq!(files.wal(), Path::new("boards/a.db-wal"));
    /// ```
    #[must_use]
    pub fn new(db: &Path) -> Self {
        let mut wal: OsString = resolve(db).into_os_string();
        wal.push("-wal");
        Self {
            main: db.to_owned(),
            wal: wal.into(),
        }
    }

    /// What they look like now.
    ///
    /// ```
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let db = tempfile::NamedTempFile::new()?;
    /// let files = SqliteFiles::new(db.path());
    /// let before = files.observe();
    /// std::fs::write(db.path(), "content")?;
    /// assert_ne!(files.observe(), before);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn observe(&self) -> SqliteStamp {
        self.states().stamp()
    }

    /// [`observe`](Self::observe) with the wall time as an argument, as in [`FileState::of_at`].
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let now = SystemTime::now();
    /// let db = tempfile::NamedTempFile::new()?;
    /// let files = SqliteFiles::new(db.path());
    /// assert!(files.observe_at(now).is_young());
    /// assert!(!files.observe_at(now + Duration::from_secs(60)).is_young());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn observe_at(&self, now: SystemTime) -> SqliteStamp {
        self.states_at(now).stamp()
    }

    /// Each of the two as it is now.
    ///
    /// ```
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let db = tempfile::NamedTempFile::new()?;
    /// let states = SqliteFiles::new(db.path()).states();
    /// assert!(states.main.is_empty_file() && states.wal.is_absent());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "file times are wall clock times; `states_at` takes it as an argument"
    )]
    pub fn states(&self) -> SqliteStates {
        self.states_at(SystemTime::now())
    }

    /// [`states`](Self::states) with the wall time as an argument.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let db = tempfile::NamedTempFile::new()?;
    /// let later = SystemTime::now() + Duration::from_secs(60);
    /// let states = SqliteFiles::new(db.path()).states_at(later);
    /// assert!(!states.main.is_young() && states.wal.is_absent());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn states_at(&self, now: SystemTime) -> SqliteStates {
        let states = [&self.main, &self.wal].map(|path| FileState::of_at(path, now));
        SqliteStates::new(states, now)
    }

    /// The same files by their names below the directory `dir`, for [`states_in`](Self::states_in). What is elsewhere keeps its path,
    /// which must be absolute: any other is looked up from the directory that is given there.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use fingerprint_quarantine::SqliteFiles;
    /// let files = SqliteFiles::new(Path::new("/boards/a.db"));
    /// assert_eq!(files.clone().below(Path::new("/elsewhere")), files);
    /// assert_eq!(files.below(Path::new("/boards")).wal(), Path::new("a.db-wal"));
    /// ```
    #[cfg(all(unix, feature = "dirfd"))]
    #[must_use]
    pub fn below(self, dir: &Path) -> Self {
        let name = |path: PathBuf| path.strip_prefix(dir).map(Path::to_owned).unwrap_or(path);
        Self {
            main: name(self.main),
            wal: name(self.wal),
        }
    }

    /// [`states_at`](Self::states_at), with names that are not absolute looked up from the open directory `dir`: of many databases
    /// below one directory, its own path is not walked for each. A descriptor opened with `O_PATH` will do.
    ///
    /// The descriptor stays with its directory. Whether that is still the one at its path is for the caller to see.
    ///
    /// ```
    /// use std::{path::Path, time::SystemTime};
    /// use fingerprint_quarantine::SqliteFiles;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let open = std::fs::File::open(dir.path())?;
    /// let files = SqliteFiles::new(&dir.path().join("a.db"));
    /// let named = files.clone().below(dir.path());
    /// assert_eq!(named.main(), Path::new("a.db"));
    /// assert!(named.states_in(&open, SystemTime::now()).main.is_absent());
    /// std::fs::write(files.main(), "pages")?;
    /// let now = SystemTime::now();
    /// assert_eq!(named.states_in(&open, now), files.states_at(now));
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(all(unix, feature = "dirfd"))]
    #[must_use]
    #[inline(always)] // As `FileState::of_in` is.
    pub fn states_in(&self, dir: impl std::os::fd::AsFd, now: SystemTime) -> SqliteStates {
        let main = FileState::of_in(&dir, &self.main, now);
        let wal = FileState::of_in(&dir, &self.wal, now);
        SqliteStates::new([main, wal], now)
    }

    /// The database file, as it was given.
    #[must_use]
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// The write-ahead log.
    #[must_use]
    pub fn wal(&self) -> &Path {
        &self.wal
    }
}

/// Follows links at the end of `path`. Those further up need no care: the log's path goes through them as well.
fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        // An absolute target replaces the whole of it.
        path.pop();
        path.push(target);
    }
    path
}
