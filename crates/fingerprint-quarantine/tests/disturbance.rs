//! A key whose own attempts change its stamp must not release itself for ever, and must not stay deaf to others for ever.

use std::time::Duration;

use fingerprint_quarantine::{Admission, Backoff, FakeClock, Held, Hold, Quarantine, Reason};

const SECOND: Duration = Duration::from_secs(1);
const TIMER: Duration = Duration::from_secs(1_000);
const HOLD: Hold = Hold::until_changed().or_retry(Backoff::every(TIMER));

/// A file whose version counts every write, and a key for it.
struct World {
    boards: Quarantine<&'static str, u32, FakeClock>,
    clock: FakeClock,
    file: u32,
    tries: u32,
}

/// What an attempt does to the file, and whether the caller looks after it.
#[derive(Clone, Copy)]
enum Try {
    Writes,
    Leaves,
    WritesUnseen,
    LeavesUnseen,
}

impl World {
    fn new() -> Self {
        let clock = FakeClock::default();
        Self {
            boards: Quarantine::with_clock(clock.clone()),
            clock,
            file: 0,
            tries: 0,
        }
    }

    /// Asks, and fails in this way if allowed.
    fn tick(&mut self, how: Try) -> Option<Reason> {
        self.clock.advance(SECOND);
        let file = self.file;
        let attempt = self.boards.admit_stamped(&"a", file).go()?;
        let why = attempt.why();
        self.tries += 1;
        if let Try::Writes | Try::WritesUnseen = how {
            self.file += 1;
        }
        let _: Held = match how {
            Try::Writes | Try::Leaves => attempt.failed_leaving(&self.file, &HOLD),
            Try::WritesUnseen | Try::LeavesUnseen => attempt.failed(&HOLD),
        };
        Some(why)
    }

    fn ticks(&mut self, count: u32, how: Try) {
        for _ in 0..count {
            self.tick(how);
        }
    }

    fn is_self_disturbing(&self) -> bool {
        self.boards.status(&"a").unwrap().self_disturbing
    }
}

#[test]
fn attempts_that_are_seen_to_write_are_two_and_then_wait_for_the_timer() {
    let mut world = World::new();
    world.ticks(100, Try::Writes);
    assert_eq!(world.tries, 2);
    assert!(world.is_self_disturbing());
    world.clock.advance(TIMER);
    assert_eq!(world.tick(Try::Writes), Some(Reason::Timer));
    world.ticks(100, Try::Writes);
    assert_eq!(world.tries, 3);
}

#[test]
fn attempts_that_write_unseen_are_four_and_then_wait_for_the_timer() {
    let mut world = World::new();
    world.ticks(100, Try::WritesUnseen);
    assert_eq!(world.tries, 4);
    world.clock.advance(TIMER);
    assert_eq!(world.tick(Try::WritesUnseen), Some(Reason::Timer));
    world.ticks(100, Try::WritesUnseen);
    assert_eq!(world.tries, 5);
}

#[test]
fn one_that_writes_only_the_first_time_is_held_by_the_second() {
    // As "create if not exists" does.
    for (first, then) in [
        (Try::Writes, Try::Leaves),
        (Try::WritesUnseen, Try::LeavesUnseen),
    ] {
        let mut world = World::new();
        world.tick(first);
        world.ticks(100, then);
        assert_eq!(world.tries, 2);
        assert!(!world.is_self_disturbing());
        world.file += 1;
        assert_eq!(world.tick(then), Some(Reason::Changed));
    }
}

#[test]
fn a_key_that_has_become_quiet_is_believed_again() {
    for (loud, quiet) in [
        (Try::Writes, Try::Leaves),
        (Try::WritesUnseen, Try::LeavesUnseen),
    ] {
        let mut world = World::new();
        world.ticks(100, loud);
        world.clock.advance(TIMER);
        assert_eq!(world.tick(quiet), Some(Reason::Timer));
        // An unseen one needs a look that finds it unchanged.
        assert_eq!(world.tick(quiet), None);
        world.file += 1;
        assert_eq!(world.tick(quiet), Some(Reason::Changed));
    }
}

#[test]
fn a_writer_beside_attempts_that_are_seen_to_leave_it_alone_always_releases() {
    let mut world = World::new();
    for _ in 0..50 {
        world.tick(Try::Leaves);
        world.file += 1;
    }
    assert_eq!(world.tries, 50);
}

#[test]
fn a_look_between_two_writes_shows_that_it_was_not_the_attempt() {
    let mut world = World::new();
    for _ in 0..20 {
        world.tick(Try::LeavesUnseen);
        assert_eq!(world.tick(Try::LeavesUnseen), None);
        world.file += 1;
    }
    assert_eq!(world.tries, 20);
}

#[test]
fn without_a_timer_to_fall_back_to_a_change_still_releases() {
    let boards = Quarantine::<&str, u32>::new();
    for file in 0..20 {
        let attempt = boards.admit_stamped(&"a", file).go().unwrap();
        attempt.failed_leaving(&(file + 1), &Hold::until_changed());
    }
}

#[test]
fn an_attempt_that_was_dropped_does_not_count() {
    let boards = Quarantine::<&str, u32>::new();
    boards.admit_stamped(&"a", 0).go().unwrap().failed(&HOLD);
    for _ in 0..20 {
        assert!(boards.admit_stamped(&"a", 1).go().is_some());
    }
    assert!(matches!(boards.admit_stamped(&"a", 0), Admission::Held(_)));
}
