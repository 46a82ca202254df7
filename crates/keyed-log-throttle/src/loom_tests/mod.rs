//! Every order in which a few threads can touch one entry. Run with
//! `RUSTFLAGS="--cfg throttle_loom" cargo test -p keyed-log-throttle --release --lib loom`.

mod keys;
mod three;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use loom::thread;

use crate::ClassId;
use crate::core::Core;
use crate::entry::{Entry, Mark, Slot};
use crate::sync;

const W: Duration = Duration::from_secs(60);

type TestCore = Core<(), FakeRelativeClock>;

fn new_slot() -> Slot<()> {
    let entry = Entry::new((), Mark::of(0), ClassId::new(0), 0);
    Slot(sync::Arc::new(entry))
}

/// A core, one entry whose first line has been written, and a window that is over.
fn at_a_window_s_end() -> (Arc<TestCore>, Slot<()>) {
    let clock = FakeRelativeClock::default();
    let core = Arc::new(Core::new(W, &[], clock.clone(), None));
    let slot = new_slot();
    assert!(core.check(&slot).is_some());
    assert!(core.check(&slot).is_none());
    clock.advance(W);
    (core, slot)
}

#[test]
fn two_takers_and_a_counter_neither_lose_nor_double() {
    loom::model(|| {
        let slot = new_slot();
        slot.hold_back();
        let taker = |slot: Slot<()>| thread::spawn(move || slot.take());
        let (one, two) = (taker(slot.clone()), taker(slot.clone()));
        slot.hold_back();
        let told = one.join().unwrap() + two.join().unwrap();
        assert_eq!(told + slot.pending(), 2);
        assert_eq!(slot.take() + told, 2);
    });
}

#[test]
fn a_count_that_is_given_back_is_taken_by_one_other() {
    loom::model(|| {
        let slot = new_slot();
        slot.hold_back();
        let failing = {
            let slot = slot.clone();
            thread::spawn(move || {
                let taken = slot.take();
                slot.give_back(taken);
            })
        };
        let other = {
            let slot = slot.clone();
            thread::spawn(move || slot.take())
        };
        slot.hold_back();
        failing.join().unwrap();
        let told = other.join().unwrap();
        assert_eq!(told + slot.pending(), 2);
        assert_eq!(told + slot.take(), 2);
    });
}

#[test]
fn a_window_s_end_gives_one_line_and_conserves_the_count() {
    loom::model(|| {
        let (core, slot) = at_a_window_s_end();
        let other = {
            let (core, slot) = (Arc::clone(&core), slot.clone());
            thread::spawn(move || core.check(&slot))
        };
        let mine = core.check(&slot);
        let lines = [mine, other.join().unwrap()];
        assert_eq!(lines.iter().flatten().count(), 1);
        let told: u64 = lines.iter().flatten().map(|line| line.suppressed).sum();
        assert_eq!(
            told + slot.pending(),
            2,
            "the one before, and the one of the two that lost"
        );
        assert_eq!(core.sums.permitted.load(Relaxed), 2);
    });
}

#[test]
fn a_summary_and_a_line_do_not_share_a_window() {
    loom::model(|| {
        let (core, slot) = at_a_window_s_end();
        let sweeper = {
            let (core, slot) = (Arc::clone(&core), slot.clone());
            thread::spawn(move || core.summarise(&slot))
        };
        let line = core.check(&slot);
        let summary = sweeper.join().unwrap();
        assert!(line.is_none() || summary.is_none());
        let told = line.map_or(0, |line| line.suppressed) + summary.map_or(0, |s| s.suppressed);
        let held_back = 1 + u64::from(line.is_none());
        assert_eq!(told + slot.pending(), held_back);
        assert_eq!(core.sums.reported.load(Relaxed), told);
    });
}

#[test]
fn an_incident_that_ends_while_it_goes_on_is_counted_once() {
    loom::model(|| {
        let (core, slot) = at_a_window_s_end();
        let failing = {
            let (core, slot) = (Arc::clone(&core), slot.clone());
            thread::spawn(move || core.check(&slot).is_some())
        };
        let first = slot.close().map_or(0, |closed| closed.failures);
        failing.join().unwrap();
        let second = slot.close().map_or(0, |closed| closed.failures);
        assert!(first >= 2, "what was there before is in the first: {first}");
        assert!(first + second <= 3, "{first} + {second}");
    });
}

/// Three threads, one step each, and no bound on who interrupts whom.
#[test]
fn of_three_at_a_window_s_end_one_gets_the_permit() {
    loom::model(|| {
        let (core, slot) = at_a_window_s_end();
        let other = || {
            let (core, slot) = (Arc::clone(&core), slot.clone());
            thread::spawn(move || core.gate(&slot).admit(&slot))
        };
        let (one, two) = (other(), other());
        let mine = core.gate(&slot).admit(&slot);
        let permits = [mine, one.join().unwrap(), two.join().unwrap()];
        assert_eq!(permits.iter().filter(|permit| **permit).count(), 1);
    });
}
