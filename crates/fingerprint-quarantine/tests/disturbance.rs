//! A key whose own attempts change its stamp must not release itself for ever, and must not stay deaf to others for ever.

use std::time::{Duration, SystemTime};

use fingerprint_quarantine::{
    Admission, Backoff, FakeClock, FileState, Held, Hold, Quarantine, Reason,
};

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

/// What an attempt does to the file.
#[derive(Clone, Copy, PartialEq)]
enum Try {
    Writes,
    Leaves,
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
        self.file += u32::from(how == Try::Writes);
        let _: Held = attempt.failed(&HOLD, |_| self.file);
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
fn attempts_that_write_are_two_and_then_wait_for_the_timer() {
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
fn one_that_writes_only_the_first_time_is_held_by_the_second() {
    // As "create if not exists" does.
    let mut world = World::new();
    world.tick(Try::Writes);
    world.ticks(100, Try::Leaves);
    assert_eq!(world.tries, 2);
    assert!(!world.is_self_disturbing());
    world.file += 1;
    assert_eq!(world.tick(Try::Leaves), Some(Reason::Changed));
}

#[test]
fn a_key_that_has_become_quiet_is_believed_again_until_it_writes_once_more() {
    let mut world = World::new();
    world.ticks(100, Try::Writes);
    for _ in 0..3 {
        world.clock.advance(TIMER);
        assert_eq!(world.tick(Try::Leaves), Some(Reason::Timer));
        assert_eq!(world.tick(Try::Leaves), None);
        world.file += 1;
        assert_eq!(world.tick(Try::Writes), Some(Reason::Changed));
        assert!(world.is_self_disturbing());
        assert_eq!(world.tick(Try::Leaves), None);
    }
}

#[test]
fn the_next_incident_begins_with_a_clean_slate() {
    let mut world = World::new();
    world.ticks(100, Try::Writes);
    world.clock.advance(TIMER);
    let attempt = world.boards.admit_stamped(&"a", world.file).go();
    assert!(attempt.unwrap().ok().is_some());
    world.tries = 0;
    world.ticks(100, Try::Writes);
    assert_eq!(world.tries, 2);
}

#[test]
fn a_writer_beside_attempts_that_leave_it_alone_always_releases() {
    let mut world = World::new();
    for _ in 0..50 {
        world.tick(Try::Leaves);
        world.file += 1;
    }
    assert_eq!(world.tries, 50);
}

#[test]
fn a_mend_that_comes_during_the_second_such_attempt_waits_for_the_timer() {
    let mut world = World::new();
    // Others write, but nobody can see that.
    world.ticks(2, Try::Writes);
    let mended = world.file;
    assert_eq!(world.tick(Try::Leaves), None);
    world.clock.advance(TIMER);
    assert_eq!(world.tick(Try::Leaves), Some(Reason::Timer));
    assert_eq!((world.file, world.tries), (mended, 3));
}

#[test]
fn without_a_timer_to_fall_back_to_a_change_still_releases() {
    let boards = Quarantine::<&str, u32>::new();
    for file in 0..20 {
        let attempt = boards.admit_stamped(&"a", file).go().unwrap();
        attempt.failed(&Hold::until_changed(), |before| before + 1);
    }
}

#[test]
fn an_attempt_that_was_dropped_does_not_count() {
    let boards = Quarantine::<&str, u32>::new();
    let fail = |file: u32, after: u32| {
        let attempt = boards.admit_stamped(&"a", file).go().unwrap();
        attempt.failed(&HOLD, |_| after)
    };
    fail(0, 1);
    for _ in 0..20 {
        assert!(boards.admit_stamped(&"a", 1).go().is_some());
    }
    assert!(matches!(boards.admit_stamped(&"a", 0), Admission::Held(_)));
    assert!(!boards.status(&"a").unwrap().self_disturbing);
    assert!(fail(1, 2).self_disturbing, "the second that wrote");
}

#[test]
fn a_file_that_only_grows_old_during_the_attempts_does_not_disturb_itself() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let boards = Quarantine::<&str, FileState>::new();
    for round in 0..20 {
        std::fs::write(&file, [round]).unwrap();
        // Long before the file's time, and long after it.
        let [young, old] = [1, u32::MAX].map(|seconds| {
            FileState::of_at(file.path(), SystemTime::UNIX_EPOCH + SECOND * seconds)
        });
        assert!(young.is_young() && !old.is_young());
        let attempt = boards.admit_stamped(&"a", young).go().unwrap();
        let held = attempt.failed(&HOLD, |before| old.aged_as(before));
        assert!(!held.self_disturbing, "round {round}");
        boards.release(&"a");
    }
}
