//! What one decision costs: held back or permitted, by key or by handle, alone and end to end through `tracing`.
//!
//! Each iteration is one decision about one line, yes or no. "Held back" is the path of a failing loop. The limit is a slot that the
//! caller holds: one load against a clock that is set once per round, and one counter; no key, no windows, no report. One thread
//! counts by a load and a store, two by a locked addition.
//! Ours looks at the kernel's last timer tick on each check (some 2 ns) unless it says "tick clock". The peers: governor without a key,
//! governor keyed by its hash map, a mutex around a map as people write it (it counts nothing and never forgets), and
//! tracing-throttle's layer. "Event" is a whole `tracing::error!` with two fields and a message, denied, below a registry
//! that is the scoped default; the limit there asks the slot before tracing hears of anything, and for a layer it is the
//! event that no layer looks at, or one of which a layer looks at the fields alone.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use governor::{Quota, RateLimiter};
use keyed_log_throttle::{
    Handle, HostClock, LineThrottle, LogThrottle, ThrottleLayer, TickClock, throttled,
};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber, dispatcher};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_throttle::{Policy, TracingRateLimitLayer};

const WINDOW: Duration = Duration::from_secs(3600);
const CLASS: u16 = 3;
const MANY: usize = 10_000;

/// The least: a slot's own window and count, against a clock in an atomic.
#[derive(Debug)]
struct Limit {
    until: AtomicU64,
    held_back: AtomicU64,
}

impl Limit {
    const fn new() -> Self {
        Self {
            until: AtomicU64::new(u64::MAX),
            held_back: AtomicU64::new(0),
        }
    }

    /// Asked by one thread.
    #[inline]
    fn passes(&self, now: &AtomicU64) -> bool {
        self.is_over(now) || {
            let held_back = self.held_back.load(Ordering::Relaxed);
            self.held_back.store(held_back + 1, Ordering::Relaxed);
            false
        }
    }

    /// Asked by any.
    #[inline]
    fn passes_any(&self, now: &AtomicU64) -> bool {
        self.is_over(now) || {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            false
        }
    }

    #[inline]
    fn is_over(&self, now: &AtomicU64) -> bool {
        now.load(Ordering::Relaxed) >= self.until.load(Ordering::Acquire)
    }
}

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

fn quota() -> Quota {
    Quota::per_hour(NonZeroU32::MIN)
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|key| format!("board-{key}")).collect()
}

/// A stride that visits all keys and that no prefetcher guesses.
fn stride(count: usize) -> impl FnMut() -> usize {
    let mut at = 0;
    move || {
        at = (at + 7_919) % count;
        at
    }
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(format!("keyed_log_throttle/{name}"));
    group.throughput(Throughput::Elements(1));
    group
}

fn ticking() -> (LogThrottle<String, TickClock>, TickClock) {
    let clock = TickClock::new();
    clock.tick();
    (
        LogThrottle::builder()
            .window(WINDOW)
            .clock(clock.clone())
            .build(),
        clock,
    )
}

fn with_std_hasher() -> LogThrottle<String, HostClock, RandomState> {
    LogThrottle::builder()
        .window(WINDOW)
        .hasher(RandomState::new())
        .build()
}

fn held_back(c: &mut Criterion) {
    decisions(group(c, "held back, 1 key"), &keys(1));
    decisions(group(c, "held back, 10,000 keys"), &keys(MANY));
}

fn decisions(mut group: BenchmarkGroup<'_, WallTime>, keys: &[String]) {
    let plain = LogThrottle::<String>::new(WINDOW);
    let (std_hasher, (ticking, _clock)) = (with_std_hasher(), ticking());
    let (naive, clock) = (Naive::default(), AtomicU64::new(1));
    let (direct, keyed) = (RateLimiter::direct(quota()), RateLimiter::hashmap(quota()));
    for key in keys {
        let _ = (
            plain.check(key.as_str(), CLASS),
            std_hasher.check(key.as_str(), CLASS),
        );
        let _ = (
            keyed.check_key(key),
            naive.check(key, CLASS),
            direct.check(),
        );
    }
    let slots: Vec<_> = keys.iter().map(|_| Box::new(Limit::new())).collect();
    let handles: Vec<_> = keys
        .iter()
        .map(|key| plain.handle(key.as_str(), CLASS))
        .collect();
    let ticked: Vec<_> = keys
        .iter()
        .map(|key| ticking.handle(key.as_str(), CLASS))
        .collect();
    for handle in &ticked {
        let _ = handle.check();
    }

    let mut next = stride(keys.len());
    group.bench_function("limit: slot, tick clock", |b| {
        b.iter(|| slots[next()].passes(black_box(&clock)))
    });
    group.bench_function("handle, tick clock", |b| {
        b.iter(|| ticked[next()].check().is_some())
    });
    group.bench_function("handle", |b| b.iter(|| handles[next()].check().is_some()));
    group.bench_function("key", |b| {
        b.iter(|| plain.check(keys[next()].as_str(), CLASS).is_some())
    });
    group.bench_function("key, tick clock", |b| {
        b.iter(|| ticking.check(keys[next()].as_str(), CLASS).is_some())
    });
    group.bench_function("key, std hasher", |b| {
        b.iter(|| std_hasher.check(keys[next()].as_str(), CLASS).is_some())
    });
    group.bench_function("peer: governor, no key", |b| {
        b.iter(|| black_box(&direct).check().is_ok())
    });
    group.bench_function("peer: governor, hash map", |b| {
        b.iter(|| keyed.check_key(&keys[next()]).is_ok())
    });
    group.bench_function("peer: mutex and map", |b| {
        b.iter(|| naive.check(&keys[next()], CLASS))
    });
    group.finish();
}

