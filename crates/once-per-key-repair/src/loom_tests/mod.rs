//! All interleavings of a few threads, with no bound on preemptions: of two at one gate, of three with one step each in [`three`], and
//! of three with a whole visit each in [`whole`]. Run with
//! `RUSTFLAGS="--cfg once_per_key_loom" cargo test -p once-per-key-repair --release --lib loom`.
//!
//! A key comes with a cell that loom watches: two repairs of it at once, or a later one that does not see what an earlier one
//! did, fail the model.
//!
//! Loom does not know that a count of references depends on a drop, so a thread that drops a slot beside `retain` has also taken it from
//! the table beside `retain`, and not before.

mod budget;
#[cfg(feature = "async")]
mod tasks;
mod three;
mod whole;

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU8;
// Counts for the asserts: loom need not interleave them.
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::flight::End;
use crate::slot::{Claim, Slot};
use crate::table::Mark;
use crate::{Outcome, Rearmed, RepairGate, Turn, Waited};

const KEYS: usize = 2;

/// A gate, and the thing that each key stands for.
struct World {
    gate: RepairGate<usize, BuildHasherDefault<DefaultHasher>>,
    things: [UnsafeCell<usize>; KEYS],
    grants: [AtomicUsize; KEYS],
}

impl World {
    fn new() -> Arc<Self> {
        Self::with_budget(1)
    }

    fn with_budget(attempts: u8) -> Arc<Self> {
        Arc::new(Self {
            // A hasher without a seed: loom wants each run to be the same.
            gate: RepairGate::with_hasher(BuildHasherDefault::default())
                .with_budget(NonZeroU8::new(attempts).unwrap()),
            things: [const { 0 }; KEYS].map(UnsafeCell::new),
            grants: [const { 0 }; KEYS].map(AtomicUsize::new),
        })
    }

    /// Enters and repairs if it may; `None` when another has the permit.
    fn visit(&self, key: usize) -> Option<Outcome> {
        match self.gate.enter(&key) {
            Turn::Yours(permit) => {
                self.grants[key].fetch_add(1, Relaxed);
                let repaired: Result<(), ()> = permit.run(|token| {
                    self.things[*token.key()].with_mut(|thing| Self::touch(thing));
                    Ok(())
                });
                repaired.ok().map(|()| Outcome::Repaired)
            }
            Turn::InFlight(_) => None,
            Turn::Spent(outcome) => Some(outcome),
        }
    }

    /// Loom counts the access itself; the value does not matter.
    fn touch(_thing: *mut usize) {}

    /// Fails the model if the repair of `key` does not happen before this.
    fn look(&self, key: usize) {
        self.things[key].with(|_thing| ());
    }

    fn grants(&self, key: usize) -> usize {
        self.grants[key].load(Relaxed)
    }

    /// Fails the model if `key` is spent, and not for those who could change that.
    fn can_be_rearmed(&self, key: usize) {
        if let Some(outcome) = self.gate.outcome(&key) {
            assert_eq!(self.gate.rearm(&key), Rearmed::Ready(outcome));
        }
    }
}

fn in_threads<const N: usize>(world: &Arc<World>, visits: [fn(&World); N]) {
    let threads = visits.map(|visit| {
        let world = Arc::clone(world);
        thread::spawn(move || visit(&world))
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

fn visit_and_wait(world: &World, key: usize) {
    let outcome = match world.gate.enter(&key) {
        Turn::Yours(permit) => {
            world.grants[key].fetch_add(1, Relaxed);
            let ran: Result<(), ()> = permit.run(|_| {
                world.things[key].with_mut(World::touch);
                Err(())
            });
            assert!(ran.is_err());
            Outcome::Failed
        }
        Turn::InFlight(waiter) => match waiter.wait() {
            Waited::Settled(outcome) => outcome,
            other => panic!("{other:?}"),
        },
        Turn::Spent(outcome) => outcome,
    };
    world.look(key);
    assert_eq!(outcome, Outcome::Failed);
}

#[test]
fn loom_three_threads_at_one_slot_get_one_grant() {
    loom::model(|| {
        let mark = Mark::of(&0_u8, &BuildHasherDefault::<DefaultHasher>::default());
        let shared = Arc::new((Slot::new(0, mark, NonZeroU8::MIN), AtomicUsize::new(0)));
        let visit = |(slot, grants): &(Slot<u8>, AtomicUsize)| {
            if let Claim::Granted(flight, _attempt) = slot.claim() {
                grants.fetch_add(1, Relaxed);
                slot.end(&flight, End::Settled(Outcome::Repaired));
            }
        };
        let others = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || visit(&shared))
        });
        visit(&shared);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.1.load(Relaxed), 1);
    });
}

