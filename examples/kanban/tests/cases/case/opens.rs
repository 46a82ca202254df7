//! Who opens a board's files: the kernel tells it, of any process.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::{Case, Result};

/// Watches a board's directory.
pub(crate) struct Opens(OwnedFd);

// ===== impl Opens =====

impl Opens {
    pub(crate) fn of(case: &Case, slug: &str) -> Result<Self> {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // Equal events that follow each other are told as one: with the closes between them, opens are not.
        let what = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&watch, case.dir(slug), what)?;
        Ok(Self(watch))
    }

    /// The files of the database that were opened since the last question, its locks among them.
    pub(crate) fn seen(&self) -> Result<Vec<String>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.0, &mut buffer);
        let mut seen = Vec::new();
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    return Err("more opens than the kernel keeps".into());
                }
                Ok(event) if !event.events().contains(ReadFlags::OPEN) => {}
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_string_lossy());
                    seen.extend(
                        name.filter(|name| name.starts_with("kanban.db"))
                            .map(String::from),
                    );
                }
                Err(Errno::AGAIN) => return Ok(seen),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
