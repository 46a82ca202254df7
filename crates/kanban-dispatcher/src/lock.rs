//! flock(2) on lock files that nobody ever deletes: the only kind of lock the peer sees.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock, stat};

/// An exclusive lock on a lock file, released on drop.
///
/// Invariant: while this exists the open file is locked; [`is_current`](Self::is_current) tells whether it still is the
/// file at that path, since a lock on a deleted file keeps nobody out.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    /// Its device and inode.
    id: (u64, u64),
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock if it is free; `None` when another holder has it.
    ///
    /// Creates the lock file but no directory, so looking at a removed board leaves nothing behind.
    ///
    /// # Errors
    /// Whatever kept the file from being opened or locked: the caller must then treat the lock as **not** held.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::FileLock;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.lock");
    /// let held = FileLock::try_acquire(&path)?.expect("free");
    /// assert!(FileLock::try_acquire(&path)?.is_none());
    /// drop(held);
    /// assert!(FileLock::try_acquire(&path)?.is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            // A pipe in its place is an error, not a wait for whoever reads it.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let lock = Self {
                    file,
                    id: (metadata.dev(), metadata.ino()),
                    path: path.to_owned(),
                };
                // Deleted or replaced between open and flock: a lock on it would exclude nobody.
                Ok(lock.is_current().then_some(lock))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the locked file is still the one at its path.
    #[must_use]
    pub fn is_current(&self) -> bool {
        stat(&self.path).is_ok_and(|there| (there.st_dev, there.st_ino) == self.id)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread has forked this moment holds a copy of the descriptor until it execs.
        let _ = flock(&self.file, FlockOperation::NonBlockingUnlock);
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_in_a_lock_s_place_is_an_error_at_once() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x.lock");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let error = FileLock::try_acquire(&path).expect_err("nobody reads it");
        assert_eq!(error.raw_os_error(), Some(6), "ENXIO: {error}");
        Ok(())
    }
}
