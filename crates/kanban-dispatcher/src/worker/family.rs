//! A worker's descendants, also those that left its process group: each is known by the environment that it was started with.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What every process of one attempt has in its environment unless it threw it away: the board's database, the task, the attempt.
/// No two attempts have the same three.
#[derive(Debug)]
pub(super) struct Mark {
    entries: [Vec<u8>; 3],
}

impl Mark {
    pub(super) fn new(db: &Path, task: &str, run: i64) -> Self {
        let entry = |name: &str, value: &[u8]| [name.as_bytes(), b"=", value].concat();
        Self {
            entries: [
                entry("HERMES_KANBAN_DB", db.as_os_str().as_bytes()),
                entry("HERMES_KANBAN_TASK", task.as_bytes()),
                entry("HERMES_KANBAN_RUN_ID", run.to_string().as_bytes()),
            ],
        }
    }

    /// Sends SIGKILL to every live process that has it; whether there was one.
    ///
    /// # Errors
    /// Not all processes could be looked at, for want of descriptors as a rule: there may be one.
    pub(super) fn kill_all(&self) -> io::Result<bool> {
        let mut found = false;
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let Some(pid) = pid.and_then(Pid::from_raw) else {
                continue;
            };
            // A dispatcher may have been started by somebody's worker, even by its own.
            let is_me = pid == rustix::process::getpid();
            if !is_me && self.is_on(pid)? {
                found |= self.kill(pid)?;
            }
        }
        Ok(found)
    }

    /// Held first and looked at then: its id cannot become another process's in between.
    fn kill(&self, pid: Pid) -> io::Result<bool> {
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            // It is gone, or the kernel is too old to hold anything.
            Err(Errno::SRCH | Errno::NOSYS | Errno::INVAL) => return Ok(false),
            handle => handle?,
        };
        Ok(self.is_on(pid)? && pidfd_send_signal(handle, Signal::KILL).is_ok())
    }

    /// A zombie's environment is empty, and another user's cannot be read: neither is killed.
    fn is_on(&self, pid: Pid) -> io::Result<bool> {
        let environ = match fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) {
            Err(error) if is_none_of_ours(&error) => return Ok(false),
            environ => environ?,
        };
        let is_there = |mark: &Vec<u8>| environ.split(|byte| *byte == 0).any(|entry| entry == mark);
        Ok(self.entries.iter().all(is_there))
    }
}

/// It has just ended, or it is another user's.
fn is_none_of_ours(error: &io::Error) -> bool {
    let is_gone = error.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    is_gone
        || matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        )
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper(db: &str, task: &str, run: &str) -> Child {
        Command::new("sleep")
            .arg("60")
            .env("HERMES_KANBAN_DB", db)
            .env("HERMES_KANBAN_TASK", task)
            .env("HERMES_KANBAN_RUN_ID", run)
            .spawn()
            .unwrap()
    }

    #[test]
    fn only_what_has_all_of_the_mark_is_killed() {
        let db = format!("/{}/kanban.db", std::process::id());
        let mut theirs = sleeper(&db, "t_1", "7");
        let others = [
            ("/other.db", "t_1", "7"),
            (&*db, "t_2", "7"),
            (&*db, "t_1", "77"),
        ];
        let mut others = others.map(|(db, task, run)| sleeper(db, task, run));
        let mark = Mark::new(Path::new(&db), "t_1", 7);
        // Becoming another program takes a moment.
        while !mark.is_on(Pid::from_child(&theirs)).unwrap() {
            std::thread::yield_now();
        }
        assert!(mark.kill_all().unwrap());
        assert!(!theirs.wait().unwrap().success());
        assert!(!mark.kill_all().unwrap(), "and then there is none");
        for other in &mut others {
            assert!(other.try_wait().unwrap().is_none());
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
