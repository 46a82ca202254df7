//! Who a process is: a pid alone is not an identity, since ids are used again.

use std::fs;

/// A process for certain: its id, when it started, and in which boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Clock ticks after boot; field 22 of `/proc/PID/stat`.
    pub(crate) start: u64,
}

impl Identity {
    /// The identity of the process that has this id now; `None` if there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|(_, start)| Self { pid, start })
    }

    /// Whether this very process still runs; a zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && is_running(state))
    }
}

/// Whether any process with this id runs: says nothing about whose it is.
pub(crate) fn pid_exists(pid: i64) -> bool {
    u32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 0)
        .and_then(stat)
        .is_some_and(|(state, _)| is_running(state))
}

/// Whether the process with this id started after `unix` seconds; false when that cannot be told.
pub(crate) fn started_after(pid: i64, unix: i64) -> bool {
    let started = || {
        let (_, ticks) = stat(u32::try_from(pid).ok()?)?;
        let text = fs::read_to_string("/proc/stat").ok()?;
        let boot: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()?;
        i64::try_from(boot + ticks / rustix::param::clock_ticks_per_second()).ok()
    };
    started().is_some_and(|started| started > unix)
}

fn is_running(state: u8) -> bool {
    !matches!(state, b'Z' | b'X')
}

/// State and start time. The name in parentheses may hold anything, parentheses included, so fields count from the last one.
fn stat(pid: u32) -> Option<(u8, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &text[text.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

/// This boot's id; start times are comparable only within one boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_another_start_time_is_somebody_else() {
        let me = Identity::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(
            !Identity {
                start: me.start + 1,
                ..me
            }
            .is_alive()
        );
        assert!(!pid_exists(0) && !pid_exists(-1) && !pid_exists(i64::MAX));
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        // Waits for the end without reaping it.
        let pid = rustix::process::Pid::from_child(&child);
        let options =
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }
}
