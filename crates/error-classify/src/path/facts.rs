//! The facts, by `stat(2)` and `access(2)` alone.
//!
//! Nothing here opens the file or its `-wal` and `-shm`: on POSIX, closing any descriptor of a file drops every lock that
//! the process holds on it, SQLite's included.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Obstacle;
use super::ask::{Answer, Node, Use, descriptors_free};

/// What the file system says about one path, at the moment it was asked.
///
/// # Examples
///
/// ```
/// use error_classify::{Obstacle, PathFacts};
///
/// let dir = tempfile::tempdir()?;
/// let facts = PathFacts::of(&dir.path().join("no/such.db"));
/// assert_eq!(facts.obstacle(), Some(Obstacle::DirectoryMissing));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFacts {
    file: Node,
    /// May it be read and written?
    file_use: Use,
    parent: Node,
    /// May names in it be looked up and made? SQLite makes `-wal`, `-shm` and `-journal` there.
    parent_use: Use,
    /// SQLite's own files beside it, if they are there: is one of them refused?
    beside_denied: bool,
    descriptors_free: Option<u64>,
}

/// Main file, `-wal`, `-shm`, and one for a directory or journal.
const DESCRIPTORS_NEEDED: u64 = 4;

// ===== impl PathFacts =====

impl PathFacts {
    /// Asks about `path`, with effective user and group. A dozen system calls, and no error: what cannot be learned is
    /// left out.
    ///
    /// Never opens the file. Free descriptors are counted in the process's own directory under `/proc`; where there is
    /// none, that one fact is left out.
    ///
    /// ```
    /// use error_classify::PathFacts;
    ///
    /// let file = tempfile::NamedTempFile::new()?;
    /// let facts = PathFacts::of(file.path());
    /// assert!(facts.is_empty_file());
    /// assert_eq!((facts.file_len(), facts.obstacle()), (Some(0), None));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) => Path::new("."),
            None => path,
        };
        let beside = ["-wal", "-shm", "-journal"].map(|suffix| beside(path, suffix));
        Self {
            file: Node::of(path),
            file_use: Use::of(path, Access::READ_OK),
            parent: Node::of(parent),
            parent_use: Use::of(parent, Access::EXEC_OK),
            beside_denied: beside.iter().any(|path| {
                let found = Use::of(path, Access::READ_OK);
                found.read == Answer::Denied || found.write == Answer::Denied
            }),
            descriptors_free: descriptors_free(),
        }
    }

    /// Length of the file in bytes; `None` if there is no regular file.
    #[must_use]
    pub const fn file_len(&self) -> Option<u64> {
        match self.file {
            Node::File { len } => Some(len),
            _ => None,
        }
    }

    /// Whether there is a regular file without a byte in it.
    #[must_use]
    pub const fn is_empty_file(&self) -> bool {
        matches!(self.file, Node::File { len: 0 })
    }

    /// Whether writing is refused because the file system is mounted read-only, for `root` too.
    #[must_use]
    pub fn is_on_read_only_mount(&self) -> bool {
        self.file_use.write == Answer::ReadOnlyMount
            || self.parent_use.write == Answer::ReadOnlyMount
    }

    /// Whether file mode, directory mode or ownership refuse this process to write.
    ///
    /// ```
    /// use std::fs::{OpenOptions, Permissions, set_permissions};
    /// # use std::os::unix::fs::PermissionsExt;
    ///
    /// let file = tempfile::NamedTempFile::new()?;
    /// set_permissions(file.path(), Permissions::from_mode(0o400))?;
    /// let facts = error_classify::PathFacts::of(file.path());
    /// // `root` may write all the same.
    /// let refused = OpenOptions::new().append(true).open(file.path()).is_err();
    /// assert_eq!((facts.forbids_writing(), facts.is_on_read_only_mount()), (refused, false));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn forbids_writing(&self) -> bool {
        self.file_use.write == Answer::Denied || self.parent_use.write == Answer::Denied
    }

    /// How many descriptors this process can still open; `None` where that cannot be counted.
    ///
    /// ```
    /// # use error_classify::PathFacts;
    /// let file = tempfile::NamedTempFile::new()?;
    /// let free = || PathFacts::of(file.path()).descriptors_free();
    /// let before = free();
    /// let _many = [(); 100].map(|()| std::fs::File::open(file.path()));
    /// assert!(before.is_none() || free() < before);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub const fn descriptors_free(&self) -> Option<u64> {
        self.descriptors_free
    }

    /// What would stop SQLite from opening the file for reading and writing, in the order in which it would be met.
    ///
    /// `None`: as far as can be seen from outside, nothing would.
    ///
    /// ```
    /// use error_classify::{Obstacle, PathFacts};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let missing = dir.path().join("board.db");
    /// assert_eq!(PathFacts::of(dir.path()).obstacle(), Some(Obstacle::NotAFile));
    /// assert_eq!(PathFacts::of(&missing).obstacle(), Some(Obstacle::FileMissing));
    /// std::fs::write(&missing, "")?;
    /// assert_eq!(PathFacts::of(&missing).obstacle(), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        // The kernel takes a descriptor before it looks at the path, so that "none left" comes before "no such file".
        if self.descriptors_free == Some(0) {
            return Some(Obstacle::DescriptorsExhausted);
        }
        match (self.file, self.parent) {
            (Node::Denied, _) | (_, Node::Denied) => return Some(Obstacle::PermissionDenied),
            (Node::Missing, Node::Directory) => return Some(Obstacle::FileMissing),
            (Node::Missing, _) => return Some(Obstacle::DirectoryMissing),
            (Node::Directory | Node::Other, _) => return Some(Obstacle::NotAFile),
            (Node::File { .. } | Node::Unclear, _) => {}
        }
        if self.file_use.read == Answer::Denied || self.parent_use.read == Answer::Denied {
            return Some(Obstacle::PermissionDenied);
        }
        if self
            .descriptors_free
            .is_some_and(|free| free < DESCRIPTORS_NEEDED)
        {
            return Some(Obstacle::DescriptorsExhausted);
        }
        if self.is_on_read_only_mount() {
            return Some(Obstacle::ReadOnlyMount);
        }
        (self.beside_denied || self.forbids_writing()).then_some(Obstacle::PermissionDenied)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::{Answer, Node, Obstacle, PathFacts, Use};

    /// The obstacle of a sound file, but for one change.
    fn but(change: impl FnOnce(&mut PathFacts)) -> Option<Obstacle> {
        let free = Use {
            read: Answer::Allowed,
            write: Answer::Allowed,
        };
        let mut facts = PathFacts {
            file: Node::File { len: 4096 },
            file_use: free,
            parent: Node::Directory,
            parent_use: free,
            beside_denied: false,
            descriptors_free: Some(100),
        };
        change(&mut facts);
        facts.obstacle()
    }

    #[test]
    fn the_obstacle_is_the_one_that_is_met_first() {
        assert_eq!(but(|_| ()), None);
        assert_eq!(but(|f| f.descriptors_free = None), None);
        assert_eq!(but(|f| f.descriptors_free = Some(4)), None);
        let exhausted = Some(Obstacle::DescriptorsExhausted);
        assert_eq!(but(|f| f.descriptors_free = Some(3)), exhausted);
        let missing = |free, parent| {
            but(|f| (f.file, f.parent, f.descriptors_free) = (Node::Missing, parent, Some(free)))
        };
        assert_eq!(missing(3, Node::Directory), Some(Obstacle::FileMissing));
        assert_eq!(missing(0, Node::Directory), exhausted);
        for parent in [
            Node::Missing,
            Node::File { len: 1 },
            Node::Other,
            Node::Unclear,
        ] {
            assert_eq!(missing(3, parent), Some(Obstacle::DirectoryMissing));
        }
        assert_eq!(missing(3, Node::Denied), Some(Obstacle::PermissionDenied));
        for file in [Node::Directory, Node::Other] {
            assert_eq!(but(|f| f.file = file), Some(Obstacle::NotAFile));
        }
        assert_eq!(but(|f| f.file = Node::Unclear), None);
    }

    #[test]
    fn a_refusal_by_mode_and_one_by_mount_are_told_apart() {
        let denied = Some(Obstacle::PermissionDenied);
        assert_eq!(but(|f| f.file = Node::Denied), denied);
        assert_eq!(but(|f| f.file_use.read = Answer::Denied), denied);
        assert_eq!(but(|f| f.file_use.write = Answer::Denied), denied);
        assert_eq!(but(|f| f.parent_use.read = Answer::Denied), denied);
        assert_eq!(but(|f| f.parent_use.write = Answer::Denied), denied);
        assert_eq!(but(|f| f.beside_denied = true), denied);
        let mount = Some(Obstacle::ReadOnlyMount);
        assert_eq!(but(|f| f.file_use.write = Answer::ReadOnlyMount), mount);
        assert_eq!(but(|f| f.parent_use.write = Answer::ReadOnlyMount), mount);
        let both = |f: &mut PathFacts| {
            f.beside_denied = true;
            f.file_use.write = Answer::ReadOnlyMount;
        };
        assert_eq!(but(both), mount);
    }
}
