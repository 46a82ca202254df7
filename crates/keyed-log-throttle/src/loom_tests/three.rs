//! Three threads on one entry, in every interleaving there is: no bound on preemptions.
//!
//! That ends in time because nothing else is in the models: the sums are not loom's (they decide nothing), and threads share the
//! world by references that are not loom's either. The numbers of interleavings are those that loom tried.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use loom::thread::{self, JoinHandle};

use super::{TestCore, W, new_slot};
use crate::core::Sums;
use crate::count::{Count, Owner};
use crate::entry::Slot;
use crate::thread::{ID, ONE_OF_MANY};

/// An entry, and the time as it is to threads that read it before and after the end of its window.
struct World {
    before: TestCore,
    after: TestCore,
    slot: Slot<()>,
}

impl World {
    /// One line has been written, and one was held back.
    fn new() -> Arc<Self> {
        let core = |passed| {
            let clock = FakeRelativeClock::default();
            let core = TestCore::new(W, &[], clock.clone(), None);
            clock.advance(passed);
            core
        };
        let world = Self {
            before: core(Duration::ZERO),
            after: core(W),
            slot: new_slot(),
        };
        assert_eq!((world.early(), world.early()), (Some(0), None));
        Arc::new(world)
    }

    fn early(&self) -> Option<u64> {
        let line = self.before.check(&self.slot);
        line.map(|line| line.suppressed)
    }

    fn late(&self) -> Option<u64> {
        let line = self.after.check(&self.slot);
        line.map(|line| line.suppressed)
    }

    /// After three more checks.
    fn assert_one_line_and_all_counted(&self, lines: [Option<u64>; 3]) {
        assert_eq!(lines.iter().flatten().count(), 1, "{lines:?}");
        let both = [&self.before.sums, &self.after.sums];
        let sum = |of: fn(&Sums) -> u64| both.map(of).iter().sum::<u64>();
        let permitted = sum(|sums| sums.permitted.load(Relaxed));
        let reported = sum(|sums| sums.reported.load(Relaxed));
        assert_eq!(reported, lines.iter().flatten().sum::<u64>());
        assert_eq!(permitted, 2);
        assert_eq!(permitted + reported + self.slot.pending(), 5);
    }
}

/// 32 000 interleavings.
#[test]
fn loom_of_two_checks_at_a_window_s_end_one_gives_a_line_beside_one_that_read_the_clock_before() {
    loom::model(|| {
        let world = World::new();
        let others = [beside(&world, World::late), beside(&world, World::early)];
        let mine = world.late();
        let [one, two] = others.map(|other| other.join().unwrap());
        assert!(two.is_none());
        world.assert_one_line_and_all_counted([mine, one, two]);
    });
}

/// 228 000 interleavings: up to ten seconds.
#[test]
fn loom_of_three_checks_at_a_window_s_end_one_gives_a_line_and_none_is_uncounted() {
    loom::model(|| {
        let world = World::new();
        let others = [(); 2].map(|()| beside(&world, World::late));
        let mine = world.late();
        let [one, two] = others.map(|other| other.join().unwrap());
        world.assert_one_line_and_all_counted([mine, one, two]);
    });
}

/// 3 000 interleavings.
#[test]
fn loom_of_three_that_open_an_incident_the_first_says_since_when() {
    loom::model(|| {
        let slot = Arc::new(new_slot());
        let open = |at| {
            move |slot: &Slot<()>| {
                slot.incident.begin(|| at);
                slot.incident.since()
            }
        };
        let others = [beside(&slot, open(1)), beside(&slot, open(2))];
        let mine = open(3)(&slot);
        let others = others.map(|other| other.join().unwrap());
        let since = slot.incident.since();
        assert_eq!([mine, others[0], others[1]], [since; 3]);
        assert_ne!(since, 0);
    });
}

/// Whichever is first has its part, unless it has a number that others have too. 15 000 interleavings and 6 000.
#[test]
fn loom_three_that_add_to_one_count_lose_nothing() {
    for others in [[2, ONE_OF_MANY], [ONE_OF_MANY; 2]] {
        loom::model(move || {
            let count = Arc::new((Count::default(), Owner::default()));
            let add_as = |id| {
                move |(count, owner): &(Count, Owner)| {
                    ID.with(|it| it.set(id));
                    count.add_one(owner);
                }
            };
            let others = others.map(|id| beside(&count, add_as(id)));
            add_as(1)(&count);
            let seen = count.0.get();
            add_as(1)(&count);
            for other in others {
                other.join().unwrap();
            }
            assert!((1..=3).contains(&seen));
            assert_eq!(count.0.get(), 4);
        });
    }
}

pub(super) fn beside<T: 'static, R: 'static>(
    shared: &Arc<T>,
    act: impl FnOnce(&T) -> R + 'static,
) -> JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || act(&shared))
}
