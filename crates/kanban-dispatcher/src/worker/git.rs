//! Git, as far as worktrees need it: the program, within a time, and without what our own environment would tell it.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};

use super::makers::wait_for_makers;

/// For everything that one workspace asks of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between SIGTERM, at which it removes what it has half made, and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether it has ended.
const STEP: Duration = Duration::from_millis(5);

/// What a repository's own programs find in their environment, which would lead to another repository than the one asked for.
const LOCAL: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

/// Git, with a bounded time for all that is asked of it.
#[derive(Debug)]
pub(super) struct Git {
    left: Cell<Duration>,
}

// ===== impl Git =====

impl Git {
    pub(super) fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    fn with_patience(patience: Duration) -> Self {
        Self {
            left: Cell::new(patience),
        }
    }

    /// The checkout that `path` lies in, or git's reason why there is none.
    pub(super) fn toplevel(&self, path: &Path) -> io::Result<Result<PathBuf, String>> {
        self.path(path, &["rev-parse", "--show-toplevel"])
    }

    /// Whether `path` lies in a checkout beside the repository's main one.
    pub(super) fn is_linked(&self, path: &Path) -> io::Result<bool> {
        let own = self.git_dir(path)?;
        Ok(own.is_ok() && own != self.common_dir(path)?)
    }

    /// The branch that is checked out there; none if no branch is.
    pub(super) fn branch(&self, path: &Path) -> io::Result<Option<String>> {
        let said = self.ask(path, &["branch", "--show-current"])?;
        Ok(said.ok().filter(|branch| !branch.is_empty()))
    }

    /// Whether `path` is a checkout of the repository that `repo` is one of; one that is half made is an error.
    pub(super) fn is_checkout(&self, path: &Path, repo: &Path) -> io::Result<bool> {
        let is_one = self.toplevel(path)?.is_ok_and(|top| top == resolved(path))
            && self.common_dir(path)? == self.common_dir(repo)?;
        if !is_one {
            return Ok(false);
        }
        // Git locks what it makes until it is whole.
        let lock = self.git_dir(path)?.map(|dir| dir.join("locked"));
        if lock.is_ok_and(|lock| is_half_made(&lock)) {
            let path = path.display();
            return Err(io::Error::other(format!(
                "the making of {path} was interrupted: remove it with `git worktree remove -f -f {path}`"
            )));
        }
        Ok(true)
    }

    /// Lets a git finish that makes a checkout at `path` for a dispatcher which is gone.
    pub(super) fn let_finish(&self, path: &Path) {
        self.left.set(wait_for_makers(path, self.left.get()));
    }

    /// Makes a checkout of `branch` at `path`, and the branch if there is none of that name.
    pub(super) fn add(&self, repo: &Path, path: &Path, branch: &str) -> io::Result<()> {
        if branch.starts_with('-') {
            return Err(io::Error::other(format!("{branch:?} is no branch name")));
        }
        let name = format!("refs/heads/{branch}");
        let is_there = self.ask(repo, &["show-ref", "--verify", "--quiet", &name])?;
        let target = path.to_str().ok_or_else(|| {
            let what = format!("{} is not UTF-8", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        let added = if is_there.is_ok() {
            self.ask(repo, &["worktree", "add", target, branch])
        } else {
            self.ask(repo, &["worktree", "add", "-b", branch, target, "HEAD"])
        };
        added?.map(drop).map_err(|why| {
            io::Error::other(format!(
                "git worktree add failed for {target} on branch {branch}: {why}"
            ))
        })
    }

    fn common_dir(&self, path: &Path) -> io::Result<Result<PathBuf, String>> {
        let absolute = "--path-format=absolute";
        self.path(path, &["rev-parse", absolute, "--git-common-dir"])
    }

    fn git_dir(&self, path: &Path) -> io::Result<Result<PathBuf, String>> {
        self.path(path, &["rev-parse", "--path-format=absolute", "--git-dir"])
    }

    fn path(&self, dir: &Path, args: &[&str]) -> io::Result<Result<PathBuf, String>> {
        let said = self.ask(dir, args)?;
        Ok(said.map(|path| resolved(Path::new(&path))))
    }

    /// Runs git in `dir`: what it said, or its complaint. An error is that it could not be run, or not to its end in time.
    fn ask(&self, dir: &Path, args: &[&str]) -> io::Result<Result<String, String>> {
        if self.left.get().is_zero() {
            return Err(overran(args));
        }
        // Memory files: a program that git leaves behind with a pipe of ours would keep us reading.
        let (out, err) = (memory()?, memory()?);
        let mut command = Command::new("git");
        command.arg("-C").arg(dir).args(args);
        for name in LOCAL {
            command.env_remove(name);
        }
        // Nobody is there to answer, and what it says is read by people who read what the peer's git says.
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(out.try_clone()?).stderr(err.try_clone()?);
        let mut child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("run git: {error}")))?;
        let Some(status) = self.wait(&mut child)? else {
            return Err(overran(args));
        };
        let (out, err) = (text(&out)?, text(&err)?);
        Ok(match (status.success(), err.is_empty()) {
            (true, _) => Ok(out),
            (false, false) => Err(err),
            (false, true) => Err(if out.is_empty() {
                status.to_string()
            } else {
                out
            }),
        })
    }

    /// Waits for its end; one that takes too long is stopped, with everything that it started.
    fn wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let left = self.left.get();
        let (status, waited) = wait_for(child, left)?;
        self.left.set(left.saturating_sub(waited));
        if status.is_some() {
            return Ok(status);
        }
        // Ours and not waited for yet, so its id, which is its group's too, is nobody else's.
        let group = Pid::from_child(child);
        let _ = kill_process_group(group, Signal::TERM);
        let _ = wait_leaving_zombie(group, GRACE);
        let _ = kill_process_group(group, Signal::KILL);
        child.wait().map(|_| None)
    }
}

