//! The boards' directory, so that its path is not walked for each board.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// A directory that is open for its place alone: nothing is read by it. If it is a mount of its own, it cannot be unmounted meanwhile.
#[derive(Debug)]
pub(super) struct OpenDir {
    path: PathBuf,
    fd: OwnedFd,
}

// ===== impl OpenDir =====

impl OpenDir {
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        if !path.is_absolute() {
            // A board elsewhere would be looked for from here.
            return None;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(&path, flags, Mode::empty()).ok()?;
        Some(Self { path, fd })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
