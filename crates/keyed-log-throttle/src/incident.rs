//! What has happened since a key last worked, and what of it the reader was told.

use crate::sync::{AtomicU32, AtomicU64, Ordering::*};

/// An incident: it is open from a key's first line until the key works again.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Incident {
    /// Nanoseconds plus one; 0 means no incident.
    since: AtomicU64,
    /// How many lines had been held back when the last incident ended.
    base: AtomicU64,
}

/// An incident that has just been closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) since: u64,
    pub(crate) lines: u64,
    pub(crate) failures: u64,
}

/// How many lines were written about the incident, and in the highest bit whether a summary was. There is room for 2^31 lines, each a
/// window after the one before.
#[derive(Debug, Default)]
pub(crate) struct Told(AtomicU32);

// ===== impl Incident =====

impl Incident {
    #[inline] // Not generic: it would be a call for each line held back.
    pub(crate) fn is_open(&self) -> bool {
        self.since.load(Relaxed) != 0
    }

    /// As it is kept.
    #[cfg(all(test, throttle_loom))]
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// Begins an incident unless there is one.
    pub(crate) fn begin(&self, at: impl FnOnce() -> u64) {
        // Most often there is one; then a look is all, and the others keep their cache line.
        if !self.is_open() {
            let since = at().saturating_add(1);
            let _ = self.since.compare_exchange(0, since, AcqRel, Acquire);
        }
    }

    /// Ends it. `suppressed` is how many lines have been held back by then, also before it.
    pub(crate) fn close(&self, told: &Told, suppressed: impl FnOnce() -> u64) -> Option<Closed> {
        let since = self.since.swap(0, AcqRel).checked_sub(1)?;
        let suppressed = suppressed();
        let base = self.base.swap(suppressed, AcqRel);
        let lines = u64::from(told.take_lines());
        Some(Closed {
            since,
            lines,
            failures: lines + suppressed.saturating_sub(base),
        })
    }
}

// ===== impl Told =====

impl Told {
    const SUMMARY: u32 = 1 << 31;

    pub(crate) fn add_line(&self) {
        self.0.fetch_add(1, AcqRel);
    }

    pub(crate) fn add_summary(&self) {
        self.0.fetch_or(Self::SUMMARY, AcqRel);
    }

    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Acquire) > 0
    }

    /// How many lines there were; from now on it is about the next incident.
    fn take_lines(&self) -> u32 {
        self.0.swap(0, AcqRel) & !Self::SUMMARY
    }
}
