//! What the table's entries and the handles' are decided by: the windows, the clock and the sums. The decision itself is here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::time::Duration;

use governor::clock::{Clock, Reference};

use crate::ClassId;
use crate::answer::{Line, Pending};
use crate::entry::{Entry, GateIndex, Mark, Slot};
use crate::gate::Gate;
use crate::host::Coarse;
use crate::sketch::Sketch;

/// The part of a throttle that does not know where entries live.
pub(crate) struct Core<K, C: Clock> {
    clock: C,
    /// Where `clock` is the host's: a cheap look at it. It counts from `origin` too.
    coarse: Option<Coarse>,
    origin: C::Instant,
    /// How far apart, at most, the moments are that the gates count from.
    spread: u64,
    /// Index 0 of an entry's `gate`.
    default_gate: Gate<K, C>,
    /// Index 1 and up, sorted by class.
    class_gates: Box<[(ClassId, Gate<K, C>)]>,
    pub(crate) sums: Sums,
}

/// Sums that outlive the entries they came from.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) permitted: AtomicU64,
    pub(crate) reported: AtomicU64,
    /// Lines held back by entries that are gone.
    pub(crate) retired: AtomicU64,
    pub(crate) folded: AtomicU64,
    pub(crate) evicted: AtomicU64,
    /// A key had to fold since the last sweep.
    pub(crate) crowded: AtomicBool,
}

// ===== impl Core =====

impl<K, C: Clock + Clone> Core<K, C> {
    /// `class_windows` is sorted by class, without doubles.
    pub(crate) fn new(
        window: Duration,
        class_windows: &[(ClassId, Duration)],
        clock: C,
        coarse: Option<Coarse>,
    ) -> Self {
        let gate = |&(class, window): &_| (class, Gate::new(window, clock.clone()));
        // If all 65,536 classes have a window of their own, the last one's index wraps to 0, which no class needs then.
        let last = class_windows.get(usize::from(GateIndex::MAX));
        let window = last.map_or(window, |(_, window)| *window);
        let before = clock.now();
        let default_gate = Gate::new(window, clock.clone());
        let class_gates = class_windows.iter().map(gate).collect();
        // Not before the gates': what is over by this time is over by theirs.
        let origin = clock.now();
        Self {
            spread: origin.duration_since(before).as_u64(),
            origin,
            default_gate,
            class_gates,
            sums: Sums::default(),
            clock,
            coarse,
        }
    }
}

impl<K, C: Clock> Core<K, C> {
    /// Decides about one line of `slot`, which is one key's own; the one verb.
    #[inline(always)] // As a call, which it is in some callers otherwise, it takes half as long again.
    pub(crate) fn check(&self, slot: &Slot<K>) -> Option<Line> {
        let now = self.at_most();
        if slot.holds_back(now) {
            return None;
        }
        self.decide(now, slot, slot.mark)
    }

    /// [`check`](Self::check), for all that [`holds_back`](Entry::holds_back) leaves open. `mark` is the asking key's, for an entry
    /// that many share.
    // A call: inlined, it made the way above twice as slow.
    #[inline(never)]
    pub(crate) fn decide(&self, now: u64, slot: &Slot<K>, mark: Mark) -> Option<Line> {
        // An entry that many keys share has not been looked at yet.
        let lasts = slot.sketch.as_ref().is_some_and(|sketch| {
            self.fold(sketch, mark);
            slot.surely_lasts(now)
        });
        let gate = self.gate(slot);
        if !lasts && gate.admit(slot) {
            return Some(self.permit(gate, slot));
        }
        slot.hold_back();
        slot.incident.begin(|| self.now());
        None
    }

    /// Lets `made` go on where `shared` is: its first line comes a window after the last one there, which may have been its key's.
    pub(crate) fn follow(&self, made: &Entry<K>, shared: &Slot<K>) {
        if let (Some(last), Some(window)) = (
            self.gate(shared).permitted_at(shared),
            self.gate_at(made.gate).counts(),
        ) {
            made.follow(
                shared,
                last.saturating_add(window).saturating_add(self.spread),
            );
        }
    }

    /// The summary of an entry whose window is over, if it has one: it is that window's line and takes its permit.
    pub(crate) fn summarise(&self, slot: &Slot<K>) -> Option<Pending> {
        if slot.pending() == 0 || !self.gate(slot).admit(slot) {
            return None;
        }
        let pending = self.hand_out(slot, self.now())?;
        slot.add_summary();
        Some(pending)
    }

    /// Takes what is pending, window or not.
    pub(crate) fn hand_out(&self, slot: &Slot<K>, now: u64) -> Option<Pending> {
        let suppressed = self.report(slot);
        (suppressed > 0).then(|| Pending {
            suppressed,
            since: Duration::from_nanos(slot.told(now)),
            folded_keys: slot.take_folded(),
        })
    }

    /// Takes what is pending and counts it as reported.
    pub(crate) fn report(&self, slot: &Slot<K>) -> u64 {
        let suppressed = slot.take();
        self.sums.reported.fetch_add(suppressed, Relaxed);
        suppressed
    }