#[test]
fn loom_two_threads_hear_the_one_outcome_and_see_what_the_repair_did() {
    loom::model(|| {
        let world = World::new();
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || visit_and_wait(&world, 0)
        });
        visit_and_wait(&world, 0);
        other.join().unwrap();
        assert_eq!(world.grants(0), 1);
    });
}

#[test]
fn loom_two_threads_at_two_keys_get_one_grant_each() {
    loom::model(|| {
        let world = World::new();
        // One slot is there already, the other is made in the race.
        let _handle = world.gate.handle(&0);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                world.visit(0);
                world.visit(1);
            }
        });
        world.visit(1);
        world.visit(0);
        other.join().unwrap();
        assert_eq!([world.grants(0), world.grants(1)], [1, 1]);
        for key in 0..KEYS {
            assert_eq!(world.visit(key), Some(Outcome::Repaired));
            world.look(key);
        }
    });
}

#[test]
fn loom_a_forfeited_turn_wakes_its_waiter_who_then_has_it() {
    loom::model(|| {
        let world = World::new();
        let Turn::Yours(permit) = world.gate.enter(&0) else {
            panic!("a new key")
        };
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                if let Turn::InFlight(waiter) = world.gate.enter(&0) {
                    assert_eq!(waiter.wait(), Waited::Forfeited);
                    assert_eq!(world.visit(0), Some(Outcome::Repaired));
                }
            }
        });
        permit.forfeit();
        other.join().unwrap();
    });
}

#[test]
fn loom_a_key_re_armed_at_any_moment_is_never_repaired_twice_at_once_and_at_most_twice() {
    loom::model(|| {
        let world = World::new();
        in_threads(
            &world,
            [
                |world| {
                    world.visit(0);
                },
                |world| {
                    let rearmed = world.gate.rearm(&0);
                    world.visit(0);
                    if rearmed == Rearmed::Unspent {
                        assert!(world.grants(0) <= 1);
                    }
                },
            ],
        );
        assert!((1..=2).contains(&world.grants(0)), "{}", world.grants(0));
    });
}

#[test]
fn loom_a_key_forgotten_at_any_moment_is_never_repaired_twice_at_once() {
    loom::model(|| {
        let world = World::new();
        in_threads(
            &world,
            [
                |world| {
                    world.visit(0);
                },
                |world| {
                    world.gate.retain(|_| false);
                    world.visit(0);
                },
            ],
        );
        assert!((1..=2).contains(&world.grants(0)));
        world.can_be_rearmed(0);
    });
}

#[test]
fn loom_a_turn_that_ends_while_its_key_is_forgotten_leaves_it_untried_or_to_be_found() {
    // By key, and by a handle that goes after it; both in their last step, when the table counts who holds the slot.
    for by_handle in [false, true] {
        loom::model(move || {
            let world = World::new();
            let forgetter = thread::spawn({
                let world = Arc::clone(&world);
                move || world.gate.retain(|_| false)
            });
            if by_handle {
                let handle = world.gate.handle(&0);
                drop(handle.enter());
                drop(handle);
            } else {
                drop(world.gate.enter(&0));
            }
            forgetter.join().unwrap();
            world.can_be_rearmed(0);
        });
    }
}

#[test]
fn loom_a_handle_and_its_gate_never_part_ways_when_the_key_is_forgotten() {
    a_handle_and_its_gate_while_the_key_is_forgotten(World::new);
}

#[test]
fn loom_a_handle_and_its_gate_never_part_ways_when_a_later_key_is_forgotten() {
    a_handle_and_its_gate_while_the_key_is_forgotten(|| {
        let world = World::new();
        drop(world.gate.handle(&1));
        world
    });
}

fn a_handle_and_its_gate_while_the_key_is_forgotten(world: fn() -> Arc<World>) {
    loom::model(move || {
        let world = world();
        let forgetter = thread::spawn({
            let world = Arc::clone(&world);
            move || world.gate.retain(|_| false)
        });
        let handle = world.gate.handle(&0);
        let Turn::Yours(permit) = handle.enter() else {
            panic!("nobody else enters")
        };
        assert!(matches!(world.gate.enter(&0), Turn::InFlight(_)));
        permit.forfeit();
        let Turn::Yours(permit) = world.gate.enter(&0) else {
            panic!("nobody else enters")
        };
        assert!(matches!(handle.enter(), Turn::InFlight(_)));
        drop(permit);
        forgetter.join().unwrap();
    });
}
