//! Proves that a panic in a key's `Eq`, `Hash` or `Clone` leaves the quarantine as if the verb had not been called: no stuck probe,
//! no place without a record, no lost or made-up release. A fuse makes the nth call of one of them panic, for every n that a verb
//! gets to, and what is answered from then on must be what a quarantine answers that nothing has happened to.

use std::cell::Cell;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fingerprint_quarantine::{Admission, FakeClock, Held, Hold, Quarantine, Standing};

type Fixed = BuildHasherDefault<DefaultHasher>;
type Boards = Quarantine<Touchy, u32, FakeClock, Fixed>;

const HOLD: Hold = Hold::until_changed();

/// What a quarantine may call of a key's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Eq,
    Hash,
    Clone,
}

use Call::{Clone as Cloned, Eq as Compared, Hash as Hashed};

thread_local!(static FUSE: Cell<Option<(Call, usize)>> = const { Cell::new(None) });

/// A key whose code panics when the fuse has burnt down. Four of them in a row share a hash.
#[derive(Debug)]
struct Touchy(u16);

impl Touchy {
    fn called(call: Call) {
        match FUSE.get() {
            // It does not print a message, and poisons as any panic does.
            Some((armed, 1)) if armed == call => resume_unwind(Box::new("fuse")),
            Some((armed, left)) if armed == call => FUSE.set(Some((armed, left - 1))),
            _ => {}
        }
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        Self::called(Call::Eq);
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Self::called(Call::Hash);
        (self.0 / 4).hash(state);
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        Self::called(Call::Clone);
        Self(self.0)
    }
}

/// Runs `work` with the nth `call` set to panic; `None` if it did.
fn with_fuse<T>(call: Call, nth: usize, work: impl FnOnce() -> T) -> Option<T> {
    FUSE.set(Some((call, nth)));
    let result = catch_unwind(AssertUnwindSafe(work));
    FUSE.set(None);
    result
        .inspect_err(|panic| assert_eq!(panic.downcast_ref(), Some(&"fuse")))
        .ok()
}

const KNOWN: Touchy = Touchy(0);
const TWIN: Touchy = Touchy(1);
const NEW: Touchy = Touchy(2);
const OUT: Touchy = Touchy(3);
const PLACED: Touchy = Touchy(4);
const KEYS: [&Touchy; 5] = [&KNOWN, &TWIN, &NEW, &OUT, &PLACED];

fn boards() -> Boards {
    let clock = FakeClock::at(Duration::from_secs(1_000));
    Quarantine::with_clock_and_hasher(clock, Fixed::default())
}

fn fail(boards: &Boards, key: &Touchy, stamp: u32) -> Held {
    let attempt = boards.admit_stamped(key, stamp).go().unwrap();
    attempt.failed(&HOLD, |same| *same)
}

/// What there is on record, and how many places are taken.
fn seen(boards: &Boards) -> (String, [Option<Held>; 5]) {
    (format!("{boards:?}"), KEYS.map(|key| boards.status(key)))
}

type Verb = fn(&Boards) -> String;

/// Each verb with a key, and what it surely calls of it.
const VERBS: [(&str, &[Call], Verb); 16] = [
    ("admit", &[Hashed, Compared], |boards| {
        format!("{:?}", boards.admit(&KNOWN, || 1))
    }),
    ("admit after a change", &[Hashed, Compared], |boards| {
        format!("{:?}", boards.admit(&KNOWN, || 2))
    }),
    ("admit of a new key", &[Hashed, Compared], |boards| {
        format!("{:?}", boards.admit(&NEW, || unreachable!("healthy")))
    }),
    ("first failure", &[Hashed, Compared, Cloned], |boards| {
        format!("{:?}", fail(boards, &NEW, 1))
    }),
    (
        "first failure without a stamp",
        &[Hashed, Compared, Cloned],
        |boards| {
            let attempt = boards.admit(&NEW, || unreachable!("healthy")).go();
            format!("{:?}", attempt.unwrap().failed(&HOLD, |same| *same))
        },
    ),
    ("another failure", &[Hashed, Compared], |boards| {
        format!("{:?}", fail(boards, &KNOWN, 2))
    }),
    ("a success", &[Hashed, Compared], |boards| {
        format!("{:?}", boards.admit_stamped(&KNOWN, 2).go().unwrap().ok())
    }),
    ("in_trouble", &[Hashed, Compared], |boards| {
        let attempt = boards.admit_stamped(&NEW, 1).go().unwrap();
        attempt.in_trouble().to_string()
    }),
    ("handle", &[Hashed, Compared, Cloned], |boards| {
        format!("{:?}", boards.handle(&KNOWN).status())
    }),
    (
        "handle of a new key",
        &[Hashed, Compared, Cloned],
        |boards| format!("{:?}", boards.handle(&NEW)),
    ),
    ("status", &[Hashed, Compared], |boards| {
        format!("{:?}", boards.status(&KNOWN))
    }),
    ("held", &[Cloned], |boards| {
        let mut held = boards.held();
        held.sort_by_key(|(key, _)| key.0);
        format!("{held:?}")
    }),
    ("release", &[Hashed, Compared], |boards| {
        boards.release(&KNOWN).to_string()
    }),
    ("release of a new key", &[Hashed, Compared], |boards| {
        boards.release(&NEW).to_string()
    }),
    ("forget", &[Hashed, Compared], |boards| {
        boards.forget(&KNOWN).to_string()
    }),
    ("forget of a new key", &[Hashed, Compared], |boards| {
        boards.forget(&NEW).to_string()
    }),
];

