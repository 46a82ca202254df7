//! Every result code of SQLite, primary and extended, with what it means here.

use crate::row::Row;
use crate::{Class, Remedy};

/// The primary code that SQLite gives to everything without a code of its own. The one under which text is read.
pub(super) const ERROR: i32 = 1;

/// The primary code of an extended one.
pub(super) const fn primary(code: i32) -> i32 {
    code & 0xff
}

/// The row of `code`; a code of a later SQLite than this table has the row of its primary code.
#[inline]
pub(super) fn look_up(code: i32) -> &'static Row {
    place(code)
        .or_else(|| place(primary(code)))
        .map_or(&UNLISTED, |at| &ROWS[at].1)
}

static UNLISTED: Row = Row::new(Class::Unknown, Remedy::GiveUp, "sqlite/unlisted code");

/// One row each: `NAME number Class Remedy`.
macro_rules! rows {
    ($($name:ident $code:literal $class:ident $remedy:ident,)*) => {
        &[$((
            $code,
            Row::new(Class::$class, Remedy::$remedy, concat!("sqlite/", stringify!($name))),
        ),)*]
    };
}

// Where the remedy is not obvious:
// BUSY_SNAPSHOT: the snapshot is older than the file, so the statement can never succeed; only a new transaction can.
// LOCKED: a conflict within this connection ends when its own other statement does, not with time.
// INTERRUPT, ABORT_ROLLBACK: the transaction may be gone, and the statement alone would run outside of it.
// IOERR_*: the pager may keep its error state, and locks may be lost; a new connection starts from what is there.
// IOERR_SHORT_READ: seen when -wal and -shm were unlinked under live connections; the file itself was sound.
// READONLY_DBMOVED: the file was renamed or unlinked under us; reads would go on in the old one.
// CORRUPT_INDEX: REINDEX may mend it, but not before somebody has looked at why it broke.
static ROWS: &[(i32, Row)] = rows! {
    OK 0 Unknown GiveUp,
    OK_LOAD_PERMANENTLY 256 Unknown GiveUp,
    OK_SYMLINK 512 Unknown GiveUp,
    ERROR 1 Unknown GiveUp,
    ERROR_MISSING_COLLSEQ 257 Unsupported GiveUp,
    ERROR_RETRY 513 Stale RetryCall,
    ERROR_SNAPSHOT 769 Stale RestartTxn,
    ERROR_RESERVESIZE 1025 Unsupported GiveUp,
    ERROR_KEY 1281 Permission ExternalFix,
    ERROR_UNABLE 1537 Unsupported GiveUp,
    INTERNAL 2 Unknown GiveUp,
    PERM 3 Permission ExternalFix,
    ABORT 4 Interrupted GiveUp,
    ABORT_ROLLBACK 516 Interrupted RestartTxn,
    BUSY 5 Busy RetryCall,
    BUSY_RECOVERY 261 Busy RetryCall,
    BUSY_SNAPSHOT 517 Stale RestartTxn,
    BUSY_TIMEOUT 773 Busy RetryCall,
    LOCKED 6 Busy RestartTxn,
    LOCKED_SHAREDCACHE 262 Busy RetryCall,
    LOCKED_VTAB 518 Busy RetryCall,
    NOMEM 7 Exhausted RetryCall,
    READONLY 8 ReadOnly ExternalFix,
    READONLY_RECOVERY 264 ReadOnly ExternalFix,
    READONLY_CANTLOCK 520 ReadOnly ExternalFix,
    READONLY_ROLLBACK 776 ReadOnly ExternalFix,
    READONLY_DBMOVED 1032 Stale Reopen,
    READONLY_CANTINIT 1288 ReadOnly ExternalFix,
    READONLY_DIRECTORY 1544 ReadOnly ExternalFix,
    INTERRUPT 9 Interrupted RestartTxn,
    IOERR 10 Io Reopen,
    IOERR_READ 266 Io Reopen,
    IOERR_SHORT_READ 522 Io Reopen,
    IOERR_WRITE 778 Io Reopen,
    IOERR_FSYNC 1034 Io Reopen,
    IOERR_DIR_FSYNC 1290 Io Reopen,
    IOERR_TRUNCATE 1546 Io Reopen,
    IOERR_FSTAT 1802 Io Reopen,
    IOERR_UNLOCK 2058 Io Reopen,
    IOERR_RDLOCK 2314 Io Reopen,
    IOERR_DELETE 2570 Io Reopen,
    IOERR_BLOCKED 2826 Io Reopen,
    IOERR_NOMEM 3082 Exhausted RetryCall,
    IOERR_ACCESS 3338 Io Reopen,
    IOERR_CHECKRESERVEDLOCK 3594 Io Reopen,
    IOERR_LOCK 3850 Io Reopen,
    IOERR_CLOSE 4106 Io Reopen,
    IOERR_DIR_CLOSE 4362 Io Reopen,
    IOERR_SHMOPEN 4618 Io Reopen,
    IOERR_SHMSIZE 4874 Io Reopen,
    IOERR_SHMLOCK 5130 Io Reopen,
    IOERR_SHMMAP 5386 Io Reopen,
    IOERR_SEEK 5642 Io Reopen,
    IOERR_DELETE_NOENT 5898 Io Reopen,
    IOERR_MMAP 6154 Io Reopen,
    IOERR_GETTEMPPATH 6410 Io Reopen,
    IOERR_CONVPATH 6666 Io Reopen,
    IOERR_VNODE 6922 Stale Reopen,
    IOERR_AUTH 7178 Permission ExternalFix,
    IOERR_BEGIN_ATOMIC 7434 Io Reopen,
    IOERR_COMMIT_ATOMIC 7690 Io Reopen,
    IOERR_ROLLBACK_ATOMIC 7946 Io Reopen,
    IOERR_DATA 8202 Corrupt ExternalFix,
    IOERR_CORRUPTFS 8458 Corrupt ExternalFix,
    IOERR_IN_PAGE 8714 Io Reopen,
    IOERR_BADKEY 8970 Permission ExternalFix,
    IOERR_CODEC 9226 Corrupt ExternalFix,
    CORRUPT 11 Corrupt ExternalFix,
    CORRUPT_VTAB 267 Corrupt ExternalFix,
    CORRUPT_SEQUENCE 523 Corrupt ExternalFix,
    CORRUPT_INDEX 779 Corrupt ExternalFix,
    NOTFOUND 12 Unsupported GiveUp,
    FULL 13 DiskFull ExternalFix,
    CANTOPEN 14 CannotOpen ExternalFix,
    CANTOPEN_NOTEMPDIR 270 CannotOpen ExternalFix,
    CANTOPEN_ISDIR 526 Misuse ExternalFix,
    CANTOPEN_FULLPATH 782 CannotOpen ExternalFix,
    CANTOPEN_CONVPATH 1038 CannotOpen ExternalFix,
    CANTOPEN_DIRTYWAL 1294 CannotOpen ExternalFix,
    CANTOPEN_SYMLINK 1550 CannotOpen ExternalFix,
    PROTOCOL 15 Busy RetryCall,
    EMPTY 16 Unknown GiveUp,
    SCHEMA 17 Stale RetryCall,
    TOOBIG 18 Misuse GiveUp,
    CONSTRAINT 19 Constraint GiveUp,
    CONSTRAINT_CHECK 275 Constraint GiveUp,
    CONSTRAINT_COMMITHOOK 531 Constraint GiveUp,
    CONSTRAINT_FOREIGNKEY 787 Constraint GiveUp,
    CONSTRAINT_FUNCTION 1043 Constraint GiveUp,
    CONSTRAINT_NOTNULL 1299 Constraint GiveUp,
    CONSTRAINT_PRIMARYKEY 1555 Constraint GiveUp,
    CONSTRAINT_TRIGGER 1811 Constraint GiveUp,
    CONSTRAINT_UNIQUE 2067 Constraint GiveUp,
    CONSTRAINT_VTAB 2323 Constraint GiveUp,
    CONSTRAINT_ROWID 2579 Constraint GiveUp,
    CONSTRAINT_PINNED 2835 Constraint GiveUp,
    CONSTRAINT_DATATYPE 3091 Constraint GiveUp,
    MISMATCH 20 Constraint GiveUp,
    MISUSE 21 Misuse GiveUp,
    NOLFS 22 Unsupported GiveUp,
    AUTH 23 Permission GiveUp,
    AUTH_USER 279 Permission GiveUp,
    FORMAT 24 Unknown GiveUp,
    RANGE 25 Misuse GiveUp,
    NOTADB 26 Corrupt ExternalFix,
    NOTICE 27 Unknown GiveUp,
    NOTICE_RECOVER_WAL 283 Unknown GiveUp,
    NOTICE_RECOVER_ROLLBACK 539 Unknown GiveUp,
    NOTICE_RBU 795 Unknown GiveUp,
    WARNING 28 Unknown GiveUp,
    WARNING_AUTOINDEX 284 Unknown GiveUp,
    ROW 100 Misuse GiveUp,
    DONE 101 Misuse GiveUp,
};

const PRIMARY_MAX: usize = 32;
const SUB_MAX: usize = 40;
const NOWHERE: u8 = u8::MAX;

/// From (primary, sub) to the row, so that a look-up is one load. ROW and DONE do not fit and are searched.
static PLACES: [[u8; SUB_MAX]; PRIMARY_MAX] = {
    let mut places = [[NOWHERE; SUB_MAX]; PRIMARY_MAX];
    let mut at = 0;
    while at < ROWS.len() {
        let (primary, sub) = (primary(ROWS[at].0) as usize, (ROWS[at].0 >> 8) as usize);
        if primary < PRIMARY_MAX {
            places[primary][sub] = at as u8;
        }
        at += 1;
    }
    places
};

#[inline]
fn place(code: i32) -> Option<usize> {
    let sub = usize::try_from(code >> 8).ok()?;
    match PLACES.get(primary(code) as usize).map(|row| row.get(sub)) {
        Some(Some(&NOWHERE)) | Some(None) => None,
        Some(Some(&at)) => Some(usize::from(at)),
        None => ROWS.iter().position(|row| row.0 == code),
    }
}
