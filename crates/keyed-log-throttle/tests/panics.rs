//! Proves that a panic in a key's `Eq`, `Hash` or `Clone` leaves the throttle as if the verb had not been called. A fuse makes
//! the nth call of one of them panic, for every n that a verb gets to. From then on the throttle must answer as one that nothing
//! has happened to, and to threads that read either copy of its tables.

use std::cell::Cell;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{Handle, LogThrottle, Totals};

type Fixed = BuildHasherDefault<DefaultHasher>;
type Throttle = LogThrottle<Touchy, FakeRelativeClock, Fixed>;

/// What a throttle may call of a key's.
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

/// Runs `work` with the nth `call` on this thread set to panic; `None` if it did.
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
const STRANGER: Touchy = Touchy(4);
const KEYS: [&Touchy; 4] = [&KNOWN, &TWIN, &NEW, &STRANGER];

const W: Duration = Duration::from_secs(60);
/// The class without a window.
const FREE: u16 = 7;

/// A throttle that knows two classes of one key, one of them by a handle too, and two other keys.
struct Case {
    throttle: Throttle,
    handle: Handle<Touchy, FakeRelativeClock>,
    clock: FakeRelativeClock,
}

/// What one thread sees of it.
#[derive(Debug, PartialEq)]
struct Seen {
    len: usize,
    totals: Totals,
    pending: [u64; 4],
}

// ===== impl Case =====

impl Case {
    const LEN: usize = 4;

    fn new(capacity: usize) -> Self {
        let clock = FakeRelativeClock::default();
        let throttle = LogThrottle::builder()
            .window(W)
            .class_window(FREE, Duration::ZERO)
            .capacity(capacity)
            .clock(clock.clone())
            .hasher(Fixed::default())
            .build();
        let fail = |key, class, times| {
            for _ in 0..times {
                let _ = throttle.check(key, class);
            }
        };
        fail(&KNOWN, 1, 3);
        fail(&KNOWN, FREE, 2);
        fail(&TWIN, 1, 4);
        fail(&STRANGER, 1, 5);
        assert_eq!(throttle.len(), Self::LEN);
        let handle = throttle.handle(&KNOWN, FREE);
        Self {
            throttle,
            handle,
            clock,
        }
    }

    /// The same by either copy.
    #[track_caller]
    fn seen(&self) -> Seen {
        let [one, other] = by_both_copies(|| Seen {
            len: self.throttle.len(),
            totals: self.throttle.totals(),
            pending: KEYS.map(|key| self.throttle.pending(key)),
        });
        assert_eq!(one, other, "the copies differ");
        assert!(one.totals.is_conserved(), "{one:?}");
        one
    }

    /// All that is answered from now on: to checks of every key, to `verb`, and to checks after every key was forgotten.
    fn story(self, verb: Verb) -> Vec<String> {
        let throttle = &self.throttle;
        let mut story = Vec::new();
        for key in KEYS {
            let checks = by_both_copies(|| [1, 1, FREE].map(|class| throttle.check(key, class)));
            story.push(format!("{key:?}: {checks:?} {:?}", self.seen()));
        }
        story.push(format!("{} {:?}", verb(throttle), self.seen()));
        story.push(format!("{:?} {:?}", self.handle.check(), self.seen()));
        drop(self.handle);
        // A key that gets room waits for the window of the entry that it shared.
        self.clock.advance(W);
        let shared = usize::from(throttle.totals().folded > 0);
        // Each thread checks what it forgot itself and what the one before it forgot, in the copy that it reads.
        let ends = by_both_copies(|| {
            let ends = KEYS.map(|key| throttle.forget(key));
            assert_eq!(throttle.len(), shared, "{throttle:?}");
            for key in KEYS {
                assert!(throttle.check(key, 1).is_some(), "{key:?} was forgotten");
                assert!(throttle.check(key, 1).is_none(), "{key:?} has its line");
                assert_eq!(throttle.pending(key), 1, "{key:?}");
            }
            assert_eq!(throttle.len(), KEYS.len() + shared);
            assert!(throttle.totals().is_conserved(), "{throttle:?}");
            ends
        });
        story.push(format!("{ends:?} {:?}", throttle.totals()));
        story
    }
}