/// All that is answered after `verb` has burnt the fuse, if there is one; `None` if it did not.
fn story(verb: Verb, fuse: Option<(Call, usize)>) -> Option<Vec<String>> {
    let boards = boards();
    fail(&boards, &KNOWN, 1);
    fail(&boards, &TWIN, 1);
    let handle = boards.handle(&PLACED);
    // A release or a forgetting of a key with this hash would show: what fails after one is not held.
    let out = boards.admit_stamped(&OUT, 1).go().unwrap();
    let before = seen(&boards);
    if let Some((call, nth)) = fuse {
        if with_fuse(call, nth, || verb(&boards)).is_some() {
            return None;
        }
        assert_eq!(seen(&boards), before, "{fuse:?}");
    }
    let mut story = vec![format!("{:?}", out.failed(&HOLD, |same| *same))];
    story.push(format!("{} {:?}", verb(&boards), seen(&boards)));
    for key in KEYS {
        let attempt = boards.admit_stamped(key, 3).go().unwrap();
        story.push(format!("{attempt:?}"));
        story.push(format!("{:?}", attempt.failed(&HOLD, |same| *same)));
        assert!(matches!(boards.admit(key, || 3), Admission::Held(_)));
        assert!(boards.release(key));
        story.push(format!("{:?} {:?}", boards.admit(key, || 3), seen(&boards)));
    }
    for key in KEYS {
        assert!(boards.forget(key), "{key:?}");
        assert_eq!(boards.status(key), None);
    }
    assert!(boards.is_empty() && takes_places(&boards, 1), "{boards:?}");
    drop(handle);
    assert!(takes_places(&boards, 0), "{boards:?}");
    Some(story)
}

fn takes_places(boards: &Boards, places: usize) -> bool {
    format!("{boards:?}").contains(&format!("slots: {places}, "))
}

/// Every call of this kind that a verb makes panics once.
fn no_panic_is_felt(call: Call) {
    for (name, calls, verb) in VERBS {
        let untouched = story(verb, None).unwrap();
        let mut nth = 1;
        while let Some(story) = story(verb, Some((call, nth))) {
            assert_eq!(story, untouched, "{name}, {call:?} number {nth}");
            nth += 1;
        }
        let panicked = nth > 1;
        assert!(
            panicked || !calls.contains(&call),
            "{name} called no {call:?}"
        );
    }
}

#[test]
fn a_verb_whose_key_s_eq_panics_is_as_if_it_had_not_been_called() {
    no_panic_is_felt(Call::Eq);
}

#[test]
fn a_verb_whose_key_s_hash_panics_is_as_if_it_had_not_been_called() {
    no_panic_is_felt(Call::Hash);
}

#[test]
fn a_verb_whose_key_s_clone_panics_is_as_if_it_had_not_been_called() {
    no_panic_is_felt(Call::Clone);
}

