//! What one decision costs, beside a plain map behind a mutex and beside governor alone.
//!
//! Each iteration is one decision, clock reading included (10 ns or so of each number). "suppressed" is the path a failing
//! loop takes; "permitted" is a key seen for the first time, key clone and eviction of the whole table included. The naive
//! map counts nothing, never forgets and locks everybody out; governor alone has one cell, no key and no count: it is the
//! limit. `foldhash` is the same throttle with a faster hasher.

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, measurement::WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use keyed_log_throttle::{DefaultHashBuilder, LogThrottle};

const WINDOW: Duration = Duration::from_secs(3600);
const CLASS: u16 = 3;

/// What people write by hand.
#[derive(Default)]
struct Naive(Mutex<HashMap<(String, u16), Instant>>);

impl Naive {
    fn check(&self, key: &str, class: u16) -> bool {
        let now = now();
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = map.entry((key.to_owned(), class)).or_insert(now);
        let passes = *last == now || now.duration_since(*last) >= WINDOW;
        if passes {
            *last = now;
        }
        passes
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench reads the real clock; so does the naive map"
)]
fn now() -> Instant {
    Instant::now()
}

fn direct() -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_hour(NonZeroU32::MIN))
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|key| format!("board-{key}")).collect()
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(format!("keyed_log_throttle/{name}"));
    group.throughput(Throughput::Elements(1));
    group
}

fn suppressed(c: &mut Criterion) {
    let mut group = group(c, "suppressed");
    let throttle = LogThrottle::<String>::new(WINDOW);
    let fast = LogThrottle::<String>::builder()
        .window(WINDOW)
        .hasher(DefaultHashBuilder::default())
        .build();
    let numbers = LogThrottle::<u64>::builder()
        .window(WINDOW)
        .hasher(DefaultHashBuilder::default())
        .build();
    let (handle, naive, direct) = (
        throttle.handle("board-7", CLASS),
        Naive::default(),
        direct(),
    );
    group.bench_function("key", |b| {
        b.iter(|| throttle.check(black_box("board-7"), CLASS))
    });
    group.bench_function("key, foldhash", |b| {
        b.iter(|| fast.check(black_box("board-7"), CLASS))
    });
    group.bench_function("u64 key, foldhash", |b| {
        b.iter(|| numbers.check(black_box(&7), CLASS))
    });
    group.bench_function("handle", |b| b.iter(|| black_box(&handle).check()));
    group.bench_function("naive map", |b| {
        b.iter(|| naive.check(black_box("board-7"), CLASS))
    });
    group.bench_function("governor alone", |b| {
        b.iter(|| black_box(&direct).check().is_ok())
    });
    group.finish();
}

fn many_keys(c: &mut Criterion) {
    let mut group = group(c, "suppressed, 10,000 keys");
    let throttle = LogThrottle::<String>::new(WINDOW);
    let fast = LogThrottle::<String>::builder()
        .window(WINDOW)
        .hasher(DefaultHashBuilder::default())
        .build();
    let (naive, keys) = (Naive::default(), keys(10_000));
    for key in &keys {
        let _ = (
            throttle.check(key.as_str(), CLASS),
            fast.check(key.as_str(), CLASS),
        );
        naive.check(key, CLASS);
    }
    let handles: Vec<_> = keys
        .iter()
        .map(|key| throttle.handle(key.as_str(), CLASS))
        .collect();
    // A stride that visits all keys and that no prefetcher guesses.
    let mut at = 0;
    let mut next = move || {
        at = (at + 7_919) % 10_000;
        at
    };
    group.bench_function("key", |b| {
        b.iter(|| throttle.check(keys[next()].as_str(), CLASS))
    });
    group.bench_function("key, foldhash", |b| {
        b.iter(|| fast.check(keys[next()].as_str(), CLASS))
    });
    group.bench_function("handle", |b| b.iter(|| handles[next()].check()));
    group.bench_function("naive map", |b| {
        b.iter(|| naive.check(&keys[next()], CLASS))
    });
    group.finish();
}

fn permitted(c: &mut Criterion) {
    const KEYS: usize = 1_000;
    let mut group = c.benchmark_group("keyed_log_throttle/permitted, new key");
    group.throughput(Throughput::Elements(KEYS as u64));
    let keys = keys(KEYS);
    let (one_by_one, size) = (keys.iter(), BatchSize::SmallInput);
    group.bench_function("key", |b| {
        let run = |throttle: LogThrottle<String>| {
            one_by_one
                .clone()
                .filter(|key| throttle.check(key.as_str(), CLASS).is_some())
                .count()
        };
        b.iter_batched(|| LogThrottle::new(WINDOW), run, size);
    });
    group.bench_function("naive map", |b| {
        let run = |naive: Naive| {
            one_by_one
                .clone()
                .filter(|key| naive.check(key, CLASS))
                .count()
        };
        b.iter_batched(Naive::default, run, size);
    });
    // A window of zero: the price of a permit for a key that is known.
    let open = LogThrottle::<String>::new(Duration::ZERO);
    group.throughput(Throughput::Elements(1));
    group.bench_function("known key", |b| {
        b.iter(|| open.check(black_box("board-7"), CLASS))
    });
    group.finish();
}

/// Two threads at once; the time is that of the slower one, for one decision of each.
fn two_threads(c: &mut Criterion) {
    let mut group = group(c, "suppressed, 2 threads");
    let throttle = Arc::new(LogThrottle::<String>::new(WINDOW));
    let (naive, handle) = (
        Arc::new(Naive::default()),
        throttle.handle("board-7", CLASS),
    );
    group.bench_function("one key", |b| {
        b.iter_custom(|n| race(n, |_| throttle.check("board-7", CLASS).is_some()));
    });
    group.bench_function("a key each", |b| {
        let keys = ["board-0", "board-1"];
        b.iter_custom(|n| race(n, |thread| throttle.check(keys[thread], CLASS).is_some()));
    });
    group.bench_function("one handle", |b| {
        b.iter_custom(|n| race(n, |_| handle.check().is_some()));
    });
    group.bench_function("naive map, one key", |b| {
        b.iter_custom(|n| race(n, |_| naive.check("board-7", CLASS)));
    });
    group.finish();
}

fn race(iterations: u64, decide: impl Fn(usize) -> bool + Sync) -> Duration {
    let start = Barrier::new(2);
    let run = |thread: usize| {
        start.wait();
        let begun = now();
        for _ in 0..iterations {
            black_box(decide(thread));
        }
        begun.elapsed()
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        run(0).max(other.join().unwrap_or_default())
    })
}

criterion_group!(benches, suppressed, many_keys, permitted, two_threads);
criterion_main!(benches);
