//! What one `stat` tells about a file. Nothing in here opens anything.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Timestamps move in steps of the kernel's clock tick, which is 1 to 10 ms: two writes within a step can look like one.
const STEP_NS: i128 = 10_000_000;
/// FAT counts in steps of 2 s, HFS+ and some network mounts in seconds.
const COARSE_STEP_NS: i128 = 2_000_000_000;

/// What a file looks like from outside. Two equal stamps mean: as far as anybody can tell without reading it, unchanged.
///
/// Compared for equality, never for "newer": a backup put back is older, and a change all the same. Each field is there for a
/// change that the others miss: the inode for a rename into place with equal times, ctime for a write whose mtime was put back
/// (`touch -r`, `cp -p`), the length for file systems with coarse times.
///
/// # Young stamps
/// A file can be written twice within one step of the file system's clock, and a stamp taken between the two writes then equals
/// the one taken after them. As git does with its index, a stamp whose ctime lies within such a step of the moment it was taken is
/// marked [`young`](Self::young), and the mark takes part in the comparison. So the same file looks different once, as soon as it
/// is old, which costs one attempt more; the stamp taken then is beyond doubt.
///
/// This needs the wall clock, because that is what file systems write down; the quarantine itself only knows monotonic time. It is
/// read once per look, before it, and only compared with ctime: nothing waits for it. So a clock that steps, or a file from the future,
/// costs one attempt more at some time. Two things stay. An attempt that writes, twice within one step, cannot be told from one that leaves
/// the file alone: where attempts may write, a hold of that length ([`Hold::at_least`](crate::Hold::at_least)) keeps them a step
/// apart. And a clock that runs ahead of the file system's by more than a step (a file server that is behind, or a step forward in just
/// that moment): then a second write within one step goes unseen, and the timer of the [`Hold`](crate::Hold) is the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FileStamp {
    /// The device; 0 where there is none (Windows).
    pub dev: u64,
    /// The inode; 0 where there is none (Windows). Not an identity by itself: file systems use a freed number again at once.
    pub ino: u64,
    /// The length in bytes.
    pub len: u64,
    /// When the content changed last, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// When content or attributes changed last (Unix), or when the file was made (Windows).
    pub ctime_ns: i128,
    /// Whether another write could still go unseen; see above.
    pub young: bool,
}

// ===== impl FileStamp =====

impl FileStamp {
    fn new(metadata: &Metadata, now: SystemTime) -> Self {
        let (dev, ino, mtime_ns, ctime_ns) = identity_and_times(metadata);
        Self {
            dev,
            ino,
            len: metadata.len(),
            mtime_ns,
            ctime_ns,
            young: is_young(mtime_ns, ctime_ns, now),
        }
    }
}

/// A file, or why there is none: absent and unreadable are states that can last and end like any other, not errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum FileState {
    /// Nothing has this name.
    Absent,
    /// The file system would not say.
    Unreadable(#[cfg_attr(feature = "serde", serde(with = "crate::kind"))] io::ErrorKind),
    /// There it is.
    Present(FileStamp),
}

// ===== impl FileState =====

