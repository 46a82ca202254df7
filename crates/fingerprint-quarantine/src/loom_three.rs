//! All interleavings of three threads: no bound on preemptions.
//!
//! So that there are not too many, each thread does one thing, through a handle that all of them share: no table and no hash. The
//! numbers of interleavings are those that loom tried.

use std::sync::Arc;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::thread::{self, JoinHandle};

use crate::answer::Asked;
use crate::loom_tests::{Boards, HOLD, Still};
use crate::slot::Slot;
use crate::{Admission, Attempt, Handle, Held, Hold, Reason};

const A_SECOND: Hold = HOLD.at_least(Duration::from_secs(1));

struct World {
    boards: Boards,
    board: Handle<u8, u8, Still>,
    /// Another key of the same quarantine, healthy.
    other: Handle<u8, u8, Still>,
    /// What `board` stands for.
    thing: UnsafeCell<()>,
}

impl World {
    fn new() -> Arc<Self> {
        let boards = Boards::default();
        Arc::new(Self {
            board: boards.handle(&1),
            other: boards.handle(&2),
            boards,
            thing: UnsafeCell::new(()),
        })
    }

    /// With the key held since it looked like 1.
    fn held() -> Arc<Self> {
        let world = Self::new();
        world.go(1).failed(&HOLD, |same| *same);
        world
    }

    /// The place behind `board`.
    fn slot(&self) -> Arc<Slot<u8, u8>> {
        let hash = self.boards.hash(&1_u8);
        self.boards.core.find(&1, hash).expect("a handle keeps it")
    }

    fn go(&self, stamp: u8) -> Attempt<'_, u8, u8, Still> {
        self.board.admit_stamped(stamp).go().expect("free to go")
    }

    /// Asks, and if it may, leaves it at that.
    fn ask(&self, stamp: u8) -> Option<Reason> {
        let attempt = self.board.admit(|| stamp).go()?;
        Some(attempt.why())
    }

    /// Asks as long as it is too soon for a look.
    fn ask_again(&self) -> Result<Reason, Held> {
        match self.board.admit_stamped(1) {
            Admission::Go(attempt) => Ok(attempt.why()),
            Admission::Held(held) => Err(held),
            Admission::Probing => unreachable!("nobody is at it"),
        }
    }

    /// Tries if it may, and reports a failure.
    fn visit(&self, stamp: u8) -> Option<Reason> {
        let attempt = self.board.admit_stamped(stamp).go()?;
        let why = attempt.why();
        self.thing.with_mut(|_| ());
        attempt.failed(&HOLD, |same| *same);
        Some(why)
    }
}

fn beside<R: 'static>(
    world: &Arc<World>,
    act: impl FnOnce(&World) -> R + 'static,
) -> JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || act(&world))
}

/// 12 000 interleavings.
#[test]
fn loom_three_that_see_one_change_try_it_once() {
    loom::model(|| {
        let world = World::held();
        let others = [(); 2].map(|()| beside(&world, |world| world.visit(2)));
        let mine = world.visit(2);
        let [one, two] = others.map(|other| other.join().unwrap());
        let tries = [mine, one, two];
        // The losers were told "probing", or "held" after the winner failed.
        assert_eq!(tries.iter().flatten().count(), 1, "{tries:?}");
        assert!(world.ask(2).is_none());
    });
}

/// 21 000 interleavings.
#[test]
fn loom_three_that_see_three_changes_try_one_after_the_other() {
    loom::model(|| {
        let world = World::held();
        let others = [2, 3].map(|stamp| beside(&world, move |world| world.visit(stamp)));
        world.visit(4);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(world.boards.len(), 1);
    });
}

/// 800 interleavings.
#[test]
fn loom_a_release_beats_a_failing_attempt_whoever_asks_meanwhile() {
    loom::model(|| {
        let world = World::held();
        let attempt = world.go(2);
        let release = beside(&world, |world| world.board.release());
        let asked = beside(&world, |world| world.ask(2));
        attempt.failed(&HOLD, |same| *same);
        assert!(release.join().unwrap());
        let asked = asked.join().unwrap();
        assert!(asked.is_none_or(|why| why == Reason::Manual), "{asked:?}");
        assert_eq!(world.go(2).why(), Reason::Manual);
    });
}

/// 300 interleavings.
#[test]
fn loom_a_release_beats_a_first_failure_whoever_asks_meanwhile() {
    loom::model(|| {
        let world = World::new();
        let attempt = world.go(1);
        let release = beside(&world, |world| world.board.release());
        let asked = beside(&world, |world| world.ask(1));
        attempt.failed(&HOLD, |same| *same);
        let was_on_record = release.join().unwrap();
        let asked = asked.join().unwrap();
        assert!(was_on_record || asked != Some(Reason::Manual), "{asked:?}");
        assert_eq!(world.boards.len(), usize::from(was_on_record));
        assert_eq!(world.go(1).why() == Reason::Manual, was_on_record);
    });
}

