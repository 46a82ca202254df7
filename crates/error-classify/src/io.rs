//! `std::io::Error`, by its kind, and by number where the kind is hidden.

use std::io::{Error, ErrorKind};

use crate::row::Row;
use crate::{Class, Classify, Remedy, Verdict};

/// By `kind()`. Without an opinion on [`ErrorKind::Other`] and on kinds that are not listed: they are for the payload, or unknown.
///
/// ```
/// use error_classify::{Class, Classify};
/// use std::io::{Error, ErrorKind};
///
/// let error = Error::from(ErrorKind::ReadOnlyFilesystem);
/// let verdict = error.verdict().unwrap();
/// assert_eq!((verdict.class(), verdict.rule()), (Class::ReadOnly, "io/ReadOnlyFilesystem"));
/// assert_eq!(Error::other("?").verdict(), None);
/// ```
impl Classify for Error {
    fn verdict(&self) -> Option<Verdict<'_>> {
        Some(Verdict::of(row(self)?, 0))
    }
}

/// What is known of the error; `None` where it is for its payload to say, or nobody knows.
#[inline]
pub(crate) fn row(error: &Error) -> Option<&'static Row> {
    by_kind(error.kind()).or_else(|| by_number(error))
}

/// One row per kind: `Class Remedy: Kind, Kind;`.
macro_rules! rows {
    ($asked:expr; $($class:ident $remedy:ident: $($kind:ident),+;)*) => {
        match $asked {
            $($(ErrorKind::$kind => {
                const ROW: &Row =
                    &Row::new(Class::$class, Remedy::$remedy, concat!("io/", stringify!($kind)));
                Some(ROW)
            })+)*
            _ => None,
        }
    };
}

fn by_kind(kind: ErrorKind) -> Option<&'static Row> {
    rows! { kind;
        DiskFull ExternalFix: StorageFull, QuotaExceeded;
        ReadOnly ExternalFix: ReadOnlyFilesystem;
        Permission ExternalFix: PermissionDenied;
        Missing ExternalFix: NotFound;
        Exists GiveUp: AlreadyExists;
        Exists ExternalFix: DirectoryNotEmpty;
        Exhausted RetryCall: OutOfMemory;
        Exhausted ExternalFix: FileTooLarge, TooManyLinks;
        Interrupted RetryCall: Interrupted;
        Busy RetryCall: WouldBlock, TimedOut, ResourceBusy, ExecutableFileBusy, AddrInUse;
        Busy RestartTxn: Deadlock;
        Stale Reopen: StaleNetworkFileHandle;
        Io Reopen: UnexpectedEof, WriteZero;
        BadData ExternalFix: InvalidData;
        Disconnected RetryCall: ConnectionRefused, HostUnreachable, NetworkUnreachable, NetworkDown;
        Disconnected Reopen: ConnectionReset, ConnectionAborted, NotConnected, BrokenPipe;
        Misuse ExternalFix: IsADirectory, NotADirectory, AddrNotAvailable;
        Misuse GiveUp: InvalidInput, ArgumentListTooLong;
        Unsupported GiveUp: Unsupported, NotSeekable, CrossesDevices;
    }
}

/// Those that `std` keeps under a kind without a stable name, or under one that Rust 1.85 does not know yet. The numbers are
/// those of every Unix that `std` supports, but for the last one.
#[cfg(unix)]
fn by_number(error: &Error) -> Option<&'static Row> {
    const EIO: i32 = 5;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENAMETOOLONG: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
        36
    } else {
        63
    };
    // After EIO the kernel may have dropped dirty pages: only a new handle shows what is really there.
    static IO: Row = Row::new(Class::Io, Remedy::Reopen, "io/EIO");
    static SYSTEM: Row = Row::new(Class::Exhausted, Remedy::RetryCall, "io/ENFILE");
    static PROCESS: Row = Row::new(Class::Exhausted, Remedy::RetryCall, "io/EMFILE");
    static NAME: Row = Row::new(Class::Misuse, Remedy::GiveUp, "io/ENAMETOOLONG");
    match error.raw_os_error()? {
        EIO => Some(&IO),
        ENFILE => Some(&SYSTEM),
        EMFILE => Some(&PROCESS),
        ENAMETOOLONG => Some(&NAME),
        _ => None,
    }
}

#[cfg(not(unix))]
fn by_number(_error: &Error) -> Option<&'static Row> {
    None
}
