//! Three threads, a whole visit each, in every interleaving there is: enter, repair or wait, settle, look at what was repaired.
//!
//! It ends in time because each enters by a slot that is there (how three threads come by it is in [`three`](super::three)), and
//! what a thread has left of its turn goes to where it is joined: of references that two threads drop, loom tries both orders,
//! and nothing in here depends on it. The numbers of interleavings are those that loom tried.

use std::sync::Arc as Plain;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::three::{claimed, new_slot, unbounded};
use crate::slot::Slot;
use crate::{Outcome, Turn, Waited};

/// A key's slot, and what the key stands for.
struct World {
    slot: Arc<Slot<u8>>,
    thing: UnsafeCell<()>,
    grants: AtomicUsize,
}

impl World {
    fn at(slot: Arc<Slot<u8>>) -> Plain<Self> {
        Plain::new(Self {
            slot,
            thing: UnsafeCell::new(()),
            grants: AtomicUsize::new(0),
        })
    }

    fn enter(&self) -> Turn<'static, u8> {
        Turn::enter(&self.slot)
    }

    /// Enters, and repairs if it may; else what it was told.
    fn visit(&self) -> Option<Turn<'static, u8>> {
        match self.enter() {
            Turn::Yours(permit) => {
                self.grants.fetch_add(1, Relaxed);
                // Two of these at once fail the model.
                let ran = permit.run(|_| Err::<(), _>(self.thing.with_mut(|_| ())));
                assert!(ran.is_err());
                None
            }
            other => Some(other),
        }
    }

    /// Also waits if another is at it, and in the end sees what that one did.
    fn hear(&self) -> Option<Turn<'static, u8>> {
        let turn = self.visit();
        let heard = match &turn {
            Some(Turn::InFlight(waiter)) => waiter.flight().wait(),
            Some(Turn::Spent(outcome)) => Waited::Settled(*outcome),
            _ => Waited::Settled(Outcome::Failed),
        };
        // Fails the model if the repair did not happen before this.
        self.thing.with(|_| ());
        assert_eq!(heard, Waited::Settled(Outcome::Failed));
        turn
    }

    fn grants(&self) -> usize {
        self.grants.load(Relaxed)
    }
}

type Visit = fn(&World) -> Option<Turn<'static, u8>>;

/// What they have left is dropped when all have ended.
fn beside_me(
    world: &Plain<World>,
    others: [Visit; 2],
    mine: impl FnOnce(&World) -> Option<Turn<'static, u8>>,
) {
    let others = others.map(|visit| {
        let world = Plain::clone(world);
        thread::spawn(move || visit(&world))
    });
    let mine = mine(world);
    drop((others.map(|other| other.join().unwrap()), mine));
}

/// 9 200 interleavings.
#[test]
fn loom_three_visits_to_one_key_are_one_repair() {
    unbounded(|| {
        let world = World::at(new_slot());
        beside_me(&world, [World::visit; 2], World::visit);
        assert_eq!(world.grants(), 1);
    });
}

/// 48 000 interleavings.
#[test]
fn loom_three_that_wait_hear_the_one_outcome_and_see_what_the_repair_did() {
    unbounded(|| {
        let world = World::at(new_slot());
        beside_me(&world, [World::hear; 2], World::hear);
        assert_eq!(world.grants(), 1);
    });
}

/// 24 000 interleavings.
#[test]
fn loom_a_turn_that_is_given_back_beside_two_visits_is_had_by_one_of_them_or_is_free() {
    unbounded(|| {
        let (slot, flight) = claimed();
        let world = World::at(Arc::clone(&slot));
        let permit = crate::permit::Permit::new(Arc::clone(&slot), Arc::clone(&flight), 1);
        beside_me(&world, [World::visit; 2], |_| {
            permit.forfeit();
            None
        });
        assert!(world.grants() <= 1);
        drop(world.visit());
        assert_eq!(world.grants(), 1);
    });
}
