//! Why an open failed: asked of the file system, never of the file.

mod ask;
mod facts;

use std::fmt;

use crate::{Class, Remedy, Verdict};

pub use self::facts::PathFacts;

/// What stands between a program and a file it could not open or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Obstacle {
    /// The directory is there, the file is not.
    FileMissing,
    /// The directory itself is not there, or what should be one is a file.
    DirectoryMissing,
    /// There is a directory, or a socket or device, where the file should be.
    NotAFile,
    /// The file, its directory, or one of SQLite's files beside it may not be used by this process.
    PermissionDenied,
    /// The process, or the machine, has no descriptor left, or fewer than SQLite needs.
    DescriptorsExhausted,
    /// The file system is mounted read-only.
    ReadOnlyMount,
}

// ===== impl Obstacle =====

impl Obstacle {
    /// The obstacle in `snake_case`, for logs and reports.
    ///
    /// ```
    /// assert_eq!(error_classify::Obstacle::ReadOnlyMount.as_str(), "read_only_mount");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FileMissing => "file_missing",
            Self::DirectoryMissing => "directory_missing",
            Self::NotAFile => "not_a_file",
            Self::PermissionDenied => "permission_denied",
            Self::DescriptorsExhausted => "descriptors_exhausted",
            Self::ReadOnlyMount => "read_only_mount",
        }
    }

    const fn opinion(self) -> (Class, Remedy, &'static str) {
        match self {
            Self::FileMissing => (Class::Missing, Remedy::ExternalFix, "path/file missing"),
            Self::DirectoryMissing => (
                Class::Missing,
                Remedy::ExternalFix,
                "path/directory missing",
            ),
            Self::NotAFile => (Class::Misuse, Remedy::ExternalFix, "path/not a file"),
            Self::PermissionDenied => (
                Class::Permission,
                Remedy::ExternalFix,
                "path/permission denied",
            ),
            Self::DescriptorsExhausted => (
                Class::Exhausted,
                Remedy::RetryCall,
                "path/descriptors exhausted",
            ),
            Self::ReadOnlyMount => (Class::ReadOnly, Remedy::ExternalFix, "path/read-only mount"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl PathFacts {
    /// The same verdict, made more exact by what is known of the file.
    ///
    /// | verdict | and the file | becomes |
    /// |---|---|---|
    /// | [`Class::CannotOpen`] | has an [`obstacle`](Self::obstacle) | the obstacle's own class |
    /// | [`Class::SchemaDrift`] | has no byte in it | [`Class::Emptied`], [`Remedy::ExternalFix`], and nothing is named missing |
    /// | [`Class::ReadOnly`] | on a read-only mount, or refused by mode | the same class, and the rule says which |
    ///
    /// Everything else is returned as it was. Take the facts right after the failure: they tell about now.
    ///
    /// ```
    /// use error_classify::{Class, Missing, ObjectKind, PathFacts, Remedy, Verdict};
    ///
    /// let file = tempfile::NamedTempFile::new()?;
    /// let drift = Verdict::new(Class::SchemaDrift, Remedy::Repair)
    ///     .with_missing(Missing::new(ObjectKind::Table, "tasks"));
    ///
    /// // An empty file has no table: this is lost data, and a repair would seal the loss.
    /// let verdict = PathFacts::of(file.path()).refine(drift);
    /// assert_eq!((verdict.class(), verdict.remedy()), (Class::Emptied, Remedy::ExternalFix));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn refine<'e>(&self, verdict: Verdict<'e>) -> Verdict<'e> {
        let revised = match verdict.class() {
            Class::SchemaDrift if self.is_empty_file() => {
                Some((Class::Emptied, Remedy::ExternalFix, "path/empty file"))
            }
            Class::CannotOpen => self.obstacle().map(Obstacle::opinion),
            Class::ReadOnly => self.why_read_only(),
            _ => None,
        };
        match revised {
            Some((class, remedy, rule)) => verdict.revised(class, remedy, rule),
            None => verdict,
        }
    }

    fn why_read_only(&self) -> Option<(Class, Remedy, &'static str)> {
        let rule = if self.is_on_read_only_mount() {
            "path/read-only mount"
        } else if self.forbids_writing() {
            "path/mode forbids writing"
        } else {
            return None;
        };
        Some((Class::ReadOnly, Remedy::ExternalFix, rule))
    }
}
