//! Another program in the middle of a commit: what it has written is in the log, and in nobody's index of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use fingerprint_quarantine::SqliteStamp;
use rustix::process::{Pid, Signal, kill_process};

use super::child::{self, Role};
use super::{Fleet, Result, connect, until};

/// What `as_child` plays by [`play`].
pub const ROLE: &str = "write to a database";

/// The writer's part.
pub fn play() -> Result {
    let db = connect(Path::new(&child::variable("TEST_DB")?))?;
    db.execute_batch("PRAGMA synchronous = FULL")?;
    fs::write(child::variable("TEST_PID")?, std::process::id().to_string())?;
    Ok(db.execute_batch(&child::variable("TEST_SQL")?)?)
}

/// The writer, stopped.
#[derive(Debug)]
pub struct Halted {
    writer: Role,
    pid: Pid,
}

// ===== impl Halted =====

impl Halted {
    /// One that stops when the log is synced, which must be there already.
    pub fn spawn(fleet: &Fleet, db: &Path, sql: &str) -> Result<Self> {
        let pid_file = fleet.path().join("pid");
        let [exe, args @ ..] = child::words();
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/null"])
            .args(["-e", "trace=fsync,fdatasync"])
            .args(["-e", "inject=fsync,fdatasync:signal=STOP:when=1"])
            .arg(fs::read_link(exe)?)
            .args(args)
            .env(child::ROLE, ROLE)
            .env("TEST_DB", db)
            .env("TEST_PID", &pid_file)
            .env("TEST_SQL", sql);
        let before = SqliteStamp::of(db);
        let writer = Role::spawn(strace)?;
        let pid = || -> Option<i32> { fs::read_to_string(&pid_file).ok()?.parse().ok() };
        until("the writer has stopped", || {
            let status = pid().map(|pid| fs::read_to_string(format!("/proc/{pid}/status")));
            let is_in_log = SqliteStamp::of(db) != before;
            Ok(is_in_log
                && status.is_some_and(|status| {
                    status.is_ok_and(|text| text.to_lowercase().contains("state:\tt"))
                }))
        })?;
        let pid = pid().and_then(Pid::from_raw).ok_or("no pid")?;
        Ok(Self { writer, pid })
    }

    pub fn go_on(self) -> Result {
        kill_process(self.pid, Signal::CONT)?;
        let (is_well, said) = self.writer.finish()?;
        assert!(is_well, "{said}");
        Ok(())
    }
}
