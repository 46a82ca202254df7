//! One (key, class): its rate cell and its counts, shared by the table and the handles.

use std::hash::{Hash, Hasher};
use std::ops::Deref;

use crate::ClassId;
use crate::count::{Count, Owner};
use crate::incident::{Closed, Incident, Told};
use crate::sketch::Sketch;
use crate::sync::{Arc, AtomicU64, Ordering::*};

/// The state of one (key, class). `suppressed` only grows, so taking never races with counting.
///
/// The order matters: what is read of a line that is held back is in two cache lines where the key is short. Among 10,000 keys that is a
/// tenth of a check.
#[repr(C)]
pub(crate) struct Entry<K> {
    pub(crate) key: K,
    /// Kept so that neither growth nor eviction calls the user's `Hash` under a lock.
    pub(crate) mark: Mark,
    pub(crate) class: ClassId,
    /// Which of the throttle's windows this entry lives by.
    pub(crate) gate: GateIndex,
    /// governor's cell: the theoretical arrival time in nanoseconds; 0 before the first line.
    pub(crate) tat: AtomicU64,
    pub(crate) incident: Incident,
    owner: Owner,
    /// Of the incident.
    told: Told,
    /// Every line ever held back.
    suppressed: Count,
    /// How many of them were handed out. Invariant: never more than `suppressed`.
    reported: AtomicU64,
    /// When this entry last had a line or a summary, in nanoseconds since the throttle was made.
    told_at: AtomicU64,
    /// Only on entries that keys share.
    pub(crate) sketch: Option<Box<Sketch>>,
}

/// 0 is the window of all classes without one of their own, n + 1 the n-th of the others.
pub(crate) type GateIndex = u16;

/// Half of a key's hash: all that an entry keeps of it. Two keys with one mark cost a comparison, nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u32);

// ===== impl Mark =====

impl Mark {
    pub(crate) fn of(hash: u64) -> Self {
        Self((hash ^ hash >> 32) as u32)
    }

