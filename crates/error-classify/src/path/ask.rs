//! The questions, put to the file system: `stat(2)`, `access(2)`, and a count of the process's own descriptors.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, access, accessat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Missing,
    File {
        len: u64,
    },
    Directory,
    Other,
    /// The look-up itself was refused.
    Denied,
    /// The look-up failed in another way.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) read: Answer,
    pub(super) write: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allowed,
    Denied,
    ReadOnlyMount,
    Unclear,
}

// ===== impl Node =====

impl Node {
    pub(super) fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Self::File { len: found.len() },
            Ok(found) if found.is_dir() => Self::Directory,
            Ok(_) => Self::Other,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
                io::ErrorKind::PermissionDenied => Self::Denied,
                _ => Self::Unclear,
            },
        }
    }
}

// ===== impl Use =====

impl Use {
    pub(super) fn of(path: &Path, read: Access) -> Self {
        Self {
            read: ask(path, read),
            write: ask(path, Access::WRITE_OK),
        }
    }
}

fn ask(path: &Path, wanted: Access) -> Answer {
    let asked = match accessat(CWD, path, wanted, AtFlags::EACCESS) {
        // An old kernel cannot ask for the effective user where it differs from the real one.
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => access(path, wanted),
        asked => asked,
    };
    match asked {
        Ok(()) => Answer::Allowed,
        Err(Errno::ACCESS | Errno::PERM) => Answer::Denied,
        Err(Errno::ROFS) => Answer::ReadOnlyMount,
        Err(_) => Answer::Unclear,
    }
}

pub(super) fn descriptors_free() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile).current?;
    match fs::read_dir("/proc/self/fd") {
        Ok(listed) => {
            // The limit is on the number, not on the count: after it was lowered, some in use lie above it.
            let below = listed
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .filter(|number: &u64| *number < limit)
                .count() as u64;
            // One of those listed is the listing's own.
            Some(limit.saturating_sub(below.saturating_sub(1)))
        }
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE) => Some(0),
            _ => None,
        },
    }
}