fn permitted(c: &mut Criterion) {
    const KEYS: usize = 1_000;
    let mut group = c.benchmark_group("keyed_log_throttle/permitted, new key");
    group.throughput(Throughput::Elements(KEYS as u64));
    let (keys, size) = (keys(KEYS), BatchSize::SmallInput);
    group.bench_function("limit: insert the key", |b| {
        let run = |mut map: HashMap<String, u64>| {
            keys.iter()
                .filter(|key| map.insert((*key).clone(), 0).is_none())
                .count()
        };
        b.iter_batched(HashMap::new, run, size);
    });
    group.bench_function("key", |b| {
        let run = |throttle: LogThrottle<String>| {
            keys.iter()
                .filter(|key| throttle.check(key.as_str(), CLASS).is_some())
                .count()
        };
        b.iter_batched(|| LogThrottle::new(WINDOW), run, size);
    });
    group.bench_function("peer: mutex and map", |b| {
        let run = |naive: Naive| keys.iter().filter(|key| naive.check(key, CLASS)).count();
        b.iter_batched(Naive::default, run, size);
    });
    group.finish();
}

/// Two threads at once; the time is that of the slower one, for one decision of each.
fn two_threads(c: &mut Criterion) {
    let mut group = group(c, "held back, 2 threads");
    let (throttle, naive) = (LogThrottle::<String>::new(WINDOW), Naive::default());
    let (handle, direct) = (
        throttle.handle("board-7", CLASS),
        RateLimiter::direct(quota()),
    );
    let (slot, clock, keys) = (Limit::new(), AtomicU64::new(1), ["board-0", "board-1"]);
    let mut bench = |name: &str, decide: &(dyn Fn(usize) -> bool + Sync)| {
        group.bench_function(name, |b| {
            b.iter_custom(|n| race(n, &Dispatch::none(), decide))
        });
    };
    bench("limit: slot, tick clock", &|_| slot.passes_any(&clock));
    bench("one handle", &|_| handle.check().is_some());
    bench("one key", &|_| throttle.check("board-7", CLASS).is_some());
    bench("a key each", &|thread| {
        throttle.check(keys[thread], CLASS).is_some()
    });
    bench("peer: governor, no key", &|_| direct.check().is_ok());
    bench("peer: mutex and map", &|_| naive.check("board-7", CLASS));
    group.finish();
}

fn race(iterations: u64, below: &Dispatch, decide: &(dyn Fn(usize) -> bool + Sync)) -> Duration {
    let start = Barrier::new(2);
    let run = |thread: usize| {
        dispatcher::with_default(below, || {
            start.wait();
            let begun = now();
            for _ in 0..iterations {
                black_box(decide(thread));
            }
            begun.elapsed()
        })
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        run(0).max(other.join().unwrap_or_default())
    })
}

/// Hears of events and does nothing.
struct Sink;

impl<S: Subscriber> Layer<S> for Sink {}

/// Looks at the fields, as whoever makes a key of them must, and does nothing with them.
struct Look;

impl<S: Subscriber> Layer<S> for Look {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Nothing;
        impl Visit for Nothing {
            fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
                black_box(field);
            }
        }
        event.record(&mut Nothing);
    }
}

fn plain_registry() -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(Sink))
}

fn events(c: &mut Criterion) {
    event_of(group(c, "event, 1 key"), &keys(1));
    event_of(group(c, "event, 10,000 keys"), &keys(MANY));
}

