//! All interleavings of a few threads at one quarantine, by key (`loom_three`: of three threads, by handle). Run with
//! `RUSTFLAGS="--cfg fingerprint_loom" cargo test -p fingerprint-quarantine --release --lib --target-dir target/loom loom`.
//!
//! The thing that a key stands for is a cell that loom watches: two attempts at it at once, or one that does not see what an earlier
//! one did, fail the model.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::thread;

use crate::{Admission, Attempt, Clock, Handle, Hold, Quarantine, Reason};

pub(crate) const HOLD: Hold = Hold::until_changed();
const KEY: u8 = 1;

/// A hasher without a seed: loom wants each run to be the same.
pub(crate) type Boards = Quarantine<u8, u8, Still, BuildHasherDefault<DefaultHasher>>;

/// Time does not matter here.
#[derive(Default)]
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

struct World {
    boards: Boards,
    thing: UnsafeCell<()>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            boards: Boards::default(),
            thing: UnsafeCell::new(()),
        })
    }

    /// With the key held since it looked like 1.
    fn held() -> Arc<Self> {
        let world = Self::new();
        world.go(1).failed(&HOLD, |same| *same);
        world
    }

    fn go(&self, stamp: u8) -> Attempt<'_, u8, u8, Still> {
        match self.boards.admit_stamped(&KEY, stamp) {
            Admission::Go(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    /// Tries if it may, and reports a failure; the reason.
    fn visit(&self, stamp: u8) -> Option<Reason> {
        let attempt = self.boards.admit(&KEY, || stamp).go()?;
        let why = attempt.why();
        self.thing.with_mut(|_| ());
        attempt.failed(&HOLD, |same| *same);
        Some(why)
    }

    fn places(&self) -> usize {
        self.boards.core.slots()
    }
}

fn beside_each_other(world: &Arc<World>, one: fn(&World), two: fn(&World)) {
    let other = thread::spawn({
        let world = Arc::clone(world);
        move || one(&world)
    });
    two(world);
    other.join().unwrap();
}

#[test]
fn loom_two_threads_that_see_a_change_try_one_after_the_other_and_once() {
    loom::model(|| {
        let world = World::held();
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || world.visit(2)
        });
        let mine = world.visit(2);
        let tries = [mine, other.join().unwrap()];
        // The loser was told "probing", or "held" after the winner failed.
        assert_eq!(tries.iter().flatten().count(), 1, "{tries:?}");
        assert!(world.boards.admit_stamped(&KEY, 2).go().is_none());
    });
}

/// 21 000 interleavings.
#[test]
fn loom_three_threads_that_see_different_things_are_never_at_it_together() {
    loom::model(|| {
        let world = World::held();
        let others = [2, 3].map(|stamp| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.visit(stamp))
        });
        world.visit(4);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn loom_a_release_beside_a_failing_attempt_wins() {
    loom::model(|| {
        let world = World::held();
        let attempt = world.go(2);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || assert!(world.boards.release(&KEY))
        });
        attempt.failed(&HOLD, |same| *same);
        other.join().unwrap();
        assert_eq!(world.go(2).why(), Reason::Manual);
    });
}

#[test]
fn loom_a_release_beside_a_first_failure_wins_by_key() {
    loom::model(|| {
        let world = World::new();
        let attempt = world.go(1);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || world.boards.release(&KEY)
        });
        attempt.failed(&HOLD, |same| *same);
        let was_on_record = other.join().unwrap();
        let next = world.go(1);
        assert_eq!(next.why() == Reason::Manual, was_on_record);
        assert_eq!(world.places(), usize::from(was_on_record));
    });
}

#[test]
fn loom_a_release_beside_a_first_failure_wins_by_handle() {
    loom::model(|| {
        let world = World::new();
        let handle = world.boards.handle(&KEY);
        let Admission::Go(attempt) = handle.admit_stamped(1) else {
            panic!("healthy")
        };
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || world.boards.release(&KEY)
        });
        attempt.failed(&HOLD, |same| *same);
        let was_on_record = other.join().unwrap();
        assert_eq!(world.go(1).why() == Reason::Manual, was_on_record);
    });
}

