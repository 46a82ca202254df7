//! What the kernel has told and nobody has asked for yet; which directory stands for which key.

use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{self, ReadFlags, Reader};
use rustix::io::Errno;

use super::Trust;

/// The files that make a board. Not `-shm`, which is written through a mapping, and holds nothing that is not in the log.
pub(super) const NAMES: [&str; 4] = [
    "kanban.db",
    "kanban.db-wal",
    "kanban.db-journal",
    "board.json",
];

/// What is followed, and so which of its events matter. One byte: there is one for each of many boards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// A board's directory.
    Board,
    /// The directory that the profiles' one is in.
    Home,
    /// The directory that the boards' one and the ledger's one are in.
    Kanban,
    /// A directory for all that is in it.
    List,
    /// A file.
    File,
}

/// What is followed, and its news.
#[derive(Debug, Default)]
pub(super) struct Queue {
    keys: HashMap<u32, Entry>,
    /// The kernel's number of each, with each key that stands for it.
    ///
    /// Invariant: holds exactly the `wd` of all `keys` that have one.
    wds: BTreeSet<(i32, u32)>,
    /// Keys with news, in the order of it. May name a key twice, or one that was forgotten: `news` decides.
    changed: Vec<u32>,
    gap: bool,
    over: bool,
}

#[derive(Debug)]
struct Entry {
    /// `None` when it is gone. The kernel gives no number twice, so an event that is late meets nobody.
    wd: Option<i32>,
    what: Followed,
    news: bool,
}

impl Followed {
    /// Whether an event in it matters, or one of itself, for which no name is given.
    fn minds(self, name: Option<&[u8]>) -> bool {
        let is_one_of = |names: &[&str]| {
            name.is_none_or(|name| names.iter().any(|known| known.as_bytes() == name))
        };
        match self {
            Self::Board => is_one_of(&NAMES),
            Self::Home => is_one_of(&["profiles"]),
            Self::Kanban => is_one_of(&["boards", ".dispatcher"]),
            Self::List | Self::File => true,
        }
    }
}

impl Queue {
    pub(super) fn insert(&mut self, inotify: &OwnedFd, key: u32, wd: i32, what: Followed) {
        let before = self.keys.remove(&key);
        let entry = Entry {
            wd: Some(wd),
            what,
            // What was not told yet will be: one hint too many does no harm.
            news: before.as_ref().is_some_and(|before| before.news),
        };
        self.keys.insert(key, entry);
        self.wds.insert((wd, key));
        if let Some(old) = before.and_then(|before| before.wd).filter(|old| *old != wd) {
            self.leave(inotify, old, key);
        }
    }

    pub(super) fn remove(&mut self, inotify: &OwnedFd, key: u32) {
        if let Some(wd) = self.keys.remove(&key).and_then(|entry| entry.wd) {
            self.leave(inotify, wd, key);
        }
    }

    pub(super) fn follows(&self, key: u32) -> bool {
        self.keys.get(&key).is_some_and(|entry| entry.wd.is_some())
    }

    /// How many keys are followed.
    pub(super) fn followed(&self) -> usize {
        self.wds.len()
    }

    /// How many changes are kept for the next drain; no more than there are keys.
    pub(super) fn untold(&self) -> usize {
        self.changed.len()
    }

    /// Whether a drain would tell anything.
    pub(super) fn has_news(&self) -> bool {
        self.gap || self.over || !self.changed.is_empty()
    }

    /// Reads what the kernel has, without waiting.
    pub(super) fn read(&mut self, inotify: &OwnedFd) {
        if self.over {
            return;
        }
        // A hundred events or more a read.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    self.note(inotify, event.wd(), event.events(), name);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.over = true;
                    return;
                }
            }
        }
    }

    /// Keeps one event, if it matters.
    pub(super) fn note(
        &mut self,
        inotify: &OwnedFd,
        wd: i32,
        flags: ReadFlags,
        name: Option<&[u8]>,
    ) {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.gap = true;
            return;
        }
        let gone = flags.intersects(
            ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED,
        );
        for &(_, key) in self.wds.range(keys_of(wd)) {
            let Some(entry) = self.keys.get_mut(&key) else {
                continue;
            };
            if gone {
                entry.wd = None;
            }
            if (gone || entry.what.minds(name)) && !entry.news {
                entry.news = true;
                self.changed.push(key);
            }
        }
        if gone {
            while let Some(&entry) = self.wds.range(keys_of(wd)).next() {
                self.wds.remove(&entry);
            }
            // What was renamed would still be followed, under a path that nobody meant.
            let _ = inotify::remove_watch(inotify, wd);
        }
    }

    /// Nobody will wait for events any more.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// Hands the news out.
    pub(super) fn take(&mut self, changed: &mut Vec<u32>) -> Trust {
        for key in self.changed.drain(..) {
            if let Some(entry) = self.keys.get_mut(&key).filter(|entry| entry.news) {
                entry.news = false;
                changed.push(key);
            }
        }
        let gap = std::mem::take(&mut self.gap);
        match (self.over, gap) {
            (true, _) => Trust::Over,
            (false, true) => Trust::Gap,
            (false, false) => Trust::Whole,
        }
    }

    /// `key` stands for `wd` no more; the last one to leave ends the kernel's part.
    fn leave(&mut self, inotify: &OwnedFd, wd: i32, key: u32) {
        self.wds.remove(&(wd, key));
        if self.wds.range(keys_of(wd)).next().is_none() {
            // It fails when the directory went by itself; then there is nothing left to end.
            let _ = inotify::remove_watch(inotify, wd);
        }
    }
}

/// All entries of one directory.
fn keys_of(wd: i32) -> RangeInclusive<(i32, u32)> {
    (wd, 0)..=(wd, u32::MAX)
}

/// File systems that nobody writes to but through this kernel, by the number that statfs gives (`linux/magic.h`; ZFS and
/// bcachefs: their own headers). An unknown one is not trusted: a sweep costs little, a change never seen costs a board.
pub(super) fn is_local(magic: u32) -> bool {
    const LOCAL: [u32; 9] = [
        0x0000_EF53, // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683E, // btrfs
        0x0102_1994, // tmpfs
        0x8584_58F6, // ramfs
        0xF2F5_2010, // f2fs
        0xCA45_1A4E, // bcachefs
        0x2FC1_2FC1, // zfs
        // overlayfs: what is written through the mount makes events; what goes around it, into the layers below, is not
        // supported by overlayfs itself while it is mounted.
        0x794C_7630,
    ];
    LOCAL.contains(&magic)
}
