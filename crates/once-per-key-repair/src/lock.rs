//! One process at a time: an advisory lock on a file beside the thing that is repaired.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use crate::outcome::Outcome;
use crate::permit::Permit;

/// Why [`Permit::lock`] could not have the lock. The repair has not run, and the turn has been given back.
#[derive(Debug)]
pub struct LockError {
    path: PathBuf,
    kind: LockErrorKind,
    source: Option<io::Error>,
}

/// The kinds of [`LockError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockErrorKind {
    /// Somebody holds it, in this process or in another: they repair it now. Come back later.
    Busy,
    /// The file was removed or replaced while it was being locked, so another process may hold the lock of the new one.
    Replaced,
    /// It is not an empty regular file, so it may be the very thing that is to be repaired. It has not been opened.
    NotALock,
    /// The file system refused: no directory, no right, or no locks. The [`source`](std::error::Error::source) tells which.
    Io,
}

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    /// The process that took it.
    pid: u32,
}

// ===== impl Permit =====

impl<K> Permit<'_, K> {
    /// Takes the lock of the file at `path` without waiting, looks again with `still_broken`, and returns the permit to run.
    /// The permit holds the lock until its turn ends, however it ends. Needs the feature `interprocess`.
    ///
    /// `None` when the thing is not broken any more. Then another process has repaired it, or the caller's news was old. The turn
    /// has ended as [`Outcome::Repaired`] without a run: all processes share the one repair, and those who wait may go on.
    ///
    /// All processes must use the same path for a key, and a path for nothing else. Rules for that file:
    ///
    /// - *It is empty, and never the thing itself.* It is made if it is missing; one that has content is refused unopened. (To
    ///   open and close a SQLite file drops the locks that this process has on it.)
    /// - *Never delete it.* Whoever waits for the old one and whoever makes a new one would both hold "the" lock. It is
    ///   checked after locking that the path still leads to the locked file (on Unix), but not while the repair runs.
    /// - *Keep it on a local disk.* Some network file systems emulate the lock, lose it when their server restarts, or know
    ///   it on one host only. One that refuses fails closed, with an error.
    ///
    /// The lock ends with the turn, or with the process, also when it is killed; only then a child that was forked without
    /// `exec` during the repair still keeps it. Programs that do not ask for the lock are not kept out.
    ///
    /// # Errors
    /// Any reason not to have the lock, by [`LockError::kind`]. The turn has been forfeited: the next visit tries again.
    ///
    /// # Panics
    /// Only if `still_broken` does; the turn is then abandoned, and the lock free.
    ///
    /// # Examples
    /// ```
    /// use once_per_key_repair::{LockErrorKind, Outcome, RepairGate, Turn};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let path = dir.join("orders.repair-lock");
    /// let [here, there] = [RepairGate::<String>::new(), RepairGate::new()]; // as in two processes
    /// let Turn::Yours(permit) = here.enter("orders") else { unreachable!() };
    /// let permit = permit.lock(&path, |_key| true)?.expect("it is broken");
    ///
    /// let Turn::Yours(second) = there.enter("orders") else { unreachable!() };
    /// assert_eq!(second.lock(&path, |_key| true).unwrap_err().kind(), LockErrorKind::Busy);
    ///
    /// permit.run(|_token| Ok::<(), ()>(())).unwrap();
    /// let Turn::Yours(third) = there.enter("orders") else { unreachable!() };
    /// assert!(third.lock(&path, |_key| false)?.is_none());
    /// assert_eq!(there.outcome("orders"), Some(Outcome::Repaired));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(
        mut self,
        path: impl AsRef<Path>,
        still_broken: impl FnOnce(&K) -> bool,
    ) -> Result<Option<Self>, LockError> {
        match acquire(path.as_ref()) {
            Ok(held) => self.keep_lock(held),
            Err(error) => {
                self.forfeit();
                return Err(error);
            }
        }
        if still_broken(self.key()) {
            return Ok(Some(self));
        }
        self.settle(Outcome::Repaired);
        Ok(None)
    }
}

// ===== impl LockError =====

impl LockError {
    fn new(path: &Path, kind: LockErrorKind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            source: None,
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        Self {
            source: Some(source),
            ..Self::new(path, LockErrorKind::Io)
        }
    }