    /// Makes a count pending again that was taken and not told.
    pub(crate) fn give_back(&self, slot: &Slot<K>, suppressed: u64) {
        self.sums.reported.fetch_sub(suppressed, Relaxed);
        slot.give_back(suppressed);
    }

    /// [`now`](Self::now), or a moment that is surely to come: enough to hold a line back whose window is far from over.
    // By a clock that costs nothing, governor's answer was more than half of a check. It could be no other: it counts from a
    // moment after `origin`.
    #[inline]
    pub(crate) fn at_most(&self) -> u64 {
        match &self.coarse {
            Some(coarse) => coarse.at_most(),
            None => self.now(),
        }
    }

    /// [`now`](Self::now), or a moment before.
    #[cfg(feature = "layer")]
    pub(crate) fn lately(&self) -> u64 {
        self.coarse.as_ref().map_or_else(|| self.now(), Coarse::now)
    }

    /// Nanoseconds since the throttle was made.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().duration_since(self.origin).as_u64()
    }

    pub(crate) fn gate_index(&self, class: ClassId) -> GateIndex {
        let found = self
            .class_gates
            .binary_search_by_key(&class, |(class, _)| *class);
        found.map_or(0, |index| (index as GateIndex).wrapping_add(1))
    }

    /// Of the longest window.
    pub(crate) fn longest(&self) -> GateIndex {
        let window = |index: &GateIndex| self.gate_at(*index).window();
        let all = 0..=GateIndex::try_from(self.class_gates.len()).unwrap_or(GateIndex::MAX);
        all.max_by_key(window).unwrap_or_default()
    }

    pub(crate) fn gate(&self, slot: &Slot<K>) -> &Gate<K, C> {
        self.gate_at(slot.gate)
    }

    fn gate_at(&self, index: GateIndex) -> &Gate<K, C> {
        let index = usize::from(index).checked_sub(1);
        index
            .and_then(|index| self.class_gates.get(index))
            .map_or(&self.default_gate, |(_, g)| g)
    }

    pub(crate) fn window(&self, class: ClassId) -> Duration {
        self.gate_at(self.gate_index(class)).window()
    }

    #[cold]
    fn fold(&self, sketch: &Sketch, mark: Mark) {
        sketch.mark(mark.spread());
        self.sums.folded.fetch_add(1, Relaxed);
        self.sums.crowded.store(true, Relaxed);
    }

    #[cold]
    fn permit(&self, gate: &Gate<K, C>, slot: &Slot<K>) -> Line {
        // The permit's own time, not a second reading: the spacing of two lines is then exactly what the reader is told.
        let at = gate.permitted_at(slot).unwrap_or_else(|| self.now());
        let since = slot.told(at);
        self.sums.permitted.fetch_add(1, Relaxed);
        slot.incident.begin(|| at);
        slot.add_line();
        let suppressed = self.report(slot);
        Line {
            suppressed,
            since: (suppressed > 0).then(|| Duration::from_nanos(since)),
            folded_keys: slot.take_folded(),
        }
    }
}

#[cfg(all(test, target_os = "linux", not(throttle_loom)))]
mod tests {
    use governor::clock::FakeRelativeClock;
    use hashbrown::DefaultHashBuilder;

    use super::*;
    use crate::sync::Arc;
    use crate::{HostClock, LogThrottle};

    const W: Duration = Duration::from_secs(10);
    const MS: Duration = Duration::from_millis(1);

    /// Whether the second line is held back at these times after the first. The cheap time goes on by itself.
    fn held_back(exact: Duration, cheap: Duration) -> bool {
        let clock = FakeRelativeClock::default();
        let core = Core::new(W, &[], clock.clone(), Some(Coarse::at(cheap)));
        let entry = Entry::new((), Mark::of(0), ClassId::new(0), 0);
        let slot = Slot(Arc::new(entry));
        assert!(core.check(&slot).is_some());
        clock.advance(exact);
        core.check(&slot).is_none()
    }

    #[test]
    fn far_from_a_window_s_end_the_cheap_time_is_enough() {
        assert!(held_back(W / 2, W / 2));
        // The exact time was not asked for: it would have said that the window is over.
        assert!(held_back(W, W / 2));
    }

    #[test]
    fn near_a_window_s_end_and_after_it_the_exact_time_decides() {
        for cheap in [W - 50 * MS, W, 2 * W] {
            assert!(held_back(W - Duration::from_nanos(1), cheap), "{cheap:?}");
            assert!(!held_back(W, cheap), "{cheap:?}");
        }
    }

    #[test]
    fn only_the_default_clock_has_a_cheap_look() {
        let default = LogThrottle::<u8>::new(W);
        assert!(default.inner.core.coarse.is_some());
        let hasher = DefaultHashBuilder::default();
        let hashed = LogThrottle::<u8>::builder().hasher(hasher).build();
        assert!(hashed.inner.core.coarse.is_some());
        let given = LogThrottle::<u8>::builder().clock(HostClock::default());
        assert!(given.build().inner.core.coarse.is_none());
    }
}
