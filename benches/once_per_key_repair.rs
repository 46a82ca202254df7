//! What it costs to be told "already attempted", and to be granted a turn.
//!
//! Each iteration is one question, and includes the choice of the next key from a list of 10,000 (a stride that visits
//! all of them) where the group says so. The limit by key is one probe of a table that nobody locks, with the same hasher
//! and key type; by handle, one atomic load. The peers remember that a key was done, each in the way it is meant to be used
//! (`papaya` is a table that is read without a lock); `singleflight` remembers nothing, so its question runs an empty repair.

use std::collections::HashSet;
use std::hash::RandomState;
use std::hint::black_box;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use dashmap::DashMap;
use once_map::OnceMap;
use once_per_key_repair::{Handle, RepairGate, Turn};

const KEYS: usize = 10_000;
/// Coprime with `KEYS`.
const STRIDE: usize = 7_919;

type Group<'c> = BenchmarkGroup<'c, WallTime>;

/// Everyone who is asked, about keys that are all done.
struct Spent {
    names: Vec<String>,
    table: hashbrown::HashMap<String, AtomicU16, RandomState>,
    gate: RepairGate<String>,
    handles: Vec<Handle<String>>,
    set: Mutex<HashSet<String>>,
    cells: DashMap<String, OnceLock<()>>,
    moka: moka::sync::Cache<String, ()>,
    once_map: OnceMap<String, ()>,
    papaya: papaya::HashMap<String, AtomicU16, RandomState>,
    flights: singleflight::Group<bool>,
}

impl Spent {
    fn new(keys: usize) -> Self {
        let names: Vec<String> = (0..keys).map(|n| format!("board-{n:05}")).collect();
        let each = || names.iter().cloned();
        let gate = RepairGate::new();
        let handles = each().map(|name| gate.handle(&name)).collect();
        for handle in &handles {
            if let Turn::Yours(permit) = Handle::enter(handle) {
                let _ = permit.run(|_token| Ok::<(), ()>(()));
            }
        }
        let once_map = OnceMap::new();
        let moka = moka::sync::Cache::new(1 << 20);
        for name in each() {
            once_map.map_insert(name.clone(), |_| (), |_, ()| ());
            moka.insert(name, ());
        }
        moka.run_pending_tasks();
        Self {
            table: each().map(|name| (name, AtomicU16::new(1))).collect(),
            gate,
            handles,
            set: Mutex::new(each().collect()),
            cells: each().map(|name| (name, OnceLock::from(()))).collect(),
            moka,
            once_map,
            papaya: each().map(|name| (name, AtomicU16::new(1))).collect(),
            flights: singleflight::Group::new(),
            names,
        }
    }

    fn probe(&self, at: usize) -> bool {
        self.table.get(self.names[at].as_str()).is_some_and(is_done)
    }

    fn by_key(&self, at: usize) -> bool {
        is_spent(self.gate.enter(self.names[at].as_str()))
    }

    fn by_handle(&self, at: usize) -> bool {
        is_spent(self.handles[at].enter())
    }

    fn mutex(&self, at: usize) -> bool {
        self.set
            .lock()
            .is_ok_and(|set| set.contains(self.names[at].as_str()))
    }

    fn dashmap(&self, at: usize) -> bool {
        self.cells
            .get(self.names[at].as_str())
            .is_some_and(|cell| cell.get().is_some())
    }

    fn moka(&self, at: usize) -> bool {
        self.moka.get_with_by_ref(self.names[at].as_str(), || ());
        true
    }

    fn moka_get(&self, at: usize) -> bool {
        self.moka.get(self.names[at].as_str()).is_some()
    }

    fn once_map(&self, at: usize) -> bool {
        self.once_map.contains_key(self.names[at].as_str())
    }

    fn papaya(&self, at: usize) -> bool {
        let table = self.papaya.pin();
        table.get(self.names[at].as_str()).is_some_and(is_done)
    }

    fn singleflight(&self, at: usize) -> bool {
        self.flights.work(&self.names[at], || true)
    }
}

fn is_done(state: &AtomicU16) -> bool {
    state.load(Ordering::Acquire) != 0
}

/// What a caller does with the answer. A black box around the whole `Turn` would measure the moving of it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "dropping the answer is part of the cost"
)]
fn is_spent<K>(turn: Turn<'_, K>) -> bool {
    matches!(turn, Turn::Spent(_))
}

// ===== the groups =====

