//! A git that outlived the dispatcher which started it may still be making a checkout: it is let finish, and its work is used.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How often it is looked for another.
const STEP: Duration = Duration::from_millis(50);

/// Waits until no git makes a checkout at `path`, for at most `patience`; what is left of that.
pub(super) fn wait_for_makers(path: &Path, patience: Duration) -> Duration {
    let mut left = patience;
    while let Some(maker) = maker(path) {
        if left.is_zero() {
            break;
        }
        let step = Timespec {
            tv_sec: 0,
            tv_nsec: STEP.as_nanos().try_into().unwrap_or(0),
        };
        // Its end, or the next look: an interrupted wait is only a shorter one.
        let _ = poll(&mut [PollFd::new(&maker, PollFlags::IN)], Some(&step));
        left = left.saturating_sub(STEP);
    }
    left
}

/// A live process that was told to make a checkout at `path`.
fn maker(path: &Path) -> Option<OwnedFd> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // Opened before the look at it, so that it is the one that was looked at.
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        makes(&fs::read(entry.path().join("cmdline")).ok()?, path).then_some(process)
    })
}

/// Whether these words, each ended by a zero byte, are a `git worktree add` at `path`.
fn makes(words: &[u8], path: &Path) -> bool {
    let has = |word: &OsStr| {
        words
            .split(|byte| *byte == 0)
            .any(|said| said == word.as_bytes())
    };
    has("worktree".as_ref()) && has("add".as_ref()) && has(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_addition_at_that_very_path_is_one() {
        let at = |words: &str| makes(words.replace(' ', "\0").as_bytes(), Path::new("/r/t"));
        assert!(at("git -C /r worktree add -b b /r/t HEAD "));
        assert!(at("/bin/sh /bin/git -C /r worktree add /r/t b "));
        for other in [
            "",
            "git -C /r worktree add /r/t2 b ",
            "git worktree remove /r/t ",
            "vi /r/t ",
        ] {
            assert!(!at(other), "{other}");
        }
    }
}
