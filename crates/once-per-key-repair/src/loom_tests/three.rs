//! Three threads, one operation each, in every interleaving there is: no bound on preemptions.
//!
//! That ends in time because nothing else is in the models. They work on the table, a slot and its flight, below the gate's
//! doors; references are dropped after the threads have ended, as loom would try the order of each two drops; and what counts for
//! the asserts alone is not loom's. On two cores one new key takes eight seconds, a key that is forgotten three, two new ones two, and
//! each of the others less than one.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU8;
use std::sync::Arc as Plain;

use loom::sync::Arc;
use loom::thread;

use crate::flight::{End, Flight};
use crate::permit::Permit;
use crate::slot::{Claim, Slot};
use crate::table::{Mark, Table};
use crate::{Outcome, Rearmed, Waited};

type Hasher = BuildHasherDefault<DefaultHasher>;

pub(super) fn unbounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = None;
    builder.check(model);
}

pub(super) fn new_slot() -> Arc<Slot<u8>> {
    let mark = Mark::of(&0_u8, &Hasher::default());
    Arc::new(Slot::new(0, mark, NonZeroU8::MIN))
}

/// A slot whose turn is out.
pub(super) fn claimed() -> (Plain<Arc<Slot<u8>>>, Arc<Flight>) {
    let slot = new_slot();
    let Claim::Granted(flight, 1) = slot.claim() else {
        panic!("a new slot")
    };
    (Plain::new(slot), flight)
}

/// Asks, and waits if another is inside; with what must not be dropped yet.
fn ask(slot: &Slot<u8>) -> (Option<Waited>, Option<Arc<Flight>>) {
    match slot.claim() {
        Claim::Busy(flight) => (Some(flight.wait()), Some(flight)),
        Claim::Spent(outcome) => (Some(Waited::Settled(outcome)), None),
        Claim::Granted(flight, _attempt) => (None, Some(flight)),
    }
}

/// What a thread got of a key, by the steps of the gate's door, but that it keeps the slot also of a key that the table has as spent.
type Got = (Option<Arc<Slot<u8>>>, Claim);

fn enter(table: &Table<u8>, key: u8) -> Got {
    let mark = Mark::of(&key, &Hasher::default());
    if let Some(outcome) = table.first_outcome(&key, mark) {
        return (None, Claim::Spent(outcome));
    }
    let found = table.find(&key, mark, Arc::clone);
    let slot = found.unwrap_or_else(|| table.insert(key, mark, NonZeroU8::MIN));
    let claim = slot.claim();
    (Some(slot), claim)
}

/// Each of three threads brings one of these keys, which the table does not have: what they got, and the table.
fn three_bring(keys: [u8; 3]) -> ([Got; 3], Plain<Table<u8>>) {
    let table = Plain::new(Table::<u8>::new());
    let others = [keys[1], keys[2]].map(|key| {
        let table = Plain::clone(&table);
        thread::spawn(move || enter(&table, key))
    });
    let mine = enter(&table, keys[0]);
    let [one, two] = others.map(|other| other.join().unwrap());
    ([mine, one, two], table)
}

fn grants(all: &[Got]) -> usize {
    let granted = |(_, claim): &&Got| matches!(claim, Claim::Granted(..));
    all.iter().filter(granted).count()
}

/// Whoever has a slot has the one that everybody else finds.
fn all_have_the_slot_of(key: u8, all: &[Got], table: &Table<u8>) {
    let mark = Mark::of(&key, &Hasher::default());
    let found = table.find(&key, mark, Arc::clone);
    let is_found = |slot| found.as_ref().is_some_and(|found| Arc::ptr_eq(found, slot));
    assert!(all.iter().filter_map(|got| got.0.as_ref()).all(is_found));
}

#[test]
fn loom_three_threads_that_bring_one_new_key_get_one_grant() {
    unbounded(|| {
        let (all, table) = three_bring([0; 3]);
        all_have_the_slot_of(0, &all, &table);
        assert_eq!((grants(&all), table.len()), (1, 1));
    });
}

#[test]
fn loom_three_threads_that_bring_two_new_keys_get_one_grant_each() {
    unbounded(|| {
        let (all, table) = three_bring([0, 0, 1]);
        all_have_the_slot_of(0, &all[..2], &table);
        assert_eq!((grants(&all[..2]), grants(&all[2..])), (1, 1));
        assert_eq!(table.len(), 2);
    });
}

