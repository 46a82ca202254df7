//! The verbs that hand out what no line has reported: after success, after silence, at the end.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use governor::clock::Clock;
use hashbrown::Equivalent;

use crate::core::Core;
use crate::entry::Slot;
use crate::{ClassId, LogThrottle, Pending, Recovery};

// ===== impl LogThrottle =====

impl<K, C: Clock, S: BuildHasher> LogThrottle<K, C, S> {
    /// Says that `key` works again: ends the incident of all its classes and hands out what it was.
    ///
    /// `None` when there was no incident. Also `None` when no line and no summary of it was ever written, as for a key that
    /// fails and works in turns inside one window: nobody waits for that news, and its count stays for the next line or
    /// sweep. So there is at most one recovery per line. The window is not reset: a new failure waits for its turn.
    ///
    /// ```
    /// # use keyed_log_throttle::{LogThrottle, governor::clock::FakeRelativeClock};
    /// # use std::time::Duration;
    /// let clock = FakeRelativeClock::default();
    /// let throttle = LogThrottle::<String>::builder().clock(clock.clone()).build();
    /// for _ in 0..10 {
    ///     let _ = throttle.check("alpha", 1);
    /// }
    /// clock.advance(Duration::from_secs(45));
    ///
    /// let end = throttle.recovered("alpha").ok_or("no incident")?;
    /// assert_eq!((end.suppressed, end.failures, end.lasted), (9, 10, Duration::from_secs(45)));
    /// assert!(throttle.recovered("alpha").is_none(), "said once");
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use = "it has taken what was pending"]
    pub fn recovered<Q>(&self, key: &Q) -> Option<Recovery>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let slots = self.inner.shards.of_key(self.mark(key), key);
        if slots.iter().any(|slot| slot.was_announced()) {
            return self.close(&slots);
        }
        for slot in &slots {
            slot.close();
        }
        None
    }

    /// Forgets `key`, which is gone for good: its entries go, and what they held is handed out.
    ///
    /// `None` when there was nothing to tell. An entry that a [`Handle`](crate::Handle) still counts into stays (empty) until a
    /// sweep finds it idle. If the key comes back, its first line passes as that of a new one does.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
    /// for _ in 0..10 {
    ///     let _ = throttle.check("alpha", 1);
    /// }
    /// assert_eq!(throttle.forget("alpha").map(|end| end.suppressed), Some(9));
    /// assert!(throttle.is_empty() && throttle.totals().is_conserved());
    /// ```
    #[must_use = "it has taken what was pending"]
    pub fn forget<Q>(&self, key: &Q) -> Option<Recovery>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let removed = self.inner.shards.remove_key(self.mark(key), key);
        let slots: Vec<_> = removed.gone.iter().chain(&removed.kept).cloned().collect();
        let end = self.close(&slots);
        removed.kept.iter().for_each(|slot| slot.rewind());
        self.retire(&removed.gone);
        end
    }

    /// Takes all that these entries of one key have to tell.
    fn close(&self, slots: &[Slot<K>]) -> Option<Recovery> {
        let now = self.inner.core.now();
        let (mut since, mut classes) = (now, Vec::new());
        let (mut suppressed, mut lines, mut failures) = (0, 0, 0);
        for slot in slots {
            let pending = self.inner.core.report(slot);
            let closed = slot.close();
            if closed.is_none() && pending == 0 {
                continue;
            }
            // A count without an incident is left from one that ended unannounced: it began after the last line.
            since = since.min(closed.map_or(slot.told_at(), |closed| closed.since));
            slot.told(now);
            let closed_lines = closed.map_or(0, |closed| closed.lines);
            suppressed += pending;
            lines += closed_lines;
            failures += closed
                .map_or(0, |closed| closed.failures)
                .max(closed_lines + pending);
            classes.push(slot.class);
        }
        classes.sort_unstable();
        let lasted = Duration::from_nanos(now.saturating_sub(since));
        (!classes.is_empty()).then_some(Recovery {
            suppressed,
            lasted,
            lines,
            failures,
            classes,
        })
    }
}

impl<K, C: Clock, S> LogThrottle<K, C, S> {
    /// Hands out one summary for each (key, class) whose window is over with lines held back, and lets idle entries go.
    ///
    /// Call it once per loop. A summary is that window's line: it takes the window's permit, so lines and summaries together
    /// are never closer than a window. Answers how many summaries there were.
    ///
    /// An entry is idle when its window is over, nothing is pending, no handle holds it, and it has no open incident or one
    /// that has been silent for longer than [`remember`](crate::Builder::remember).
    ///
    /// A summary of what keys without room share ([`folded_keys`](Pending::folded_keys)) bears the key, and the class, for which that
    /// entry was made.
    ///
    /// No lock is held while `f` runs; it may call the throttle. A count is reported when `f` has returned: if it panics, the
    /// count it was given is pending again, as are those it was not given.
    ///
    /// ```
    /// # use keyed_log_throttle::{LogThrottle, governor::clock::FakeRelativeClock};
    /// # use std::time::Duration;
    /// let clock = FakeRelativeClock::default();
    /// let throttle = LogThrottle::<String>::builder().clock(clock.clone()).build();
    /// for _ in 0..25 {
    ///     let _ = throttle.check("alpha", 1);
    /// }
    /// clock.advance(Duration::from_secs(65));
    ///
    /// let mut said = Vec::new();
    /// throttle.sweep(|key, _class, pending| said.push(format!("{key}: {pending}")));
    /// assert_eq!(said, ["alpha: +24 in 65s"]);
    /// ```
    pub fn sweep(&self, mut f: impl FnMut(&K, ClassId, Pending)) -> usize {
        let now = self.inner.core.now();
        self.evict_idle(now);
        let due = self.inner.shards.collect(|slot| {
            slot.pending() > 0 && self.inner.core.gate(slot).over_for(slot, now).is_some()
        });
        let mut summaries = 0;
        for slot in due {
            if let Some(pending) = self.inner.core.summarise(&slot) {
                summaries += 1;
                self.tell(&slot, pending, &mut f);
            }
        }
        summaries
    }

