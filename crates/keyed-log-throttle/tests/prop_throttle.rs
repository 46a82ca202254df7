//! Proves the laws over random histories, against a model of a dozen lines: conservation (nothing held back is ever
//! uncounted), spacing (two lines of one key and class are at least a window apart) and the bound on entries.

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{Handle, Line, Recovery};
use proptest::prelude::*;
use support::{Throttle, W};

#[derive(Clone, Copy, Debug)]
enum Op {
    Check(u8, u16),
    ByHandle(u8, u16),
    DropHandles,
    Advance(u32),
    Sweep,
    Drain,
    /// A drain whose callback panics at the first count.
    Broken,
    Recovered(u8),
    Forget(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let (key, class) = (0..5_u8, 0..3_u16);
    prop_oneof![
        8 => (key.clone(), class.clone()).prop_map(|(key, class)| Op::Check(key, class)),
        3 => (key.clone(), class).prop_map(|(key, class)| Op::ByHandle(key, class)),
        1 => Just(Op::DropHandles),
        4 => prop_oneof![0..5_000_u32, 55_000..65_000_u32, Just(60_000), Just(30_000)]
            .prop_map(Op::Advance),
        2 => Just(Op::Sweep),
        1 => Just(Op::Drain),
        1 => Just(Op::Broken),
        1 => key.clone().prop_map(Op::Recovered),
        1 => key.prop_map(Op::Forget),
    ]
}

/// What a window should say, written as plainly as it can be.
#[derive(Default)]
struct Model {
    now: Duration,
    /// (key, class) -> when the next line may be written, and what is held back.
    cells: BTreeMap<(String, u16), (Duration, u64)>,
    observed: u64,
    permitted: u64,
    reported: u64,
}

impl Model {
    fn check(&mut self, key: &str, class: u16) -> Option<u64> {
        self.observed += 1;
        let (next, held) = self.cells.entry((key.to_owned(), class)).or_default();
        if self.now < *next {
            *held += 1;
            return None;
        }
        *next = self.now + W;
        self.permitted += 1;
        self.reported += *held;
        Some(std::mem::take(held))
    }

    fn sweep(&mut self) -> Vec<(String, u16, u64)> {
        let mut said = Vec::new();
        for ((key, class), (next, held)) in &mut self.cells {
            if *held > 0 && *next <= self.now {
                *next = self.now + W;
                self.reported += *held;
                said.push((key.clone(), *class, std::mem::take(held)));
            }
        }
        said
    }

    /// Takes what is held back for `key`, or for all.
    fn take(&mut self, of: Option<&str>) -> u64 {
        let picked = self
            .cells
            .iter_mut()
            .filter(|((key, _), _)| of.is_none_or(|of| of == key));
        let taken = picked.map(|(_, (_, held))| std::mem::take(held)).sum();
        self.reported += taken;
        taken
    }
}

/// The throttle, its clock, and what the caller was told.
struct World {
    throttle: Throttle,
    clock: FakeRelativeClock,
    handles: BTreeMap<(u8, u16), Handle<String, FakeRelativeClock>>,
    observed: u64,
    permitted: u64,
    reported: u64,
}

impl World {
    fn new(capacity: usize) -> Self {
        Self::with_windows(capacity, &[])
    }

    fn with_windows(capacity: usize, windows: &[(u16, Duration)]) -> Self {
        let (builder, clock) = support::builder();
        let builder = builder.capacity(capacity).remember(W / 2);
        let throttle = windows
            .iter()
            .fold(builder, |builder, (class, window)| {
                builder.class_window(*class, *window)
            })
            .build();
        let handles = BTreeMap::new();
        Self {
            throttle,
            clock,
            handles,
            observed: 0,
            permitted: 0,
            reported: 0,
        }
    }

    fn check(&mut self, key: u8, class: u16, by_handle: bool) -> Option<Line> {
        let name = name(key);
        let line = if by_handle {
            let made = || self.throttle.handle(&name, class);
            self.handles
                .entry((key, class))
                .or_insert_with(made)
                .check()
        } else {
            self.throttle.check(&name, class)
        };
        self.observed += 1;
        self.permitted += u64::from(line.is_some());
        self.reported += line.map_or(0, |line| line.suppressed);
        line
    }

    fn sweep(&mut self) -> Vec<(String, u16, u64)> {
        let mut said = support::sweep(&self.throttle);
        said.sort();
        self.reported += said.iter().map(|(_, _, count)| count).sum::<u64>();
        said
    }

    fn drain(&mut self) -> u64 {
        let mut taken = 0;
        self.throttle
            .drain(|_, _, pending| taken += pending.suppressed);
        self.reported += taken;
        taken
    }

    /// The count of a callback that panics is not told, and stays.
    fn broken_drain(&self) {
        // Unwinds without a message on the terminal.
        let callback = || {
            self.throttle
                .drain(|_, _, _| resume_unwind(Box::new("the sink is broken")))
        };
        let before = self.throttle.totals();
        assert_eq!(
            catch_unwind(AssertUnwindSafe(callback)).is_err(),
            before.pending > 0
        );
        assert_eq!(self.throttle.totals(), before);
    }