/// Asks from two threads that read different copies: new threads take them in turn, at their first look.
#[track_caller]
fn by_both_copies<T: Send>(ask: impl Fn() -> T + Sync) -> [T; 2] {
    [(); 2].map(|()| {
        let answer = thread::scope(|scope| scope.spawn(&ask).join());
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Keeps the other tests of this file from taking turns meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

type Verb = fn(&Throttle) -> String;

/// Each verb with a key, and what it surely calls of it.
const VERBS: [(&str, &[Call], Verb); 11] = [
    ("check", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.check(&KNOWN, 1))
    }),
    ("check that permits", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.check(&KNOWN, FREE))
    }),
    (
        "check of a new key",
        &[Hashed, Compared, Cloned],
        |throttle| format!("{:?}", throttle.check(&NEW, 1)),
    ),
    ("check of a new class", &[Hashed, Cloned], |throttle| {
        format!("{:?}", throttle.check(&KNOWN, 9))
    }),
    ("handle", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.handle(&KNOWN, 1))
    }),
    (
        "handle of a new key",
        &[Hashed, Compared, Cloned],
        |throttle| format!("{:?}", throttle.handle(&NEW, 1)),
    ),
    ("pending", &[Hashed, Compared], |throttle| {
        throttle.pending(&KNOWN).to_string()
    }),
    ("recovered", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.recovered(&KNOWN))
    }),
    ("recovered for a new key", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.recovered(&NEW))
    }),
    ("forget", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.forget(&KNOWN))
    }),
    ("forget for a new key", &[Hashed, Compared], |throttle| {
        format!("{:?}", throttle.forget(&NEW))
    }),
];

/// Every call of this kind that a verb makes panics once, with room and without, on a thread of either copy.
fn no_panic_is_felt(call: Call) {
    let _alone = alone();
    // Full, with the one place for what is shared; and far from it.
    for capacity in [Case::LEN + 1, 100] {
        for (name, calls, verb) in VERBS {
            let untouched = Case::new(capacity).story(verb);
            let panics = by_both_copies(|| {
                for nth in 1.. {
                    let case = Case::new(capacity);
                    let before = case.seen();
                    if with_fuse(call, nth, || verb(&case.throttle)).is_some() {
                        return nth - 1;
                    }
                    let at = format!("{name}, {call:?} number {nth}, room for {capacity}");
                    assert_eq!(case.seen(), before, "{at}");
                    assert_eq!(case.story(verb), untouched, "{at}");
                }
                unreachable!("a verb ends")
            });
            assert_eq!(panics[0], panics[1], "{name}");
            assert!(
                panics[0] > 0 || !calls.contains(&call),
                "{name} called no {call:?}"
            );
        }
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
fn a_handle_a_sum_and_a_sweep_call_nothing_of_a_key_s() {
    let _alone = alone();
    for call in [Call::Eq, Call::Hash, Call::Clone] {
        let Case {
            throttle,
            handle,
            clock,
        } = Case::new(100);
        let never = with_fuse(call, 1, || {
            drop((handle.check(), handle.pending(), handle.clone()));
            drop((throttle.totals(), format!("{throttle:?} {handle:?}")));
            clock.advance(W);
            // Each has its line, so that the next sweep finds them idle once they are forgotten.
            assert_eq!(throttle.sweep(|_, _, _| {}), 3);
            assert_eq!(throttle.drain(|_, _, _| {}), 0);
            drop(handle);
            clock.advance(W * 100);
            throttle.sweep(|_, _, _| {});
            throttle.len()
        });
        assert_eq!(never, Some(0), "{call:?}");
    }
}

#[test]
fn a_table_that_grows_or_shrinks_asks_none_of_the_keys_in_it_for_its_hash() {
    let _alone = alone();
    let throttle = Case::new(2_000).throttle;
    for key in (100..1_100).map(Touchy) {
        let line = with_fuse(Call::Hash, 2, || throttle.check(&key, 1));
        assert!(line.flatten().is_some(), "{key:?}");
    }
    assert_eq!(throttle.len(), Case::LEN + 1_000);
    for key in (100..1_100).map(Touchy) {
        let end = with_fuse(Call::Hash, 2, || throttle.forget(&key));
        assert!(end.flatten().is_some(), "{key:?}");
    }
    assert_eq!(throttle.len(), Case::LEN);
}
