//! Who has ended, asked for all at once: an epoll over the workers' pidfds. While nobody ends, a look at two hundred costs one call.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{Pid, PidfdFlags, Resource, getrlimit, pidfd_open};

/// The share of the descriptors that watches may take, after those that are kept for locks, visits and starts.
const SHARE: u64 = 8;
const RESERVED: u64 = 64;

/// The kernel's list of the processes that are watched.
#[derive(Debug)]
pub(super) struct Watchers {
    /// `None` where the kernel gives none: then nobody is watched.
    epoll: Option<OwnedFd>,
    last_key: AtomicU64,
    count: Arc<AtomicUsize>,
}

/// A process that is watched. Dropped it is not: the kernel takes a closed descriptor off its list.
#[derive(Debug)]
pub(super) struct Watch {
    key: u64,
    count: Arc<AtomicUsize>,
    _pidfd: OwnedFd,
}

/// Which of those that are watched have ended; `None` when that could not be asked.
#[derive(Debug)]
pub(super) struct News(Option<HashSet<u64>>);

// ===== impl Watchers =====

impl Watchers {
    pub(super) fn new() -> Self {
        Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).ok(),
            last_key: AtomicU64::new(0),
            count: Arc::default(),
        }
    }

    /// Watches whatever process has this id now. `None`: it cannot be watched (no such process, no descriptor left, an old kernel) and
    /// must be looked at.
    pub(super) fn watch(&self, pid: u32) -> Option<Watch> {
        let epoll = self.epoll.as_ref().filter(|_| self.has_room())?;
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let key = self.last_key.fetch_add(1, Ordering::Relaxed);
        let data = epoll::EventData::new_u64(key);
        epoll::add(epoll, &pidfd, data, epoll::EventFlags::IN).ok()?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(Watch {
            key,
            count: Arc::clone(&self.count),
            _pidfd: pidfd,
        })
    }

    /// Asks who has ended, without waiting. Whoever has is named each time, for as long as it is watched.
    pub(super) fn ended(&self) -> News {
        let watched = self.count.load(Ordering::Relaxed);
        let Some(epoll) = self.epoll.as_ref().filter(|_| watched > 0) else {
            return News(Some(HashSet::new()));
        };
        let mut events = Vec::with_capacity(watched);
        let asked = epoll::wait(
            epoll,
            spare_capacity(&mut events),
            Some(&Timespec::default()),
        );
        let keys = events.iter().map(|event: &epoll::Event| event.data.u64());
        News(asked.ok().map(|_| keys.collect()))
    }

    /// Whether there are descriptors to spare.
    fn has_room(&self) -> bool {
        let Some(limit) = getrlimit(Resource::Nofile).current else {
            return true;
        };
        let most = limit.saturating_sub(RESERVED) / SHARE;
        (self.count.load(Ordering::Relaxed) as u64) < most
    }
}

impl News {
    /// Whether this one may have: it has, or that could not be asked.
    pub(super) fn may_include(&self, watch: &Watch) -> bool {
        self.0.as_ref().is_none_or(|keys| keys.contains(&watch.key))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::process::{Child, Command};

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    fn sleeper() -> io::Result<Child> {
        Command::new("sleep").arg("120").spawn()
    }

    /// Kills it and waits for the end, without reaping it.
    fn end(child: &mut Child) -> io::Result<()> {
        child.kill()?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(child)), options)?;
        Ok(())
    }

    #[test]
    fn whoever_has_ended_is_named_until_it_is_watched_no_more() -> io::Result<()> {
        let watchers = Watchers::new();
        let (mut first, mut second) = (sleeper()?, sleeper()?);
        let one = watchers.watch(first.id()).expect("it lives");
        let other = watchers.watch(second.id()).expect("it lives");
        let named = || {
            let ended = watchers.ended();
            [&one, &other].map(|watch| ended.may_include(watch))
        };
        assert_eq!(named(), [false, false]);
        end(&mut first)?;
        assert_eq!(named(), [true, false]);
        assert_eq!(named(), [true, false], "not once only");
        first.wait()?;
        assert_eq!(named(), [true, false], "also when it was waited for");
        drop(one);
        end(&mut second)?;
        let ended = watchers.ended();
        assert!(ended.may_include(&other));
        assert_eq!(ended.0.map(|keys| keys.len()), Some(1));
        second.wait()?;
        assert!(watchers.watch(second.id()).is_none(), "it is gone");
        Ok(())
    }

    #[test]
    fn without_a_list_nobody_is_watched() -> io::Result<()> {
        let watchers = Watchers {
            epoll: None,
            ..Watchers::new()
        };
        assert!(watchers.watch(std::process::id()).is_none());
        let other = Watchers::new();
        let me = other.watch(std::process::id()).expect("this one lives");
        assert!(!other.ended().may_include(&me));
        assert!(News(None).may_include(&me), "it was not asked");
        Ok(())
    }
}
