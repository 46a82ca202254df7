//! `std::io::Error`, by its kind, and by number where the kind is hidden.

use std::io::{Error, ErrorKind};

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
        let (class, remedy, rule) = by_kind(self.kind()).or_else(|| by_number(self))?;
        Some(Verdict::new(class, remedy).with_rule(rule))
    }
}

type Row = (Class, Remedy, &'static str);

/// One row per kind: `Class Remedy: Kind, Kind;`.
macro_rules! rows {
    ($asked:expr; $($class:ident $remedy:ident: $($kind:ident),+;)*) => {
        match $asked {
            $($(ErrorKind::$kind => Some((
                Class::$class,
                Remedy::$remedy,
                concat!("io/", stringify!($kind)),
            )),)+)*
            _ => None,
        }
    };
}

fn by_kind(kind: ErrorKind) -> Option<Row> {
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
        Misuse GiveUp: InvalidInput, InvalidFilename, ArgumentListTooLong;
        Unsupported GiveUp: Unsupported, NotSeekable, CrossesDevices;
    }
}

/// Three that `std` keeps under a kind without a stable name. The numbers are those of every Unix that `std` supports.
#[cfg(unix)]
fn by_number(error: &Error) -> Option<Row> {
    const EIO: i32 = 5;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match error.raw_os_error()? {
        // After EIO the kernel may have dropped dirty pages: only a new handle shows what is really there.
        EIO => Some((Class::Io, Remedy::Reopen, "io/EIO")),
        ENFILE => Some((Class::Exhausted, Remedy::RetryCall, "io/ENFILE")),
        EMFILE => Some((Class::Exhausted, Remedy::RetryCall, "io/EMFILE")),
        _ => None,
    }
}

#[cfg(not(unix))]
fn by_number(_error: &Error) -> Option<Row> {
    None
}