/// A shortest hold is published: six words more. 35 000 interleavings of one that writes them and one that asks.
#[test]
fn loom_a_first_failure_is_read_without_the_lock_whole_or_not_at_all() {
    loom::model(|| {
        let world = World::new();
        let attempt = world.go(1);
        let asked = beside(&world, World::ask_again);
        let held = attempt.failed(&A_SECOND, |same| *same);
        match asked.join().unwrap() {
            Ok(why) => assert_eq!(why, Reason::New),
            Err(seen) => assert_eq!(seen, held),
        }
        assert_eq!(world.ask_again(), Err(held));
    });
}

/// The second write. 29 000 interleavings.
#[test]
fn loom_a_release_is_read_without_the_lock_at_once_or_not_yet() {
    loom::model(|| {
        let world = World::new();
        let held = world.go(1).failed(&A_SECOND, |same| *same);
        let asked = beside(&world, World::ask_again);
        assert!(world.board.release());
        let asked = asked.join().unwrap();
        assert!(
            asked == Err(held) || asked == Ok(Reason::Manual),
            "{asked:?}"
        );
        assert_eq!(world.ask_again(), Ok(Reason::Manual));
    });
}

/// Both, in this order or the other, beside one that asks under the lock. Each is one step under it, so one thread that takes both in
/// turn does all that two threads can. (Both, beside one that reads the words, are in `quiet`: all that it can see of two writes.)
fn under_the_lock_beside_a_first_failure_and_a_release(release_first: bool) {
    loom::model(move || {
        let world = World::new();
        let attempt = world.go(1);
        let asked = beside(&world, |world| {
            match Slot::ask(&world.slot(), Duration::ZERO) {
                Asked::Healthy => Ok(Reason::New),
                Asked::Go(_, why) => Ok(why),
                Asked::Held(held) => Err(held),
                Asked::Probing | Asked::Look(..) => {
                    unreachable!("nobody is at it, and it is too soon for a look")
                }
            }
        });
        let (held, was_on_record) = if release_first {
            let was_on_record = world.board.release();
            (attempt.failed(&A_SECOND, |same| *same), was_on_record)
        } else {
            (
                attempt.failed(&A_SECOND, |same| *same),
                world.board.release(),
            )
        };
        assert_eq!(was_on_record, !release_first);
        match asked.join().unwrap() {
            Ok(why) => assert!(was_on_record || why == Reason::New, "{why:?}"),
            Err(seen) => assert_eq!(seen, held),
        }
        assert_eq!(world.go(1).why() == Reason::Manual, was_on_record);
    });
}

#[test]
fn loom_a_first_failure_and_then_a_release_that_are_read_under_the_lock() {
    under_the_lock_beside_a_first_failure_and_a_release(false);
}

#[test]
fn loom_a_release_and_then_a_first_failure_that_are_read_under_the_lock() {
    under_the_lock_beside_a_first_failure_and_a_release(true);
}

/// 450 interleavings.
#[test]
fn loom_a_key_that_others_put_on_record_is_counted_once_while_one_recovers() {
    loom::model(|| {
        let world = World::held();
        let mine = world.other.admit_stamped(1).go().unwrap();
        let recover = beside(&world, |world| world.go(2).ok().is_some());
        let fail = beside(&world, |world| {
            world
                .other
                .admit_stamped(1)
                .go()
                .unwrap()
                .failed(&HOLD, |same| *same);
        });
        // Itself, and the one that may have recovered.
        let count = mine.in_trouble();
        assert!((1..=2).contains(&count), "{count}");
        assert!(recover.join().unwrap());
        fail.join().unwrap();
        assert_eq!((mine.in_trouble(), world.boards.len()), (1, 1));
    });
}

/// By key, with two threads because of the table; so it is known how many there are.
#[test]
fn loom_a_key_that_others_put_on_record_by_key_is_counted_once() {
    loom::model(|| {
        let world = World::held();
        let mine = world.boards.admit_stamped(&3, 1).go().unwrap();
        let fail = beside(&world, |world| {
            let attempt = world.boards.admit_stamped(&3, 1).go().unwrap();
            attempt.failed(&HOLD, |same| *same);
        });
        assert_eq!(mine.in_trouble(), 2);
        fail.join().unwrap();
        assert_eq!((mine.in_trouble(), world.boards.len()), (2, 2));
    });
}

/// 6 400 interleavings.
#[test]
fn loom_a_success_beside_a_failure_leaves_a_count_that_is_right() {
    loom::model(|| {
        let world = World::held();
        let counting = world.other.admit_stamped(1).go().unwrap();
        let attempt = world.go(2);
        // Either it meets the attempt that is out, or it fails at a healthy key.
        let fail = beside(&world, |world| world.visit(3).is_some());
        let count = beside(&world, |world| world.boards.len());
        assert!(attempt.ok().is_some());
        assert!(count.join().unwrap() <= 1);
        let failed = usize::from(fail.join().unwrap());
        assert_eq!(world.boards.len(), failed);
        assert_eq!(counting.in_trouble(), 1 + failed);
    });
}
