//! Which boards' files have changed, and which of the places that all boards depend on: a hint from the kernel, so that what is
//! unchanged costs nothing.
//!
//! A hint and never the truth. What no hint was given for may still have changed where the kernel makes no event (see
//! [`Watch::sees`] and [`Watch::drain`]), so the caller looks at everything from time to time.
//! Why this stands on inotify itself: `docs/decisions/0028-the-watch-asks-the-kernel-itself.md`.

mod queue;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::error::Error;
pub(crate) use queue::Followed;
use queue::Queue;

/// Tells which directories and files have changed since it was last asked.
///
/// One inotify descriptor and one thread, however many they are; about 50 bytes for each of them here, and about 1 KB in
/// the kernel. The thread only wakes the caller: events are also read by [`drain`](Self::drain) itself, so what was written
/// before the call is in its answer. After the thread has called `wake` it rests until the next drain; what a busy tick
/// writes costs no switch of threads.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    /// `None` only while it is being dropped.
    thread: Option<JoinHandle<()>>,
}

/// How far the list that a drain gives can be relied on.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// No event was lost: where the kernel sees every write, what is not in the list has not changed.
    Whole,
    /// Events were lost: look at everything, and follow every directory anew, since one may have been replaced meanwhile.
    Gap,
    /// There will be no more hints: drop this watch, and look at everything from now on.
    Over,
}

struct Shared {
    inotify: OwnedFd,
    /// Rung to end the thread's rest, or the thread.
    bell: OwnedFd,
    state: Mutex<State>,
}

struct State {
    queue: Queue,
    stopped: bool,
}

/// What a stamp can be moved by. Not opening and closing: every look of ours and of others would be an event.
const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

// ===== impl Watch =====

impl Watch {
    /// Follows nothing yet.
    ///
    /// `wake` is called from a thread of the watch's when something has changed that the next drain will tell: once until
    /// that drain. A call may come late, when a drain has just told it.
    ///
    /// # Errors
    /// The system gives no inotify instance, descriptor or thread.
    pub(crate) fn new(wake: impl Fn() + Send + 'static) -> Result<Self, Error> {
        let failed = |errno| new_failed(errno);
        let shared = Arc::new(Shared {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?,
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?,
            state: Mutex::new(State {
                queue: Queue::default(),
                stopped: false,
            }),
        });
        let attended = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || attended.attend(&wake))
            .map_err(|error| Error::io("start the thread that waits for changed files", error))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Whether changes of a board's files in `dir` make events here at all; ask anew when the board has changed.
    ///
    /// Only on local file systems: what another host writes makes none. And only if the files are not reached by a second
    /// path: an event goes to the directory by which a file was opened.
    pub(crate) fn sees(dir: &Path) -> bool {
        Self::sees_at(dir)
            && queue::NAMES.iter().all(|name| {
                use std::os::unix::fs::MetadataExt;
                match dir.join(name).symlink_metadata() {
                    Ok(meta) => !meta.is_symlink() && meta.nlink() <= 1,
                    Err(error) => error.kind() == std::io::ErrorKind::NotFound,
                }
            })
    }

    /// Whether what is at `path` is followed as long as it is there: on a local file system, and by no link. A link can be made to lead
    /// elsewhere, and only the directory that it is in would tell.
    pub(crate) fn sees_at(path: &Path) -> bool {
        let local = rustix::fs::statfs(path).is_ok_and(|fs| queue::is_local(fs.f_type as u32));
        local && !path.is_symlink()
    }