    /// What stood in the way.
    ///
    /// ```
    /// # use once_per_key_repair::{LockErrorKind, RepairGate, Turn};
    /// let gate = RepairGate::<u32>::new();
    /// let Turn::Yours(permit) = gate.enter(&7) else { unreachable!() };
    /// let error = permit.lock("no/such/directory/lock", |_| true).unwrap_err();
    /// assert_eq!(error.kind(), LockErrorKind::Io);
    /// assert!(matches!(gate.enter(&7), Turn::Yours(_)), "nothing is spent");
    /// ```
    #[must_use]
    pub fn kind(&self) -> LockErrorKind {
        self.kind
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            LockErrorKind::Busy => ": another repair holds it",
            LockErrorKind::Replaced => ": the file was replaced meanwhile",
            LockErrorKind::NotALock => ": not an empty file",
            LockErrorKind::Io => "",
        };
        write!(f, "lock {}{why}", self.path.display())
    }
}

impl error::Error for LockError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

// ===== the lock =====

fn acquire(path: &Path) -> Result<Held, LockError> {
    let refuse = |kind| LockError::new(path, kind);
    let io = |source| LockError::io(path, source);
    // Looked at before it is opened: opening and closing can do harm to a file that is not ours. What stands in the way of
    // looking is told by the opening.
    if fs::metadata(path).is_ok_and(|found| !found.is_file() || found.len() > 0) {
        return Err(refuse(LockErrorKind::NotALock));
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io)?;
    hold(file, path)
}

/// Locks the file that was opened at `path`.
fn hold(file: File, path: &Path) -> Result<Held, LockError> {
    let refuse = |kind| LockError::new(path, kind);
    let io = |source| LockError::io(path, source);
    match try_lock(&file) {
        Ok(()) if is_at(&file, path).map_err(io)? => Ok(Held {
            file,
            pid: std::process::id(),
        }),
        Ok(()) => Err(refuse(LockErrorKind::Replaced)),
        Err(TryLockError::WouldBlock) => Err(refuse(LockErrorKind::Busy)),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has just forked has a copy of the file until its `exec`, and the
        // next turn would find the lock busy. If this fails, closing is what is left.
        // But in a forked child that drops its copy of a permit, unlocking would take the lock from the parent.
        #[expect(clippy::incompatible_msrv, reason = "the feature needs Rust 1.89")]
        if self.pid == std::process::id() {
            let _ = self.file.unlock();
        }
    }
}

#[expect(clippy::incompatible_msrv, reason = "the feature needs Rust 1.89")]
fn try_lock(file: &File) -> Result<(), TryLockError> {
    file.try_lock()
}

/// Whether `path` still leads to this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let locked = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (locked.dev(), locked.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere there is no stable way to ask.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(all(test, unix, not(once_per_key_loom)))]
mod tests {
    use std::fs::{self, File};
    use std::io;

    use super::{LockErrorKind, acquire, hold, is_at};

    #[test]
    fn a_locked_file_is_not_at_its_path_any_more_once_it_is_moved_removed_or_replaced()
    -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let [path, away] = ["lock", "away"].map(|name| dir.path().join(name));
        let file = File::create(&path)?;
        assert!(is_at(&file, &path)?);
        fs::rename(&path, &away)?;
        assert!(!is_at(&file, &path)?);
        File::create(&path)?;
        assert!(!is_at(&file, &path)?);
        assert!(is_at(&file, &away)?);
        assert!(is_at(&file, &away.join("below")).is_err());
        Ok(())
    }
    #[test]
    fn a_file_that_is_replaced_between_opening_and_locking_is_not_the_lock() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("lock");
        let opened = File::create(&path)?;
        fs::remove_file(&path)?;
        let other = acquire(&path).map_err(io::Error::other)?;
        let error = hold(opened, &path).unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Replaced);
        assert!(error.to_string().ends_with("replaced meanwhile"), "{error}");
        drop(other);
        assert!(acquire(&path).is_ok());
        Ok(())
    }
    /// As in a child between its `fork` and its `exec`.
    #[test]
    fn the_lock_is_free_when_it_is_dropped_though_a_copy_of_the_file_is_open() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("lock");
        let held = acquire(&path).map_err(io::Error::other)?;
        let _copy = held.file.try_clone()?;
        assert_eq!(acquire(&path).unwrap_err().kind(), LockErrorKind::Busy);
        drop(held);
        assert!(acquire(&path).is_ok());
        Ok(())
    }

    /// As in a child that was forked and goes on without `exec`: what it drops is its copy.
    #[test]
    fn another_process_that_drops_its_copy_does_not_unlock() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("lock");
        let held = acquire(&path).map_err(io::Error::other)?;
        let copy = super::Held {
            file: held.file.try_clone()?,
            pid: held.pid + 1,
        };
        drop(copy);
        assert_eq!(acquire(&path).unwrap_err().kind(), LockErrorKind::Busy);
        drop(held);
        assert!(acquire(&path).is_ok());
        Ok(())
    }
}