    /// Hands out every count that is still here, once, whatever its window; for the end of the program.
    ///
    /// Entries stay, and so do their windows and incidents. Answers how many counts there were. No lock is held while `f`
    /// runs, and a panic in it leaves its count and the rest pending.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
    /// for _ in 0..10 {
    ///     let _ = throttle.check("alpha", 1);
    /// }
    /// let mut outstanding = 0;
    /// throttle.drain(|_key, _class, pending| outstanding += pending.suppressed);
    /// assert_eq!((outstanding, throttle.totals().pending), (9, 0));
    /// ```
    pub fn drain(&self, mut f: impl FnMut(&K, ClassId, Pending)) -> usize {
        let now = self.inner.core.now();
        let mut counts = 0;
        for slot in self.inner.shards.collect(|slot| slot.pending() > 0) {
            if let Some(pending) = self.inner.core.hand_out(&slot, now) {
                counts += 1;
                self.tell(&slot, pending, &mut f);
            }
        }
        counts
    }

    /// Drains when the answer is dropped: at the end of a scope, however it is left, by an early return or a panic too.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::{cell::Cell, time::Duration};
    /// fn run(outstanding: &Cell<u64>) -> Result<(), String> {
    ///     let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
    ///     let _told = throttle.drain_on_drop(|_key, _class, pending| outstanding.set(pending.suppressed));
    ///     for _ in 0..10 {
    ///         let _ = throttle.check("alpha", 1);
    ///     }
    ///     Err("configuration lost".into())
    /// }
    /// let outstanding = Cell::new(0);
    /// assert!(run(&outstanding).is_err());
    /// assert_eq!(outstanding.get(), 9);
    /// ```
    pub fn drain_on_drop<F>(&self, f: F) -> DrainOnDrop<'_, K, C, S, F>
    where
        F: FnMut(&K, ClassId, Pending),
    {
        DrainOnDrop { throttle: self, f }
    }

    /// Take, tell, commit: a panic in `f` takes the first back.
    fn tell(&self, slot: &Slot<K>, pending: Pending, f: &mut impl FnMut(&K, ClassId, Pending)) {
        let taken = Taken {
            core: &self.inner.core,
            slot,
            suppressed: pending.suppressed,
        };
        f(&slot.key, slot.class, pending);
        std::mem::forget(taken);
    }

    /// As of `now`, which the caller read.
    pub(crate) fn evict_idle(&self, now: u64) {
        let crowded = self.inner.core.sums.crowded.swap(false, Relaxed);
        let remember = u64::try_from(self.remember.as_nanos()).unwrap_or(u64::MAX);
        let gone = self.inner.shards.evict(|slot| {
            let keep = if crowded || !slot.incident.is_open() {
                0
            } else {
                remember
            };
            slot.pending() == 0
                && self
                    .inner
                    .core
                    .gate(slot)
                    .over_for(slot, now)
                    .is_some_and(|over| over >= keep)
        });
        self.retire(&gone);
    }

    /// Keeps what entries have counted when they go.
    fn retire(&self, gone: &[Slot<K>]) {
        let sums = &self.inner.core.sums;
        sums.retired
            .fetch_add(gone.iter().map(|slot| slot.suppressed()).sum(), Relaxed);
        sums.evicted.fetch_add(gone.len() as u64, Relaxed);
    }
}

/// A count on its way to a callback. Invariant: dropped only while that callback unwinds.
struct Taken<'a, K, C: Clock> {
    core: &'a Core<K, C>,
    slot: &'a Slot<K>,
    suppressed: u64,
}

impl<K, C: Clock> Drop for Taken<'_, K, C> {
    fn drop(&mut self) {
        self.core.give_back(self.slot, self.suppressed);
    }
}

/// Drains a throttle at the end of a scope; from [`LogThrottle::drain_on_drop`].
///
/// If its callback panics while another panic unwinds, the process aborts, as with every panic in a drop.
#[must_use = "it drains when it is dropped"]
pub struct DrainOnDrop<'a, K, C: Clock, S, F: FnMut(&K, ClassId, Pending)> {
    throttle: &'a LogThrottle<K, C, S>,
    f: F,
}

impl<K, C: Clock, S, F: FnMut(&K, ClassId, Pending)> Drop for DrainOnDrop<'_, K, C, S, F> {
    fn drop(&mut self) {
        self.throttle.drain(&mut self.f);
    }
}

impl<K, C: Clock, S, F: FnMut(&K, ClassId, Pending)> fmt::Debug for DrainOnDrop<'_, K, C, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DrainOnDrop").field(self.throttle).finish()
    }
}