    fn ended(&mut self, end: Option<Recovery>) -> u64 {
        let taken = end.map_or(0, |end| end.suppressed);
        self.reported += taken;
        taken
    }

    /// The throttle's own sums are those of the caller's notebook, and they add up.
    fn conserved(&self) -> Result<(), TestCaseError> {
        let totals = self.throttle.totals();
        prop_assert_eq!(totals.observed, self.observed);
        prop_assert_eq!(totals.permitted, self.permitted);
        prop_assert_eq!(totals.reported, self.reported);
        prop_assert_eq!(
            totals.pending,
            self.observed - self.permitted - self.reported
        );
        Ok(())
    }
}

fn name(key: u8) -> String {
    format!("board-{key}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn with_room_every_answer_is_the_model_s(ops in prop::collection::vec(op(), 1..150)) {
        let (mut world, mut model) = (World::new(1_000), Model::default());
        for op in ops {
            match op {
                Op::Check(key, class) | Op::ByHandle(key, class) => {
                    let by_handle = matches!(op, Op::ByHandle(..));
                    let line = world.check(key, class, by_handle);
                    prop_assert_eq!(line.map(|line| line.suppressed), model.check(&name(key), class));
                    prop_assert_eq!(line.map_or(0, |line| line.folded_keys), 0);
                }
                Op::DropHandles => world.handles.clear(),
                Op::Advance(ms) => {
                    let by = Duration::from_millis(ms.into());
                    world.clock.advance(by);
                    model.now += by;
                }
                Op::Sweep => prop_assert_eq!(world.sweep(), model.sweep()),
                Op::Drain => prop_assert_eq!(world.drain(), model.take(None)),
                Op::Broken => world.broken_drain(),
                Op::Recovered(key) => {
                    let end = world.throttle.recovered(&name(key));
                    if end.is_some() {
                        prop_assert_eq!(world.ended(end), model.take(Some(&name(key))));
                    }
                    prop_assert!(world.throttle.recovered(&name(key)).is_none());
                }
                Op::Forget(key) => {
                    let end = world.throttle.forget(&name(key));
                    prop_assert_eq!(world.ended(end), model.take(Some(&name(key))));
                    model.cells.retain(|(of, _), _| *of != name(key));
                }
            }
            world.conserved()?;
        }
        prop_assert_eq!(
            (model.observed, model.permitted, model.reported),
            (world.observed, world.permitted, world.reported)
        );
    }

    #[test]
    fn without_room_the_bound_holds_and_no_count_is_lost(
        capacity in 0..20_usize,
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut world = World::new(capacity);
        for op in ops {
            match op {
                Op::Check(key, class) => drop(world.check(key, class, false)),
                Op::ByHandle(key, class) => drop(world.check(key, class, true)),
                Op::DropHandles => world.handles.clear(),
                Op::Advance(ms) => world.clock.advance(Duration::from_millis(ms.into())),
                Op::Sweep => drop(world.sweep()),
                Op::Drain => drop(world.drain()),
                Op::Broken => world.broken_drain(),
                Op::Recovered(key) => {
                    let end = world.throttle.recovered(&name(key));
                    world.ended(end);
                }
                Op::Forget(key) => {
                    let end = world.throttle.forget(&name(key));
                    world.ended(end);
                }
            }
            prop_assert!(world.throttle.len() <= capacity.max(1));
            world.conserved()?;
        }
        let pending = world.throttle.totals().pending;
        prop_assert_eq!(world.drain(), pending);
        world.conserved()?;
    }

    #[test]
    fn two_lines_of_a_key_and_class_are_a_window_apart(
        capacity in prop_oneof![0..20_usize, Just(1_000)],
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let windows = [(1, W / 2), (2, 3 * W)];
        let mut world = World::with_windows(capacity, &windows);
        let mut now = Duration::ZERO;
        let mut told: BTreeMap<(String, u16), Duration> = BTreeMap::new();
        for op in ops {
            let mut lines = Vec::new();
            match op {
                Op::Check(key, class) | Op::ByHandle(key, class) => {
                    let line = world.check(key, class, matches!(op, Op::ByHandle(..)));
                    lines.extend(line.map(|_| (name(key), class)));
                }
                Op::DropHandles => world.handles.clear(),
                Op::Advance(ms) => {
                    let by = Duration::from_millis(ms.into());
                    world.clock.advance(by);
                    now += by;
                }
                Op::Sweep => drop(world.throttle.sweep(|key, class, pending| {
                    // A summary of many keys is no line of the one whose name it bears.
                    if pending.folded_keys == 0 {
                        lines.push((key.clone(), class.get()));
                    }
                })),
                Op::Drain => drop(world.drain()),
                // It would take away how many keys a summary is of, and that is how one is known here.
                Op::Broken => {}
                Op::Recovered(key) => drop(world.throttle.recovered(&name(key))),
                Op::Forget(key) => {
                    drop(world.throttle.forget(&name(key)));
                    // From now on it is another thing.
                    told.retain(|(of, _), _| *of != name(key));
                }
            }
            for line in lines {
                let window = world.throttle.window(line.1);
                let last = told.insert(line, now);
                prop_assert!(last.is_none_or(|last| now - last >= window), "{:?} after {:?}", now, last);
            }
        }
    }
}