#[test]
fn loom_a_release_beside_a_look_that_finds_no_change_wins() {
    loom::model(|| {
        let world = World::held();
        beside_each_other(
            &world,
            |world| assert!(world.boards.release(&KEY)),
            |world| {
                if let Some(attempt) = world.boards.admit(&KEY, || 1).go() {
                    assert_eq!(attempt.why(), Reason::Manual);
                }
            },
        );
        assert_eq!(world.go(1).why(), Reason::Manual);
    });
}

#[test]
fn loom_two_first_failures_make_one_record_and_a_success_ends_it() {
    loom::model(|| {
        let world = World::new();
        // The other begins while the key is healthy, or meets what this one has left.
        let attempt = world.go(1);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                if let Some(attempt) = world.boards.admit_stamped(&KEY, 1).go() {
                    attempt.failed(&HOLD, |same| *same);
                }
            }
        });
        attempt.failed(&HOLD, |same| *same);
        other.join().unwrap();
        assert_eq!((world.boards.len(), world.places()), (1, 1));
        assert_eq!(world.go(2).ok().unwrap().attempts, 1);
        assert_eq!((world.boards.len(), world.places()), (0, 0));
    });
}

#[test]
fn loom_a_key_forgotten_at_any_moment_leaves_no_stuck_probe_and_no_place() {
    loom::model(|| {
        let world = World::held();
        beside_each_other(
            &world,
            |world| {
                world.boards.forget(&KEY);
            },
            |world| {
                world.boards.admit(&KEY, || 2).go();
            },
        );
        assert_eq!((world.boards.len(), world.places()), (0, 0));
        assert_eq!(world.go(1).why(), Reason::New);
    });
}

#[test]
fn loom_a_key_that_recovers_and_fails_again_meanwhile_is_on_record() {
    loom::model(|| {
        let world = World::held();
        let recovering = world.go(2);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            // Either it meets the attempt that is out, or it fails at a healthy key.
            move || match world.boards.admit_stamped(&KEY, 3) {
                Admission::Go(attempt) => {
                    attempt.failed(&HOLD, |same| *same);
                    true
                }
                Admission::Probing => false,
                Admission::Held(held) => panic!("{held:?}"),
            }
        });
        assert!(recovering.ok().is_some());
        let failed = usize::from(other.join().unwrap());
        assert_eq!((world.boards.len(), world.places()), (failed, failed));
    });
}

#[test]
fn loom_a_handle_and_its_quarantine_never_part_ways() {
    loom::model(|| {
        let world = World::held();
        let recovering = world.go(2);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                // Made while the place may just be swept.
                let handle = world.boards.handle(&KEY);
                drop(handle.clone());
                handle
            }
        });
        recovering.ok();
        let handle: Handle<u8, u8, Still> = other.join().unwrap();
        let Admission::Go(attempt) = handle.admit_stamped(5) else {
            panic!("healthy")
        };
        attempt.failed(&HOLD, |same| *same);
        assert!(world.boards.admit_stamped(&KEY, 5).go().is_none());
        assert!(world.boards.forget(&KEY));
        drop(handle);
        assert_eq!(world.places(), 0);
    });
}

#[test]
fn loom_the_last_two_handles_dropped_at_once_leave_no_place() {
    loom::model(|| {
        let world = World::new();
        let handle = world.boards.handle(&KEY);
        let other = thread::spawn({
            let handle = handle.clone();
            move || drop(handle)
        });
        drop(handle);
        other.join().unwrap();
        assert_eq!(world.places(), 0);
    });
}

#[test]
fn loom_a_release_that_came_before_is_seen_without_the_lock_as_well() {
    loom::model(|| {
        let world = World::new();
        let handle = world.boards.handle(&KEY);
        world
            .go(1)
            .failed(&HOLD.at_least(Duration::from_secs(1)), |same| *same);
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || assert!(world.boards.release(&KEY))
        });
        if let Admission::Go(attempt) = handle.admit_stamped(1) {
            assert_eq!(attempt.why(), Reason::Manual);
        }
        other.join().unwrap();
        assert_eq!(handle.admit_stamped(1).go().unwrap().why(), Reason::Manual);
    });
}