impl FileState {
    /// Looks at `path`: one `stat(2)`, symbolic links followed, and one look at the wall clock.
    ///
    /// The file is never opened, and that is a promise: on POSIX, closing *any* descriptor of a file drops every lock the process
    /// holds on it, those of a database in use included.
    ///
    /// ```
    /// use fingerprint_quarantine::FileState;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let file = dir.path().join("a");
    /// assert_eq!(FileState::of(&file), FileState::Absent);
    /// std::fs::write(&file, "1")?;
    /// let before = FileState::of(&file);
    /// std::fs::write(&file, "12")?;
    /// assert_ne!(FileState::of(&file), before);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "file times are wall clock times; `of_at` takes it as an argument"
    )]
    pub fn of(path: &Path) -> Self {
        Self::of_at(path, SystemTime::now())
    }

    /// [`of`](Self::of) with the wall time as an argument, which must have been read before the call: a write between the look and a
    /// later reading could go unseen. One that never moves makes no stamp grow old.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use fingerprint_quarantine::FileState;
    ///
    /// let now = SystemTime::now();
    /// let file = tempfile::NamedTempFile::new()?;
    /// assert!(FileState::of_at(file.path(), now).is_young());
    /// assert!(!FileState::of_at(file.path(), now + Duration::from_secs(60)).is_young());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn of_at(path: &Path, now: SystemTime) -> Self {
        Self::new(fs::metadata(path), now)
    }

    /// [`of_at`](Self::of_at) with a path that is not absolute looked up from the open directory `dir`: one `fstatat(2)`. A descriptor
    /// opened with `O_PATH` will do.
    ///
    /// ```
    /// use std::{path::Path, time::SystemTime};
    /// use fingerprint_quarantine::FileState;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let open = std::fs::File::open(dir.path())?;
    /// std::fs::write(dir.path().join("a"), "1")?;
    /// let now = SystemTime::now();
    /// let state = FileState::of_in(&open, Path::new("a"), now);
    /// assert_eq!(state, FileState::of_at(&dir.path().join("a"), now));
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(all(unix, feature = "dirfd"))]
    #[must_use]
    // Part of the loop that calls it: on some machines the first return after a system call costs a third of that call.
    #[inline(always)]
    pub fn of_in(dir: impl std::os::fd::AsFd, path: &Path, now: SystemTime) -> Self {
        let ns = |seconds: i64, ns: u64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        let stat = match rustix::fs::statat(dir, path, rustix::fs::AtFlags::empty()) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Self::Absent,
            Err(error) => return Self::Unreadable(io::Error::from(error).kind()),
        };
        let (mtime_ns, ctime_ns) = (
            ns(stat.st_mtime, stat.st_mtime_nsec),
            ns(stat.st_ctime, stat.st_ctime_nsec),
        );
        Self::Present(FileStamp {
            dev: stat.st_dev,
            ino: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime_ns,
            ctime_ns,
            young: is_young(mtime_ns, ctime_ns, now),
        })
    }

    /// The stamp of a file that is there.
    ///
    /// ```
    /// # use fingerprint_quarantine::FileState;
    /// let file = tempfile::NamedTempFile::new()?;
    /// let state = FileState::of(file.path());
    /// assert_eq!(state.stamp().map(|stamp| stamp.len), Some(0));
    /// assert!(state.is_empty_file() && !state.is_absent());
    /// assert!(FileState::Absent.is_absent() && FileState::Absent.stamp().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub const fn stamp(&self) -> Option<&FileStamp> {
        match self {
            Self::Present(stamp) => Some(stamp),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// Whether nothing has this name.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the file is there and has no content.
    #[must_use]
    pub const fn is_empty_file(&self) -> bool {
        matches!(self, Self::Present(FileStamp { len: 0, .. }))
    }

    /// Whether a write could still go unseen, so that an equal state later proves nothing; see [`FileStamp`].
    #[must_use]
    pub const fn is_young(&self) -> bool {
        matches!(self, Self::Present(FileStamp { young: true, .. }))
    }

    /// This state with the age that `before` was seen at: equal to it, if nothing but the age has changed. For
    /// [`Attempt::failed`](crate::Attempt::failed), as a file that grows old during an attempt has not been changed by it.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use fingerprint_quarantine::FileState;
    ///
    /// let (now, file) = (SystemTime::now(), tempfile::NamedTempFile::new()?);
    /// let [young, old] = [now, now + Duration::from_secs(60)].map(|now| FileState::of_at(file.path(), now));
    /// assert_ne!(old, young);
    /// assert_eq!(old.aged_as(&young), young);
    /// std::fs::write(&file, "1")?;
    /// assert_ne!(FileState::of(file.path()).aged_as(&young), young);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub const fn aged_as(mut self, before: &Self) -> Self {
        if let Self::Present(stamp) = &mut self {
            stamp.young = before.is_young();
        }
        self
    }

    fn new(metadata: io::Result<Metadata>, now: SystemTime) -> Self {
        match metadata {
            Ok(metadata) => Self::Present(FileStamp::new(&metadata, now)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

/// Whether a write after a look at `now` could get the same times. `changed_ns` is the time that counts: ctime, which every write
/// moves and nobody can set.
pub(crate) fn is_young(mtime_ns: i128, changed_ns: i128, now: SystemTime) -> bool {
    let in_whole_seconds = |ns: i128| ns % 1_000_000_000 == 0;
    let step = if in_whole_seconds(mtime_ns) && in_whole_seconds(changed_ns) {
        COARSE_STEP_NS
    } else {
        STEP_NS
    };
    // Also true of a time after `now`: that file was written while we looked, or its time proves nothing.
    since_epoch(now).saturating_sub(changed_ns) < step
}

fn since_epoch(time: SystemTime) -> i128 {
    let ns = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ns(after),
        Err(before) => -ns(before.duration()),
    }
}

#[cfg(unix)]
fn identity_and_times(metadata: &Metadata) -> (u64, u64, i128, i128) {
    use std::os::unix::fs::MetadataExt;
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    (
        metadata.dev(),
        metadata.ino(),
        ns(metadata.mtime(), metadata.mtime_nsec()),
        ns(metadata.ctime(), metadata.ctime_nsec()),
    )
}

#[cfg(not(unix))]
fn identity_and_times(metadata: &Metadata) -> (u64, u64, i128, i128) {
    let ns = |time: io::Result<SystemTime>| time.map_or(0, since_epoch);
    (0, 0, ns(metadata.modified()), ns(metadata.created()))
}

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::is_young;
    use std::time::{Duration, UNIX_EPOCH};

    const SECOND: i128 = 1_000_000_000;

    fn young(mtime_ns: i128, ctime_ns: i128, now_ns: u64) -> bool {
        is_young(
            mtime_ns,
            ctime_ns,
            UNIX_EPOCH + Duration::from_nanos(now_ns),
        )
    }

    #[test]
    fn a_stamp_is_young_until_one_step_of_its_file_system_has_passed() {
        let fine = 1_700_123_456_789;
        let at = i128::from(fine);
        assert!(young(at, at, fine));
        assert!(young(at, at, fine + 9_999_999));
        assert!(!young(at, at, fine + 10_000_000));
        assert!(young(at, at, 0), "written while we looked");
        assert!(young(SECOND, SECOND, 2_999_999_999));
        assert!(!young(SECOND, SECOND, 3_000_000_000));
        // Only a file system that has whole seconds shows them in both.
        assert!(!young(SECOND, at, fine + 10_000_000));
        assert!(!young(at, 2 * SECOND, 2_010_000_000));
    }

    #[test]
    fn an_mtime_that_somebody_set_changes_nothing_about_youth() {
        let (now, old) = (1_700_000_000_005, 1);
        assert!(young(old, i128::from(now), now));
        assert!(!young(i128::from(now), old, now));
        assert!(!young(i128::from(now) + 1_000 * SECOND, old, now));
    }

    #[test]
    fn no_time_overflows() {
        assert!(!young(i128::MIN, i128::MIN, u64::MAX));
        assert!(young(i128::MAX, i128::MAX, 0));
        let before_1970 = UNIX_EPOCH - Duration::from_secs(1);
        assert!(is_young(-SECOND / 2, -SECOND / 2, before_1970));
    }
}