    /// A hash again: a multiplication by the golden ratio fills the upper half, which the tables look at too.
    #[inline]
    pub(crate) fn spread(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

// ===== impl Entry =====

impl<K> Entry<K> {
    pub(crate) fn new(key: K, mark: Mark, class: ClassId, gate: GateIndex) -> Self {
        Self {
            key,
            mark,
            class,
            gate,
            tat: AtomicU64::new(0),
            sketch: None,
            incident: Incident::default(),
            owner: Owner::default(),
            told: Told::default(),
            suppressed: Count::default(),
            reported: AtomicU64::new(0),
            told_at: AtomicU64::new(0),
        }
    }

    /// Whether the window is not over, when it is `now` at most.
    #[inline]
    pub(crate) fn surely_lasts(&self, now: u64) -> bool {
        now < self.tat.load(Acquire)
    }

    /// Counts the line if it is surely held back when it is `now` at most: the way of nearly all lines, and small enough to
    /// stand where it is called. Not for an entry that keys share, where each is to be marked too.
    #[inline]
    pub(crate) fn holds_back(&self, now: u64) -> bool {
        let is = self.surely_lasts(now) && self.incident.is_open();
        if is {
            self.hold_back();
        }
        is
    }

    /// Counts one line that was held back.
    pub(crate) fn hold_back(&self) {
        self.suppressed.add_one(&self.owner);
    }

    /// Held back and not handed out.
    pub(crate) fn pending(&self) -> u64 {
        // `reported` first: it never overtakes `suppressed`, so the difference is never negative.
        let reported = self.reported.load(Acquire);
        self.suppressed.get().saturating_sub(reported)
    }

    /// Takes what is pending. Two takers at once share it; no line is handed out twice.
    pub(crate) fn take(&self) -> u64 {
        let suppressed = self.suppressed.get();
        let reported = self.reported.fetch_max(suppressed, AcqRel);
        suppressed.saturating_sub(reported)
    }

    /// Makes pending again what a taker took and could not tell.
    pub(crate) fn give_back(&self, count: u64) {
        self.reported.fetch_sub(count, AcqRel);
    }

    /// Every line ever held back here.
    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed.get()
    }

    /// Notes that the reader heard about this entry at `at`; the time since the last such moment.
    pub(crate) fn told(&self, at: u64) -> u64 {
        at.saturating_sub(self.told_at.swap(at, AcqRel))
    }

    pub(crate) fn told_at(&self) -> u64 {
        self.told_at.load(Acquire)
    }

    /// Whether it counts for all keys that found no room.
    pub(crate) fn is_shared(&self) -> bool {
        self.sketch.is_some()
    }

    /// Makes the last line of `before` this entry's too, which has its next one at `next`.
    pub(crate) fn follow(&self, before: &Self, next: u64) {
        self.tat.store(next, Release);
        self.told_at.store(before.told_at(), Release);
    }

    /// Lets the next line pass at once, as if the entry were new.
    pub(crate) fn rewind(&self) {
        self.tat.store(0, Release);
    }

    /// The keys folded since this was last asked; 0 for an entry with a key of its own.
    pub(crate) fn take_folded(&self) -> u32 {
        self.sketch.as_ref().map_or(0, |sketch| sketch.take())
    }

    /// A line was written.
    pub(crate) fn add_line(&self) {
        self.told.add_line();
    }

    /// A summary was written.
    pub(crate) fn add_summary(&self) {
        if self.incident.is_open() {
            self.told.add_summary();
        }
    }

    /// Whether the reader has heard of the incident: a line or a summary was written while it was open.
    pub(crate) fn was_announced(&self) -> bool {
        self.incident.is_open() && self.told.is_any()
    }

    /// Ends the incident. The counts stay where they are.
    pub(crate) fn close(&self) -> Option<Closed> {
        self.incident.close(&self.told, || self.suppressed())
    }
}

/// A shared entry, and governor's key: equal only to itself.
pub(crate) struct Slot<K>(pub(crate) Arc<Entry<K>>);

// ===== impl Slot =====

impl<K> Clone for Slot<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Deref for Slot<K> {
    type Target = Entry<K>;

    fn deref(&self) -> &Entry<K> {
        &self.0
    }
}

impl<K> PartialEq for Slot<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<K> Eq for Slot<K> {}

impl<K> Hash for Slot<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref::<Entry<K>>(&self.0).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_taken_once() {
        let entry = Entry::new((), Mark::of(0), ClassId::new(0), 0);
        (0..5).for_each(|_| entry.hold_back());
        assert_eq!((entry.pending(), entry.take(), entry.take()), (5, 5, 0));
        entry.hold_back();
        assert_eq!(
            (entry.pending(), entry.take(), entry.suppressed()),
            (1, 1, 6)
        );
    }

    #[test]
    fn an_incident_counts_from_the_last_one_s_end() {
        let entry = Entry::new((), Mark::of(0), ClassId::new(0), 0);
        assert!(entry.close().is_none());
        entry.hold_back();
        entry.incident.begin(|| 0);
        entry.incident.begin(|| 7);
        assert!(!entry.was_announced());
        entry.add_line();
        assert!(entry.was_announced());
        let close = || entry.close().map(|it| (it.since, it.lines, it.failures));
        assert_eq!(close(), Some((0, 1, 2)));
        entry.hold_back();
        entry.incident.begin(|| 9);
        entry.add_summary();
        assert!(entry.was_announced());
        assert_eq!(close(), Some((9, 0, 1)));
        entry.add_summary();
        assert_eq!(close(), None);
        entry.incident.begin(|| 9);
        assert!(!entry.was_announced());
    }

    #[test]
    fn an_entry_stays_near_a_hundred_bytes() {
        assert!(size_of::<Entry<()>>() <= 80, "{}", size_of::<Entry<()>>());
    }
}
