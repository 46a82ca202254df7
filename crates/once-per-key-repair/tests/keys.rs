//! What is asked of keys: clones, made keys, comparisons that panic; and how an outcome is written.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use once_per_key_repair::{Outcome, Rearmed, RepairGate, Turn};

#[test]
fn a_key_is_cloned_once_however_often_it_is_asked_for() {
    #[derive(PartialEq, Eq, Hash)]
    struct Counted(u8);
    static CLONES: AtomicUsize = AtomicUsize::new(0);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            CLONES.fetch_add(1, Relaxed);
            Self(self.0)
        }
    }

    let gate = RepairGate::new();
    assert_eq!(gate.outcome(&Counted(1)), None);
    assert_eq!(CLONES.load(Relaxed), 0);
    for _ in 0..10 {
        drop(gate.enter(&Counted(1)));
        let _ = gate.handle(&Counted(1));
        assert_eq!(gate.rearm(&Counted(1)), Rearmed::Ready(Outcome::Abandoned));
    }
    assert_eq!(CLONES.load(Relaxed), 1);
}

#[test]
fn a_key_that_is_made_into_another_one_takes_that_one_s_turn() {
    let gate = RepairGate::<String>::new();
    let made = Cell::new(0);
    let normal = |path: &str| {
        made.set(made.get() + 1);
        path.trim_start_matches("./").to_owned()
    };
    assert!(matches!(gate.enter_with("./a", normal), Turn::Yours(_)));
    assert!(matches!(gate.enter_with("././a", normal), Turn::Spent(_)));
    assert!(matches!(gate.enter_with("a", normal), Turn::Spent(_)));
    assert_eq!((made.get(), gate.len()), (2, 1));
}

#[test]
fn a_panic_in_a_key_s_comparison_poisons_nothing() {
    thread_local!(static FUSE: Cell<usize> = const { Cell::new(usize::MAX) });
    #[expect(
        clippy::derived_hash_with_manual_eq,
        reason = "it has one value, and so one hash"
    )]
    #[derive(Clone, Eq, Hash)]
    struct Touchy;
    impl PartialEq for Touchy {
        fn eq(&self, _other: &Self) -> bool {
            FUSE.set(FUSE.get() - 1);
            assert!(FUSE.get() > 0, "comparison");
            true
        }
    }

    let gate = RepairGate::<Touchy>::new();
    // A look-up by `()` misses, so that the comparison happens while the table is locked for writing.
    #[derive(Hash)]
    struct Other(u8);
    impl once_per_key_repair::Equivalent<Touchy> for Other {
        fn equivalent(&self, _key: &Touchy) -> bool {
            false
        }
    }
    drop(gate.enter(&Touchy));
    FUSE.set(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        drop(gate.enter_with(&Other(0), |_| Touchy))
    }));
    assert!(panicked.is_err());
    FUSE.set(usize::MAX);
    assert_eq!(gate.outcome(&Touchy), Some(Outcome::Abandoned));
    assert!(matches!(
        gate.enter_with(&Other(0), |_| Touchy),
        Turn::Spent(_)
    ));
    assert_eq!(gate.len(), 1);
}

#[cfg(feature = "serde")]
#[test]
fn an_outcome_is_written_as_its_word_and_read_back() {
    let all = [
        Outcome::Repaired,
        Outcome::Failed,
        Outcome::Panicked,
        Outcome::Abandoned,
        Outcome::Exhausted,
    ];
    for outcome in all {
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(json, format!("\"{outcome}\""));
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
    }
}

#[test]
fn a_hash_that_panics_costs_no_other_key_its_place() {
    thread_local!(static LEFT: Cell<u32> = const { Cell::new(u32::MAX) });
    #[derive(Clone, PartialEq, Eq)]
    struct Fuse(u32);
    impl std::hash::Hash for Fuse {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            LEFT.set(LEFT.get() - 1);
            assert!(LEFT.get() > 0, "the fuse");
            self.0.hash(state);
        }
    }

    /// Keys lie side by side in one table, so that places of those that went are free only once it is made anew.
    #[derive(Default)]
    struct Place(u64);
    impl std::hash::Hasher for Place {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, _: &[u8]) {}
        fn write_u32(&mut self, key: u32) {
            self.0 = key.into();
        }
    }

    let gate = RepairGate::with_hasher(std::hash::BuildHasherDefault::<Place>::default());
    (0..112).for_each(|key| drop(gate.enter(&Fuse(key))));
    gate.retain(|key| key.0 < 30);
    for key in 112..200 {
        let before = gate.len();
        LEFT.set(3);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(gate.enter(&Fuse(key)))));
        LEFT.set(u32::MAX);
        assert!(
            gate.len() >= before,
            "key {key}: {before} to {}",
            gate.len()
        );
    }
}