fn one_hot_key(c: &mut Criterion) {
    let spent = Spent::new(1);
    let group = &mut group(c, "once_per_key_repair/spent, one key");
    one(group, "limit: one probe, no lock", |at| spent.probe(at));
    one(group, "by key", |at| spent.by_key(at));
    one(group, "peer: Mutex<HashSet<String>>", |at| spent.mutex(at));
    one(group, "peer: DashMap<String, OnceLock>", |at| {
        spent.dashmap(at)
    });
    one(group, "peer: moka get_with_by_ref", |at| spent.moka(at));
    one(group, "peer: once_map", |at| spent.once_map(at));
    one(group, "peer: papaya", |at| spent.papaya(at));
    one(group, "peer: singleflight, no-op", |at| {
        spent.singleflight(at)
    });
}

fn many_keys(c: &mut Criterion) {
    let spent = Spent::new(KEYS);
    let group = &mut group(c, "once_per_key_repair/spent, 10,000 keys");
    many(group, "limit: one probe, no lock", |at| spent.probe(at));
    many(group, "by key", |at| spent.by_key(at));
    many(group, "peer: Mutex<HashSet<String>>", |at| spent.mutex(at));
    many(group, "peer: DashMap<String, OnceLock>", |at| {
        spent.dashmap(at)
    });
    many(group, "peer: moka get_with_by_ref", |at| spent.moka(at));
    many(group, "peer: moka get", |at| spent.moka_get(at));
    many(group, "peer: once_map", |at| spent.once_map(at));
    many(group, "peer: papaya", |at| spent.papaya(at));
    many(group, "peer: singleflight, no-op", |at| {
        spent.singleflight(at)
    });
}

/// Keys of two parts: of which board, and what is missing there.
fn keys_of_two(c: &mut Criterion) {
    type Pair = (String, String);
    let pair = |n: usize| (format!("board-{n:05}"), format!("column tasks.{}", n % 40));
    let pairs: Vec<Pair> = (0..KEYS).map(pair).collect();
    let table: hashbrown::HashMap<Pair, AtomicU16, RandomState> = pairs
        .iter()
        .map(|pair| (pair.clone(), AtomicU16::new(1)))
        .collect();
    let gate = RepairGate::<Pair>::new();
    for pair in &pairs {
        if let Turn::Yours(permit) = gate.enter(pair) {
            let _ = permit.run(|_token| Ok::<(), ()>(()));
        }
    }
    let set: Mutex<HashSet<Pair>> = Mutex::new(pairs.iter().cloned().collect());
    let cells: DashMap<Pair, OnceLock<()>> = pairs
        .iter()
        .map(|pair| (pair.clone(), OnceLock::from(())))
        .collect();
    let group = &mut group(c, "once_per_key_repair/spent, 10,000 keys of two strings");
    many(group, "limit: one probe, no lock", |at| {
        table.get(&pairs[at]).is_some_and(is_done)
    });
    many(group, "by key", |at| is_spent(gate.enter(&pairs[at])));
    many(group, "peer: Mutex<HashSet<(String, String)>>", |at| {
        set.lock().is_ok_and(|set| set.contains(&pairs[at]))
    });
    many(group, "peer: DashMap<(String, String), OnceLock>", |at| {
        cells.get(&pairs[at]).is_some_and(|it| it.get().is_some())
    });
}

fn handles(c: &mut Criterion) {
    let spent = Spent::new(KEYS);
    let states: Vec<AtomicU16> = (0..KEYS).map(|_| AtomicU16::new(1)).collect();
    {
        let group = &mut group(c, "once_per_key_repair/spent, one handle");
        one(group, "limit: one load", |at| is_done(&states[at]));
        one(group, "by handle", |at| spent.by_handle(at));
    }
    // Each with its own allocation, as handles have.
    let states: Vec<Box<(String, AtomicU16)>> = spent
        .names
        .iter()
        .map(|name| Box::new((name.clone(), AtomicU16::new(1))))
        .collect();
    let group = &mut group(c, "once_per_key_repair/spent, 10,000 handles");
    many(group, "limit: one load", |at| is_done(&states[at].1));
    many(group, "by handle", |at| spent.by_handle(at));
}

/// Keys that nobody has brought yet.
fn unknown_keys(c: &mut Criterion) {
    let spent = Spent::new(KEYS);
    let others: Vec<String> = (0..KEYS).map(|n| format!("other-{n:05}")).collect();
    let group = &mut group(c, "once_per_key_repair/unknown, 10,000 keys");
    many(group, "limit: one probe, no lock", |at| {
        spent.table.contains_key(others[at].as_str())
    });
    many(group, "by key", |at| {
        spent.gate.outcome(others[at].as_str()).is_some()
    });
}

