//! What happened, in one word.

use std::fmt;

/// What kind of failure an error is.
///
/// A class says *what happened*; what would help is the other axis, [`Remedy`](crate::Remedy). The numbers are part of the
/// interface: a class keeps its [`index`](Self::index) for ever, new ones come at the end. Order is that of the numbers.
///
/// With the feature `serde` it is written as its [`as_str`](Self::as_str).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
#[repr(u8)]
pub enum Class {
    /// No rule knows this error. Make it visible, and do not retry on it.
    Unknown = 0,
    /// The schema lacks something the program asks for: a table, a column, an index, a view, a trigger.
    SchemaDrift = 1,
    /// The content is damaged: a malformed image, or not a database at all.
    Corrupt = 2,
    /// The file is there and has no byte in it. What looks like a missing table is lost data.
    Emptied = 3,
    /// Somebody else has it just now: a lock, a timeout, a race for the write-ahead log.
    Busy = 4,
    /// What is held here is older than what is there: the snapshot, the statement, or the file behind the handle.
    Stale = 5,
    /// No room left on the device, or in the quota. Often the whole machine's trouble, not one file's.
    DiskFull = 6,
    /// The device or the file system failed below us.
    Io = 7,
    /// Not allowed, by file mode or by an authorizer.
    Permission = 8,
    /// Writing was refused because the medium, the mode or the connection is read-only.
    ReadOnly = 9,
    /// What was named is not there: a file, a directory, a row.
    Missing = 10,
    /// Out of descriptors, memory, or another countable thing.
    Exhausted = 11,
    /// Stopped on request: a signal, an interrupt, a roll-back that took this statement with it.
    Interrupted = 12,
    /// The data refuses the change: unique, foreign key, not null, check, a trigger's `RAISE`.
    Constraint = 13,
    /// The request is wrong: syntax, API use, a directory where a file should be.
    Misuse = 14,
    /// A file could not be opened and the error does not say why. `PathFacts` (feature `path-facts`) often can.
    CannotOpen = 15,
    /// What should be made is there already, perhaps made by somebody else a moment ago.
    Exists = 16,
    /// One value is not what the program expects; the container is sound.
    BadData = 17,
    /// The other side is not there, or went away.
    Disconnected = 18,
    /// This build or this platform cannot do it: a missing function, module or collation, an unknown operation.
    Unsupported = 19,
}

// ===== impl Class =====

impl Class {
    /// Every class, in the order of [`index`](Self::index).
    pub const ALL: &[Self] = &[
        Self::Unknown,
        Self::SchemaDrift,
        Self::Corrupt,
        Self::Emptied,
        Self::Busy,
        Self::Stale,
        Self::DiskFull,
        Self::Io,
        Self::Permission,
        Self::ReadOnly,
        Self::Missing,
        Self::Exhausted,
        Self::Interrupted,
        Self::Constraint,
        Self::Misuse,
        Self::CannotOpen,
        Self::Exists,
        Self::BadData,
        Self::Disconnected,
        Self::Unsupported,
    ];

    /// The class in `snake_case`, for logs, metrics and reports.
    ///
    /// ```
    /// use error_classify::Class;
    ///
    /// assert_eq!(Class::SchemaDrift.as_str(), "schema_drift");
    /// assert_eq!(Class::DiskFull.to_string(), "disk_full");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::SchemaDrift => "schema_drift",
            Self::Corrupt => "corrupt",
            Self::Emptied => "emptied",
            Self::Busy => "busy",
            Self::Stale => "stale",
            Self::DiskFull => "disk_full",
            Self::Io => "io",
            Self::Permission => "permission",
            Self::ReadOnly => "read_only",
            Self::Missing => "missing",
            Self::Exhausted => "exhausted",
            Self::Interrupted => "interrupted",
            Self::Constraint => "constraint",
            Self::Misuse => "misuse",
            Self::CannotOpen => "cannot_open",
            Self::Exists => "exists",
            Self::BadData => "bad_data",
            Self::Disconnected => "disconnected",
            Self::Unsupported => "unsupported",
        }
    }

    /// A small number that is never given to another class: a place in an array, a key of a throttle.
    ///
    /// ```
    /// use error_classify::Class;
    ///
    /// assert_eq!(Class::ALL[usize::from(Class::Busy.index())], Class::Busy);
    /// ```
    #[must_use]
    pub const fn index(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