#[test]
fn loom_two_that_ask_for_a_key_while_it_is_forgotten_have_one_slot_and_one_grant_at_most() {
    for how in [End::Settled(Outcome::Failed), End::Forfeited] {
        unbounded(move || {
            let table = Plain::new(Table::<u8>::new());
            let (slot, Claim::Granted(flight, 1)) = enter(&table, 0) else {
                panic!("a new key")
            };
            slot.unwrap().end(&flight, how);
            let askers = [(); 2].map(|()| {
                let table = Plain::clone(&table);
                thread::spawn(move || enter(&table, 0))
            });
            table.retain(|_| false);
            let all = askers.map(|asker| asker.join().unwrap());
            all_have_the_slot_of(0, &all, &table);
            let spent = |(_, claim): &&Got| matches!(claim, Claim::Spent(Outcome::Failed));
            let told = all.iter().filter(spent).count();
            assert_eq!(grants(&all), usize::from(told < 2));
            assert_eq!(table.len(), grants(&all));
        });
    }
}

#[test]
fn loom_one_ends_its_turn_beside_one_that_waits_and_one_that_re_arms() {
    unbounded(|| {
        let (slot, flight) = claimed();
        let waiter = thread::spawn({
            let slot = Plain::clone(&slot);
            move || ask(&slot)
        });
        let armer = thread::spawn({
            let slot = Plain::clone(&slot);
            move || slot.rearm()
        });
        slot.end(&flight, End::Settled(Outcome::Failed));
        let (heard, next) = waiter.join().unwrap();
        // Who came after the end and the re-arm has the next turn; all others heard of this one.
        assert!(matches!(
            heard,
            None | Some(Waited::Settled(Outcome::Failed))
        ));
        let rearmed = armer.join().unwrap();
        assert!(matches!(
            rearmed,
            Rearmed::AfterFlight | Rearmed::Ready(Outcome::Failed)
        ));
        assert_eq!(slot.outcome(), None);
        assert_eq!(matches!(slot.claim(), Claim::Granted(..)), heard.is_some());
        drop(next);
    });
}

#[test]
fn loom_a_permit_that_is_dropped_is_heard_of_by_two_that_ask() {
    unbounded(|| {
        let (slot, flight) = claimed();
        let askers = [(); 2].map(|()| {
            let slot = Plain::clone(&slot);
            thread::spawn(move || ask(&slot))
        });
        // References of its own are kept here for as long as the threads run.
        let kept = (Arc::clone(&slot), Arc::clone(&flight));
        drop(Permit::new(Arc::clone(&slot), flight, 1));
        for asker in askers {
            let (heard, _flight) = asker.join().unwrap();
            assert_eq!(heard, Some(Waited::Settled(Outcome::Abandoned)));
        }
        drop(kept);
    });
}

#[cfg(feature = "async")]
#[test]
fn loom_a_task_that_waits_is_woken_beside_a_thread_that_asks() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::task::{Context, Poll, Wake};

    use crate::wakers::Seat;

    #[derive(Default)]
    struct Bell(AtomicBool);
    impl Wake for Bell {
        fn wake(self: Plain<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    unbounded(|| {
        let (slot, flight) = claimed();
        let bell = Plain::new(Bell::default());
        let task = thread::spawn({
            let waker = Plain::clone(&bell).into();
            let mut seat = Seat::at(Arc::clone(&flight));
            move || (seat.poll(&Context::from_waker(&waker)), seat)
        });
        let asker = thread::spawn({
            let slot = Plain::clone(&slot);
            move || ask(&slot)
        });
        slot.end(&flight, End::Settled(Outcome::Repaired));
        let (polled, mut seat) = task.join().unwrap();
        let (heard, _flight) = asker.join().unwrap();
        let told = Waited::Settled(Outcome::Repaired);
        assert_eq!(heard, Some(told));
        if polled.is_pending() {
            assert!(bell.0.load(Relaxed), "left asleep");
        }
        let waker = bell.into();
        assert_eq!(seat.poll(&Context::from_waker(&waker)), Poll::Ready(told));
    });
}