/// The first sight of a key in an empty map: clone, slot, permit, and the permit's end.
fn first_grant(c: &mut Criterion) {
    fn first<T>(group: &mut Group<'_>, id: &str, make: fn() -> T, claim: fn(&mut T) -> bool) {
        group.bench_function(id, |b| {
            b.iter_batched_ref(make, claim, BatchSize::SmallInput)
        });
    }
    let group = &mut group(c, "once_per_key_repair/first grant");
    first(
        group,
        "limit: HashSet::insert, no lock",
        HashSet::new,
        |set| set.insert(black_box("board-a").to_owned()),
    );
    first(group, "by key", RepairGate::<String>::new, |gate| {
        is_spent(gate.enter(black_box("board-a")))
    });
    group.bench_function("by handle, re-armed", |b| {
        let handle = RepairGate::<u32>::new().handle(&1);
        b.iter(|| {
            drop(handle.enter());
            handle.rearm()
        });
    });
    first(
        group,
        "peer: Mutex<HashSet<String>>",
        Mutex::<HashSet<String>>::default,
        |set| {
            // As the others have it: shared.
            let set = &*set;
            set.lock()
                .is_ok_and(|mut set| set.insert(black_box("board-a").to_owned()))
        },
    );
    first(
        group,
        "peer: DashMap<String, OnceLock>",
        DashMap::<String, OnceLock<()>>::new,
        |cells| {
            let cell = cells.entry(black_box("board-a").to_owned()).or_default();
            cell.set(()).is_ok()
        },
    );
    first(group, "peer: once_map", OnceMap::<String, ()>::new, |map| {
        map.map_insert(black_box("board-a").to_owned(), |_| (), |_, ()| true)
    });
}

/// Two threads ask at once for one key; the time is that of one question on one thread.
fn one_hot_key_two_threads(c: &mut Criterion) {
    let spent = Spent::new(1);
    let group = &mut group(c, "once_per_key_repair/spent, one key, 2 threads");
    both(group, "limit: one probe, no lock", |_| {
        spent.probe(black_box(0))
    });
    both(group, "by key", |_| spent.by_key(black_box(0)));
    both(group, "peer: Mutex<HashSet<String>>", |_| {
        spent.mutex(black_box(0))
    });
    both(group, "peer: DashMap<String, OnceLock>", |_| {
        spent.dashmap(black_box(0))
    });
    both(group, "peer: once_map", |_| spent.once_map(black_box(0)));
    both(group, "peer: papaya", |_| spent.papaya(black_box(0)));
}

/// As before, each for all keys.
fn many_keys_two_threads(c: &mut Criterion) {
    let spent = Spent::new(KEYS);
    let group = &mut group(c, "once_per_key_repair/spent, 10,000 keys, 2 threads");
    both(group, "limit: one probe, no lock", |at| spent.probe(at));
    both(group, "by key", |at| spent.by_key(at));
    both(group, "by handle", |at| spent.by_handle(at));
    both(group, "peer: Mutex<HashSet<String>>", |at| spent.mutex(at));
    both(group, "peer: DashMap<String, OnceLock>", |at| {
        spent.dashmap(at)
    });
    both(group, "peer: moka get_with_by_ref", |at| spent.moka(at));
    both(group, "peer: once_map", |at| spent.once_map(at));
    both(group, "peer: papaya", |at| spent.papaya(at));
    both(group, "peer: singleflight, no-op", |at| {
        spent.singleflight(at)
    });
}

// ===== how they are asked =====

fn one(group: &mut Group<'_>, id: &str, ask: impl Fn(usize) -> bool) {
    group.bench_function(id, |b| b.iter(|| ask(black_box(0))));
}

fn many(group: &mut Group<'_>, id: &str, ask: impl Fn(usize) -> bool) {
    group.bench_function(id, |b| {
        let mut at = Walk(0);
        b.iter(|| ask(at.next()));
    });
}

fn both(group: &mut Group<'_>, id: &str, ask: impl Fn(usize) -> bool + Sync) {
    group.bench_function(id, |b| b.iter_custom(|n| beside_each_other(n, &ask)));
}

fn beside_each_other(questions: u64, ask: impl Fn(usize) -> bool + Sync) -> Duration {
    let start = Barrier::new(2);
    let work = |from: usize| {
        let mut at = Walk(from);
        start.wait();
        let begin = WallTime.start();
        for _ in 0..questions {
            black_box(ask(at.next()));
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

fn group<'c>(c: &'c mut Criterion, name: &str) -> Group<'c> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    // The analysis takes longer than the measurement otherwise.
    group.nresamples(2_000);
    group
}

criterion_group!(
    benches,
    one_hot_key,
    many_keys,
    keys_of_two,
    handles,
    unknown_keys,
    first_grant,
    one_hot_key_two_threads,
    many_keys_two_threads
);
criterion_main!(benches);
