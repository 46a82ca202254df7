//! Who a process is: a pid alone is not an identity, since ids are used again.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;

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

    /// The same with the reason why it cannot be told.
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let (_, start) = look(pid)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start })
    }

    /// Whether it is known not to run any more: not if it could not be looked at.
    pub(crate) fn is_gone(&self) -> bool {
        match look(self.pid) {
            Ok(Some((state, start))) => start != self.start || !is_running(state),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether this very process is known to run still; a zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && is_running(state))
    }

    /// How old it is, in seconds, so long after the machine was started; a clock that can be set is not asked.
    pub(crate) fn age(&self, since_boot: Duration) -> i64 {
        let started = self.start / rustix::param::clock_ticks_per_second();
        i64::try_from(since_boot.as_secs().saturating_sub(started)).unwrap_or(i64::MAX)
    }
}

/// Whether any process with this id runs: says nothing about whose it is.
pub(crate) fn pid_exists(pid: i64) -> bool {
    u32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 0)
        .is_some_and(|pid| match look(pid) {
            Ok(found) => found.is_some_and(|(state, _)| is_running(state)),
            // Without a descriptor nobody is seen, and everybody may be there.
            Err(_) => true,
        })
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

/// State and start time, if it is known that there is one.
fn stat(pid: u32) -> Option<(u8, u64)> {
    look(pid).ok().flatten()
}

/// State and start time; none for a process that is not there. An error is that it could not be looked: no descriptor, no memory.
/// The name in parentheses may hold anything, parentheses included, so fields count from the last one.
fn look(pid: u32) -> io::Result<Option<(u8, u64)>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
        Err(error) => return Err(error),
    };
    let parse = || {
        let rest = &text[text.rfind(')')? + 1..];
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let start = fields.nth(18)?.parse().ok()?;
        Some((state, start))
    };
    Ok(parse())
}

/// Where pids and start times mean what they mean here: this boot, and in it this process's pid and time namespace.
///
/// A namespace's number is used again only when no process is left in it: what is found gone under the same number is gone.
pub(crate) fn place() -> String {
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(place) = KNOWN.get() {
        return place.clone();
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = |name: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
        link.to_string_lossy().into_owned()
    };
    let place = format!("{} {} {}", boot.trim(), namespace("pid"), namespace("time"));
    // It does not change while this process lives; but what could not be read just now may be read later.
    match boot.is_empty() {
        true => place,
        false => KNOWN.get_or_init(|| place).clone(),
    }
}

/// What a recorded place is to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Same,
    /// The machine was started anew: every process of then is gone.
    OtherBoot,
    /// This boot, but other pids or another zero of time: whether the process lives cannot be seen from here.
    OtherNamespace,
}

/// Compares two texts of [`place`]; one that names a boot alone is of this namespace.
pub(crate) fn compare(recorded: &str, here: &str) -> Place {
    let boot = |place: &str| place.split(' ').next().unwrap_or_default().to_owned();
    if boot(here).is_empty() {
        // It could not be read: that proves nobody gone.
        Place::OtherNamespace
    } else if boot(recorded) != boot(here) {
        Place::OtherBoot
    } else if recorded == here || recorded == boot(here) {
        Place::Same
    } else {
        Place::OtherNamespace
    }
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
    fn a_process_is_as_old_as_the_boot_says() {
        let start = 100 * rustix::param::clock_ticks_per_second();
        let old = Identity { pid: 1, start };
        assert_eq!(old.age(Duration::from_millis(103_900)), 3);
        assert_eq!(old.age(Duration::from_secs(99)), 0);
        let me = Identity::of(std::process::id()).unwrap();
        let since_boot = crate::Clock::system().since_boot().unwrap();
        assert!(me.age(since_boot) < 3600);
    }

    #[test]
    fn another_boot_and_another_namespace_are_told_apart() {
        let here = place();
        assert_eq!(here.split(' ').count(), 3, "{here}");
        let boot = here.split(' ').next().unwrap();
        for (recorded, expected) in [
            (here.clone(), Place::Same),
            (boot.to_owned(), Place::Same),
            (format!("{boot} pid:[1] time:[1]"), Place::OtherNamespace),
            (here.replace(boot, "another"), Place::OtherBoot),
            (String::new(), Place::OtherBoot),
        ] {
            assert_eq!(compare(&recorded, &here), expected, "{recorded}");
        }
        // One's own place could not be read: that proves nobody gone.
        assert_eq!(compare(&here, ""), Place::OtherNamespace);
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