fn event_of(mut group: BenchmarkGroup<'_, WallTime>, keys: &[String]) {
    let (throttle, std_hasher) = (LogThrottle::<String>::new(WINDOW), with_std_hasher());
    let clock = AtomicU64::new(1);
    let slots: Vec<_> = keys.iter().map(|_| Box::new(Limit::new())).collect();
    let handles: Vec<Handle<String>> = keys
        .iter()
        .map(|key| throttle.handle(key.as_str(), CLASS))
        .collect();
    let gated = |at: usize| {
        if slots[at].passes(&clock) {
            error(&keys[at]);
        }
    };
    let by_handle = |at: usize| {
        throttled!(
            handles[at].check(),
            Level::ERROR,
            board = keys[at],
            code = 5,
            "{} is locked",
            keys[at]
        );
    };
    let by_key = |at: usize| line_by_key(&throttle, &keys[at]);
    let by_key_std = |at: usize| line_by_key(&std_hasher, &keys[at]);
    event(
        &mut group,
        "limit: slot before tracing",
        &plain_registry(),
        keys.len(),
        gated,
    );
    event(
        &mut group,
        "macro by handle",
        &plain_registry(),
        keys.len(),
        by_handle,
    );
    event(
        &mut group,
        "macro by key",
        &plain_registry(),
        keys.len(),
        by_key,
    );
    event(
        &mut group,
        "macro by key, std hasher",
        &plain_registry(),
        keys.len(),
        by_key_std,
    );

    event(
        &mut group,
        "limit: an event that a no-op layer ignores",
        &plain_registry(),
        keys.len(),
        |at| error(&keys[at]),
    );
    for (name, below) in layers() {
        event(&mut group, name, &below, keys.len(), |at| error(&keys[at]));
    }
    group.finish();
}

#[inline(always)]
fn line_by_key<S: BuildHasher>(throttle: &LogThrottle<String, HostClock, S>, key: &String) {
    throttled!(
        throttle.check(key, CLASS),
        Level::ERROR,
        board = key,
        code = 5,
        "{key} is locked"
    );
}

/// Our layer and the peer's, each around one that does nothing; and the least that either must do.
fn layers() -> [(&'static str, Dispatch); 3] {
    let least = Dispatch::new(tracing_subscriber::registry().with(Look));
    let layer = ThrottleLayer::new(Sink, Arc::new(LineThrottle::new(WINDOW))).keyed_by(["board"]);
    let ours = Dispatch::new(tracing_subscriber::registry().with(layer));
    let policy = Policy::token_bucket(1.0, 1e-9).expect("a valid policy");
    let limit = TracingRateLimitLayer::builder()
        .with_policy(policy)
        .with_max_signatures(2 * MANY);
    let filter = limit.build().expect("a valid layer");
    let theirs = Dispatch::new(tracing_subscriber::registry().with(Sink.with_filter(filter)));
    [
        ("limit: a layer that only looks at the fields", least),
        ("layer", ours),
        ("peer: tracing-throttle", theirs),
    ]
}

/// One line that two threads write at once.
fn events_of_two(c: &mut Criterion) {
    let mut group = group(c, "event, 2 threads");
    let throttle = LogThrottle::<String>::new(WINDOW);
    let handle = throttle.handle("board-7", CLASS);
    let by_handle = |_| {
        throttled!(
            handle.check(),
            Level::ERROR,
            board = "board-7",
            code = 5,
            "it is locked"
        );
        true
    };
    let by_key = |_| {
        throttled!(
            throttle.check("board-7", CLASS),
            Level::ERROR,
            board = "board-7",
            code = 5,
            "it is locked"
        );
        true
    };
    let plain = |_| {
        error("board-7");
        true
    };
    let mut bench = |name: &str, below: &Dispatch, write: &(dyn Fn(usize) -> bool + Sync)| {
        group.bench_function(name, |b| b.iter_custom(|n| race(n, below, write)));
    };
    let below = plain_registry();
    let (slot, clock) = (Limit::new(), AtomicU64::new(1));
    bench("limit: slot before tracing", &below, &|_| {
        slot.passes_any(&clock)
    });
    bench("macro by handle", &below, &by_handle);
    bench("macro by key", &below, &by_key);
    bench("limit: an event that a no-op layer ignores", &below, &plain);
    for (name, below) in layers() {
        bench(name, &below, &plain);
    }
    group.finish();
}

fn error(key: &str) {
    tracing::error!(board = key, code = 5, "{key} is locked");
}

fn event(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    below: &Dispatch,
    keys: usize,
    write: impl Fn(usize),
) {
    dispatcher::with_default(below, || {
        (0..keys).for_each(&write); // Each key's first line passes.
        let mut next = stride(keys);
        group.bench_function(name, |b| b.iter(|| write(next())));
    });
}

criterion_group!(
    benches,
    held_back,
    permitted,
    two_threads,
    events,
    events_of_two
);
criterion_main!(benches);