#[test]
fn a_handle_and_the_end_of_a_probe_call_nothing_of_a_key_s() {
    for call in [Call::Eq, Call::Hash, Call::Clone] {
        let boards = boards();
        fail(&boards, &KNOWN, 1);
        let handle = boards.handle(&KNOWN);
        let by_key = boards.admit_stamped(&KNOWN, 2).go().unwrap();
        let never = with_fuse(call, 1, || {
            assert_eq!(by_key.in_trouble(), 1);
            assert!(by_key.ok().is_some());
            let by_handle = || handle.admit_stamped(2).go().unwrap();
            by_handle().failed(&HOLD, |same| *same);
            assert!(handle.status().is_some() && handle.release());
            by_handle().failed(&HOLD, |_| 3);
            assert_eq!(boards.release_all(|_, _| true), 1);
            assert!(by_handle().ok().is_some());
            by_handle().failed(&HOLD, |same| *same);
            assert!(handle.clone().forget());
            drop(handle);
        });
        assert!(never.is_some(), "{call:?}");
        assert!(takes_places(&boards, 0), "{boards:?}");
    }
}

#[test]
fn a_table_that_grows_or_shrinks_asks_none_of_the_keys_in_it_for_its_hash() {
    let boards = boards();
    for key in (0..1_000).map(Touchy) {
        // One for the question and one for the failure.
        let held = with_fuse(Call::Hash, 3, || fail(&boards, &key, 1));
        let standing = held.map(|held| held.standing);
        assert_eq!(standing, Some(Standing::Held), "{key:?}");
    }
    assert_eq!(boards.len(), 1_000);
    let kept = with_fuse(Call::Hash, 1, || boards.retain(|key| key.0 < 10));
    assert_eq!((kept, boards.len()), (Some(()), 10));
    assert!(takes_places(&boards, 10), "{boards:?}");
}

#[test]
fn a_predicate_that_panics_leaves_what_it_was_not_asked_about() {
    let boards = boards();
    for key in KEYS {
        fail(&boards, key, 1);
    }
    let fails_after = |answers: usize| {
        let left = Cell::new(answers);
        move || match left.replace(left.get().wrapping_sub(1)) {
            0 => resume_unwind(Box::new("predicate")),
            _ => true,
        }
    };
    let (release, forget) = (fails_after(3), fails_after(1));
    let released = || boards.release_all(|_, _| release());
    assert!(catch_unwind(AssertUnwindSafe(released)).is_err());
    let is_released = |key: &&Touchy| {
        let held = boards.status(*key);
        held.is_some_and(|held| held.standing == Standing::Released)
    };
    assert_eq!(KEYS.into_iter().filter(is_released).count(), 3);
    let retained = || boards.retain(|_| !forget());
    assert!(catch_unwind(AssertUnwindSafe(retained)).is_err());
    assert_eq!(boards.len(), KEYS.len() - 1);
    assert_eq!(boards.release_all(|_, _| true), KEYS.len() - 1);
    boards.retain(|_| false);
    assert!(boards.is_empty() && takes_places(&boards, 0), "{boards:?}");
}

#[test]
fn a_look_or_a_comparison_that_panics_when_a_failure_is_told_frees_the_key_and_notes_nothing() {
    /// What cannot be compared is what the look afterwards brings.
    #[derive(Clone, Copy, Debug)]
    enum Stamp {
        Sweet,
        Sour,
    }
    impl PartialEq for Stamp {
        fn eq(&self, _: &Self) -> bool {
            matches!(self, Self::Sweet) || resume_unwind(Box::new("comparison"))
        }
    }
    impl Eq for Stamp {}

    let boards = Quarantine::<u32, Stamp>::new();
    let attempt = || boards.admit_stamped(&1, Stamp::Sweet).go().unwrap();
    let tell = || attempt().failed(&HOLD, |_| Stamp::Sour);
    let look = || attempt().failed(&HOLD, |_| resume_unwind(Box::new("look")));
    assert!(catch_unwind(AssertUnwindSafe(tell)).is_err());
    assert!(catch_unwind(AssertUnwindSafe(look)).is_err());
    assert!(boards.is_empty());
    attempt().failed(&HOLD, |same| *same);
    // So that the question compares nothing.
    boards.release(&1);
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(tell)).is_err());
        assert!(catch_unwind(AssertUnwindSafe(look)).is_err());
        let held = boards.status(&1).unwrap();
        assert_eq!((held.attempts, held.probing), (1, false));
    }
    assert_eq!(attempt().failed(&HOLD, |same| *same).attempts, 2);
}
