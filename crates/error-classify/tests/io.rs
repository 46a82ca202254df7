//! `std::io::Error`: the numbers of the operating system, made by it where that is cheap.
#![cfg(unix)]

use std::error::Error;
use std::fs::{self, File};
use std::io;

use error_classify::{Class, Remedy, classify};
use rustix::io::Errno;

#[test]
fn the_numbers_of_the_operating_system_have_their_class() {
    for (number, class, remedy, rule) in [
        (
            Errno::NOSPC,
            Class::DiskFull,
            Remedy::ExternalFix,
            "io/StorageFull",
        ),
        (
            Errno::DQUOT,
            Class::DiskFull,
            Remedy::ExternalFix,
            "io/QuotaExceeded",
        ),
        (
            Errno::ROFS,
            Class::ReadOnly,
            Remedy::ExternalFix,
            "io/ReadOnlyFilesystem",
        ),
        (
            Errno::ACCESS,
            Class::Permission,
            Remedy::ExternalFix,
            "io/PermissionDenied",
        ),
        (
            Errno::PERM,
            Class::Permission,
            Remedy::ExternalFix,
            "io/PermissionDenied",
        ),
        (
            Errno::NOENT,
            Class::Missing,
            Remedy::ExternalFix,
            "io/NotFound",
        ),
        (
            Errno::MFILE,
            Class::Exhausted,
            Remedy::RetryCall,
            "io/EMFILE",
        ),
        (
            Errno::NFILE,
            Class::Exhausted,
            Remedy::RetryCall,
            "io/ENFILE",
        ),
        (
            Errno::NOMEM,
            Class::Exhausted,
            Remedy::RetryCall,
            "io/OutOfMemory",
        ),
        (
            Errno::INTR,
            Class::Interrupted,
            Remedy::RetryCall,
            "io/Interrupted",
        ),
        (
            Errno::AGAIN,
            Class::Busy,
            Remedy::RetryCall,
            "io/WouldBlock",
        ),
        (
            Errno::TIMEDOUT,
            Class::Busy,
            Remedy::RetryCall,
            "io/TimedOut",
        ),
        (
            Errno::BUSY,
            Class::Busy,
            Remedy::RetryCall,
            "io/ResourceBusy",
        ),
        (
            Errno::DEADLK,
            Class::Busy,
            Remedy::RestartTxn,
            "io/Deadlock",
        ),
        (Errno::IO, Class::Io, Remedy::Reopen, "io/EIO"),
        (
            Errno::STALE,
            Class::Stale,
            Remedy::Reopen,
            "io/StaleNetworkFileHandle",
        ),
        (
            Errno::EXIST,
            Class::Exists,
            Remedy::GiveUp,
            "io/AlreadyExists",
        ),
        (
            Errno::ISDIR,
            Class::Misuse,
            Remedy::ExternalFix,
            "io/IsADirectory",
        ),
        (
            Errno::INVAL,
            Class::Misuse,
            Remedy::GiveUp,
            "io/InvalidInput",
        ),
        (
            Errno::CONNREFUSED,
            Class::Disconnected,
            Remedy::RetryCall,
            "io/ConnectionRefused",
        ),
        (
            Errno::PIPE,
            Class::Disconnected,
            Remedy::Reopen,
            "io/BrokenPipe",
        ),
        (
            Errno::XDEV,
            Class::Unsupported,
            Remedy::GiveUp,
            "io/CrossesDevices",
        ),
        (
            Errno::NAMETOOLONG,
            Class::Misuse,
            Remedy::GiveUp,
            "io/ENAMETOOLONG",
        ),
        (Errno::NOTTY, Class::Unknown, Remedy::GiveUp, "none"),
    ] {
        let error = io::Error::from(number);
        let verdict = classify(&error);
        let told = (verdict.class(), verdict.remedy(), verdict.rule());
        assert_eq!(told, (class, remedy, rule), "{error}");
    }
}

#[test]
fn what_the_file_system_really_answers_is_known() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let of = |error: io::Error| classify(&error).class();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "x")?;
    assert_eq!(of(File::open(at("no")).unwrap_err()), Class::Missing);
    assert_eq!(of(File::open(at("file/no")).unwrap_err()), Class::Misuse);
    assert_eq!(of(File::create(dir.path()).unwrap_err()), Class::Misuse);
    assert_eq!(of(File::create_new(at("file")).unwrap_err()), Class::Exists);
    assert_eq!(
        of(fs::read_to_string("/proc/self/exe").unwrap_err()),
        Class::BadData
    );
    assert_eq!(of(fs::remove_dir(dir.path()).unwrap_err()), Class::Exists);
    #[cfg(target_os = "linux")]
    assert_eq!(
        of(fs::write("/dev/full", "x").unwrap_err()),
        Class::DiskFull
    );
    Ok(())
}
