//! What it costs to be told "already attempted", and to be granted a turn.
//!
//! Each iteration is one question, and includes the choice of the next key from a list of 10,000 (a stride that visits
//! all of them) where the group says so. Beside the gate stand the plain ways: a set of strings under a mutex, and a
//! `OnceLock`, which has no key at all and is the floor.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::{Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use once_per_key_repair::{Handle, RepairGate, Turn};

const KEYS: usize = 10_000;
/// Coprime with `KEYS`.
const STRIDE: usize = 7_919;

fn names() -> Vec<String> {
    (0..KEYS).map(|n| format!("board-{n:05}")).collect()
}

fn spent(names: &[String]) -> (RepairGate<String>, Vec<Handle<String>>) {
    let gate = RepairGate::new();
    let handles = names
        .iter()
        .map(|name| gate.handle(name.as_str()))
        .collect();
    for name in names {
        if let Turn::Yours(permit) = gate.enter(name.as_str()) {
            let _ = permit.run(|_token| Ok::<(), ()>(()));
        }
    }
    (gate, handles)
}

/// What a caller does with the answer. A black box around the whole `Turn` would measure the moving of it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "dropping the answer is part of the cost"
)]
fn is_spent<K>(turn: Turn<'_, K>) -> bool {
    matches!(turn, Turn::Spent(_))
}

fn set(names: &[String]) -> Mutex<HashSet<String>> {
    Mutex::new(names.iter().cloned().collect())
}

fn insert(set: &Mutex<HashSet<String>>, name: &str) -> bool {
    set.lock().is_ok_and(|mut set| set.insert(name.to_owned()))
}

fn is_in(set: &Mutex<HashSet<String>>, name: &str) -> bool {
    set.lock().is_ok_and(|set| set.contains(name))
}

fn one_hot_key(c: &mut Criterion) {
    let mut group = group(c, "once_per_key_repair/spent, one key");
    let names = vec!["board-a".to_owned()];
    let (gate, handles) = spent(&names);
    let set = set(&names);
    let cell = OnceLock::from(());
    group.bench_function("by key", |b| {
        b.iter(|| is_spent(gate.enter(black_box("board-a"))))
    });
    group.bench_function("by key, outcome only", |b| {
        b.iter(|| gate.outcome(black_box("board-a")))
    });
    group.bench_function("by handle", |b| {
        b.iter(|| is_spent(black_box(&handles[0]).enter()))
    });
    group.bench_function("Mutex<HashSet<String>>", |b| {
        b.iter(|| is_in(&set, black_box("board-a")))
    });
    group.bench_function("OnceLock", |b| b.iter(|| black_box(&cell).get()));
    group.finish();
}

fn many_keys(c: &mut Criterion) {
    let mut group = group(c, "once_per_key_repair/spent, 10,000 keys");
    let names = names();
    let (gate, handles) = spent(&names);
    let set = set(&names);
    group.bench_function("by key", |b| {
        let mut at = Walk(0);
        b.iter(|| is_spent(gate.enter(names[at.next()].as_str())));
    });
    group.bench_function("by handle", |b| {
        let mut at = Walk(0);
        b.iter(|| is_spent(handles[at.next()].enter()));
    });
    group.bench_function("Mutex<HashSet<String>>", |b| {
        let mut at = Walk(0);
        b.iter(|| is_in(&set, &names[at.next()]));
    });
    group.finish();
}

/// The first sight of a key: clone, slot, permit, and the permit's end.
fn first_grant(c: &mut Criterion) {
    let mut group = group(c, "once_per_key_repair/first grant");
    group.bench_function("by key", |b| {
        let grant = |gate: &RepairGate<String>| drop(gate.enter(black_box("board-a")));
        b.iter_batched_ref(
            RepairGate::<String>::new,
            |gate| grant(gate),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("Mutex<HashSet<String>>", |b| {
        b.iter_batched_ref(
            Mutex::<HashSet<String>>::default,
            |set| insert(set, black_box("board-a")),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("by handle, re-armed", |b| {
        let handle = RepairGate::<u32>::new().handle(&1);
        b.iter(|| {
            drop(handle.enter());
            handle.rearm()
        });
    });
    group.finish();
}

/// Two threads ask at once, each for all keys; the time is that of one question on one thread.
fn two_threads(c: &mut Criterion) {
    let mut group = group(c, "once_per_key_repair/spent, 10,000 keys, 2 threads");
    let names = names();
    let (gate, handles) = spent(&names);
    let set = set(&names);
    group.bench_function("by key", |b| {
        b.iter_custom(|n| {
            beside_each_other(n, |at| {
                black_box(is_spent(gate.enter(names[at].as_str())));
            })
        });
    });
    group.bench_function("by handle", |b| {
        b.iter_custom(|n| {
            beside_each_other(n, |at| {
                black_box(is_spent(handles[at].enter()));
            })
        });
    });
    group.bench_function("Mutex<HashSet<String>>", |b| {
        b.iter_custom(|n| {
            beside_each_other(n, |at| {
                black_box(is_in(&set, &names[at]));
            })
        });
    });
    group.finish();
}

fn beside_each_other(questions: u64, ask: impl Fn(usize) + Sync) -> Duration {
    let start = Barrier::new(2);
    let work = |from: usize| {
        let mut at = Walk(from);
        start.wait();
        let begin = WallTime.start();
        for _ in 0..questions {
            ask(at.next());
        }
        WallTime.end(begin)
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| work(KEYS / 2));
        let mine = work(0);
        other.join().map_or(mine, |other| mine.max(other))
    })
}

struct Walk(usize);

impl Walk {
    fn next(&mut self) -> usize {
        self.0 = (self.0 + STRIDE) % KEYS;
        self.0
    }
}

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group
}

criterion_group!(benches, one_hot_key, many_keys, first_grant, two_threads);
criterion_main!(benches);