fn overran(args: &[&str]) -> io::Error {
    let words = args.join(" ");
    let what = format!("git {words} was stopped: a workspace has {PATIENCE:?} for all of its git");
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Waits for at most `patience`: the end, if it came, and how long that took.
fn wait_for(child: &mut Child, patience: Duration) -> io::Result<(Option<ExitStatus>, Duration)> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), waited));
        }
        if waited >= patience {
            return Ok((None, waited));
        }
        std::thread::park_timeout(STEP);
        waited += STEP;
    }
}

/// The same without taking note of the end, so that the id stays taken.
fn wait_leaving_zombie(pid: Pid, patience: Duration) -> rustix::io::Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let mut waited = Duration::ZERO;
    while waitid(WaitId::Pid(pid), options)?.is_none() && waited < patience {
        std::thread::park_timeout(STEP);
        waited += STEP;
    }
    Ok(())
}

fn memory() -> io::Result<File> {
    Ok(memfd_create("git", MemfdFlags::CLOEXEC)?.into())
}

/// What was written, as far as anybody will read it.
fn text(file: &File) -> io::Result<String> {
    const LENGTH_MAX: usize = 16 * 1024;
    let mut bytes = vec![0; LENGTH_MAX];
    let mut length = 0;
    while length < LENGTH_MAX {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(String::from_utf8_lossy(&bytes[..length]).trim().to_owned())
}

fn is_half_made(lock: &Path) -> bool {
    std::fs::read_to_string(lock).is_ok_and(|text| text.trim() == "initializing")
}

/// Without links, as far as it exists.
pub(super) fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// A repository with one commit, whose checkouts run this script.
    fn repository(hook: &str) -> Result<tempfile::TempDir> {
        let dir = tempfile::tempdir()?;
        let git = |args: &[&str]| -> Result {
            let me = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            let mut command = Command::new("git");
            command.arg("-C").arg(dir.path()).args(me).args(args);
            let output = command.output()?;
            output
                .status
                .success()
                .then_some(())
                .ok_or(format!("{output:?}"))?;
            Ok(())
        };
        git(&["init", "-q", "-b", "main"])?;
        git(&["commit", "-q", "--allow-empty", "-m", "one"])?;
        let path = dir.path().join(".git/hooks/post-checkout");
        std::fs::create_dir_all(dir.path().join(".git/hooks"))?;
        std::fs::write(&path, format!("#!/bin/sh\n{hook}\n"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(dir)
    }

    /// Whether a process ends: a signal that was sent may still be on its way.
    fn ends(pid: i32) -> bool {
        let pid = Pid::from_raw(pid).expect("a process id");
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return true;
        };
        let soon = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        poll(&mut fds, Some(&soon)).is_ok_and(|ended| ended == 1)
    }

    #[test]
    fn git_that_takes_too_long_is_stopped_with_all_that_it_started() -> Result {
        let dir = repository(
            "echo $$ > \"$(git rev-parse --git-common-dir)/../pid\"; trap '' TERM; sleep 600",
        )?;
        let git = Git::with_patience(Duration::from_secs(3));
        let error = git
            .add(dir.path(), &dir.path().join("tree"), "b")
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        let pid: i32 = std::fs::read_to_string(dir.path().join("pid"))?
            .trim()
            .parse()?;
        assert!(ends(pid), "its hook lives: {pid}");
        // Nothing is left for a second question.
        let again = git.toplevel(dir.path()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::TimedOut);
        Ok(())
    }

    #[test]
    fn much_that_is_said_holds_nothing_up_and_is_told_in_part() -> Result {
        let dir = repository("seq 1 100000 >&2; exit 3")?;
        let tree = dir.path().join("tree");
        let error = Git::new()
            .add(dir.path(), &tree, "b")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("git worktree add failed") && error.len() < 20_000,
            "{error}"
        );
        Ok(())
    }
}