    /// Tells changes of `path`, not of what is in its directories, as changes of `key`, instead of what `key` stood for.
    ///
    /// Changes after this call are told: look at the files after it, not before. Several keys may stand for one directory.
    /// Following a directory again costs as little as the first time (2 to 3 us).
    ///
    /// # Errors
    /// It is not there or cannot be read, or the limit on watches is reached: `key` is not followed then.
    pub(crate) fn follow(&mut self, key: u32, path: &Path, what: Followed) -> Result<(), Error> {
        // Locked before the kernel knows of it: the thread must not read events of a directory that is not on record.
        let mut state = self.shared.lock();
        // Added to what another key asked for. Links are followed, as SQLite does.
        let kind = match what {
            Followed::File => WatchFlags::empty(),
            _ => WatchFlags::ONLYDIR,
        };
        let events = EVENTS | kind | WatchFlags::MASK_ADD;
        match inotify::add_watch(&self.shared.inotify, path, events) {
            Ok(wd) => {
                state.queue.insert(&self.shared.inotify, key, wd, what);
                Ok(())
            }
            Err(errno) => {
                state.queue.remove(&self.shared.inotify, key);
                Err(follow_failed(path, errno))
            }
        }
    }

    /// Tells nothing of `key` any more, not even what was not yet told.
    pub(crate) fn forget(&mut self, key: u32) {
        let mut state = self.shared.lock();
        state.queue.remove(&self.shared.inotify, key);
    }

    /// Whether changes of `key` are told. A directory that was removed, renamed or unmounted is told as changed once, and is
    /// not followed from then on.
    pub(crate) fn follows(&self, key: u32) -> bool {
        self.shared.lock().queue.follows(key)
    }

    /// Adds to `changed` the keys of all that has changed since the last call, each once, without waiting.
    ///
    /// Every write that had returned before this call is told. Not told is what makes no event: writing through a mapping of
    /// a file (SQLite writes its `-shm` so, nothing else), and renaming a directory further up.
    pub(crate) fn drain(&mut self, changed: &mut Vec<u32>) -> Trust {
        let (trust, rested) = {
            let mut state = self.shared.lock();
            let rested = state.queue.has_news();
            state.queue.read(&self.shared.inotify);
            (state.queue.take(changed), rested)
        };
        if rested {
            self.shared.ring();
        }
        trust
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Watch")
            .field("followed", &state.queue.followed())
            .field("untold", &state.queue.untold())
            .finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            // Only a panic of the caller's `wake` can be in it, and that was told where it happened.
            let _ = thread.join();
        }
    }
}

// ===== impl Shared =====

impl Shared {
    /// The thread: waits for events, keeps what matters, and wakes the caller once; then rests until that has been taken.
    fn attend(&self, wake: &impl Fn()) {
        let ending = Ending(self);
        loop {
            let rests = {
                let state = self.lock();
                if state.stopped {
                    return;
                }
                state.queue.has_news()
            };
            let mut waited = [
                PollFd::new(&self.bell, PollFlags::IN),
                PollFd::new(&self.inotify, PollFlags::IN),
            ];
            let waited = &mut waited[..if rests { 1 } else { 2 }];
            match poll(waited, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => {
                    drop(ending);
                    return wake();
                }
            }
            // Reading sets it back; that nothing was there to read is fine.
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
            if rests {
                continue;
            }
            let news = {
                let mut state = self.lock();
                state.queue.read(&self.inotify);
                state.queue.has_news() && !state.stopped
            };
            if news {
                wake();
            }
        }
    }

    fn ring(&self) {
        // Fails only when it was rung 2^64 times already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// However the thread ends, also by a panic of the caller's `wake`, the next drain says that it is over.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.lock().queue.end();
    }
}

// ===== what went wrong =====

fn new_failed(errno: Errno) -> Error {
    let hint = match errno {
        Errno::MFILE => {
            ": a limit is reached, see `sysctl fs.inotify.max_user_instances` and `ulimit -n`"
        }
        Errno::NFILE => ": the machine's limit on open files is reached, see `sysctl fs.file-max`",
        _ => "",
    };
    Error::io(format!("watch files for changes{hint}"), errno.into())
}

fn follow_failed(path: &Path, errno: Errno) -> Error {
    let what = format!("watch {} for changes", path.display());
    if errno != Errno::NOSPC {
        return Error::io(what, errno.into());
    }
    // The system's own text for it is "no space left on device", which sends people to look at their disk.
    let what = format!(
        "{what}: the limit on watched directories is reached (ENOSPC; the disk is not full), see `sysctl fs.inotify.max_user_watches`"
    );
    Error::new(crate::error::ErrorKind::Io, what)
}
