//! What it costs to ask whether a thing may be tried: healthy, held, and held with a look at its files.
//!
//! Each iteration is one question with its answer; a healthy one includes the attempt's end by `ok`. Where the group says 10,000 keys
//! it includes the choice of the next key (a stride that visits all of them); where it says 2 threads, both ask at once, and it is one thread's time per
//! question. The limit is the least work that still gives the answer, with everything else in the caller's hand. The peers are circuit breakers, which know no
//! stamp and no key and so answer less, and the plain way: a map of what failed under a mutex, asked with a `stat` as it needs one.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use failsafe::{CircuitBreaker, backoff, failure_policy};
use fingerprint_quarantine::{
    Admission, Backoff, Clock, FileState, Handle, Hold, Quarantine, SqliteFiles, SqliteStamp,
    TickClock,
};
use recloser::Recloser;
use tempfile::TempDir;

const KEYS: usize = 10_000;
/// Coprime with `KEYS`.
const STRIDE: usize = 7_919;
const LONG: Duration = Duration::from_secs(1_000_000);
/// A timer that does not run out here.
const HOLD: Hold = Hold::until_changed().or_retry(Backoff::every(LONG));

type Stamps<C, S = std::hash::RandomState> = Quarantine<String, FileState, C, S>;
type Slots<C> = Vec<Handle<String, FileState, C>>;

fn names() -> Vec<String> {
    (0..KEYS).map(|n| format!("board-{n:05}")).collect()
}

fn is_go<K, T, C: Clock, Q: ?Sized>(admission: Admission<'_, K, T, C, Q>) -> bool {
    match admission {
        Admission::Go(attempt) => attempt.ok().is_none(),
        Admission::Held(_) | Admission::Probing => false,
    }
}

fn never() -> FileState {
    unreachable!("a look that nobody needs")
}

fn hold<C: Clock, S>(quarantine: &Stamps<C, S>, name: &str, hold: &Hold)
where
    S: std::hash::BuildHasher + Sync,
{
    if let Some(attempt) = quarantine.admit_stamped(name, FileState::Absent).go() {
        attempt.failed(hold, |same| *same);
    }
}

fn slots<C: Clock>(quarantine: &Stamps<C>, names: &[String]) -> Slots<C> {
    names
        .iter()
        .map(|name| quarantine.handle(name.as_str()))
        .collect()
}

/// The plain way: what the file looked like at the failure, and when not to look before.
#[derive(Default)]
struct Map(Mutex<HashMap<String, Seen>>);

type Seen = (SystemTime, u64, Option<Instant>);

impl Map {
    fn hold(&self, name: &str, path: &Path, until: Option<Instant>) {
        let (mtime, len) = Self::look(path).unwrap_or((SystemTime::UNIX_EPOCH, 0));
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(name.to_owned(), (mtime, len, until));
    }

    fn may_try(&self, name: &str, path: &Path) -> bool {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((mtime, len, until)) = map.get(name) else {
            return true;
        };
        until.is_none_or(|until| now() >= until) && Self::look(path) != Some((*mtime, *len))
    }

    fn look(path: &Path) -> Option<(SystemTime, u64)> {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

#[expect(clippy::disallowed_methods, reason = "the plain way reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Breakers that are closed, or open for long.
fn recloser(open: bool) -> Recloser {
    let recloser = Recloser::custom()
        .error_rate(0.5)
        .closed_len(if open { 1 } else { 100 })
        .open_wait(LONG)
        .build();
    for _ in 0..if open { 3 } else { 0 } {
        let _ = recloser.call(|| Err::<(), ()>(()));
    }
    recloser
}

fn failsafe(open: bool) -> impl CircuitBreaker {
    let policy = failure_policy::consecutive_failures(1, backoff::constant(LONG));
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    if open {
        let _ = breaker.call(|| Err::<(), ()>(()));
    }
    breaker
}

fn healthy(c: &mut Criterion) {
    let quarantine = Stamps::new();
    let handle = quarantine.handle("board-a");
    let map = Map::default();
    let (recloser, failsafe) = (recloser(false), failsafe(false));
    let recorded = AtomicBool::new(false);

    let mut group = group(c, "healthy, one key");
    group.bench_function("limit: one atomic load", |b| {
        b.iter(|| !black_box(&recorded).load(Ordering::Acquire))
    });
    group.bench_function("by handle", |b| {
        b.iter(|| is_go(black_box(&handle).admit(never)))
    });
    group.bench_function("by key, nothing on record", |b| {
        b.iter(|| is_go(black_box(&quarantine).admit(black_box("board-a"), never)))
    });
    hold(&quarantine, "broken", &HOLD);
    map.hold("broken", Path::new("no such file"), None);
    group.bench_function("by key, another on record", |b| {
        b.iter(|| is_go(black_box(&quarantine).admit(black_box("board-a"), never)))
    });
    group.bench_function("peer: recloser, closed", |b| {
        b.iter(|| black_box(&recloser).call(|| Ok::<(), ()>(())).is_ok())
    });
    group.bench_function("peer: failsafe, closed", |b| {
        b.iter(|| black_box(&failsafe).call(|| Ok::<(), ()>(())).is_ok())
    });
    group.bench_function("peer: map under a mutex", |b| {
        b.iter(|| map.may_try(black_box("board-a"), Path::new("never looked at")))
    });
    group.finish();
}

fn healthy_many(c: &mut Criterion) {
    let names = names();
    let quarantine = Stamps::new();
    let fold = Stamps::with_clock_and_hasher(
        fingerprint_quarantine::Monotonic::new(),
        foldhash::fast::RandomState::default(),
    );
    let handles = slots(&quarantine, &names);
    let loads: Vec<Box<AtomicBool>> = names.iter().map(|_| Box::default()).collect();
    let reclosers: Vec<Recloser> = names.iter().map(|_| recloser(false)).collect();
    let failsafes: Vec<_> = names.iter().map(|_| failsafe(false)).collect();
    let map = Map::default();
    hold(&quarantine, "broken", &HOLD);
    hold(&fold, "broken", &HOLD);
    map.hold("broken", Path::new("no such file"), None);

    let mut group = group(c, "healthy, 10,000 keys, one on record");
    walk(&mut group, "limit: one atomic load", |n| {
        !loads[n].load(Ordering::Acquire)
    });
    walk(&mut group, "by handle", |n| is_go(handles[n].admit(never)));
    walk(&mut group, "by key", |n| {
        is_go(quarantine.admit(names[n].as_str(), never))
    });
    walk(&mut group, "by key, foldhash", |n| {
        is_go(fold.admit(names[n].as_str(), never))
    });
    walk(&mut group, "peer: recloser per key, closed", |n| {
        reclosers[n].call(|| Ok::<(), ()>(())).is_ok()
    });
    walk(&mut group, "peer: failsafe per key, closed", |n| {
        failsafes[n].call(|| Ok::<(), ()>(())).is_ok()
    });
    walk(&mut group, "peer: map under a mutex", |n| {
        map.may_try(&names[n], Path::new("never looked at"))
    });
    group.finish();
}

/// Within its shortest time a key is not looked at.
fn held_without_a_look(c: &mut Criterion) {
    let names = names();
    let long = HOLD.at_least(LONG);
    let quarantine = Stamps::new();
    let ticked = Stamps::with_clock(TickClock::new());
    let map = Map::default();
    for name in &names {
        hold(&quarantine, name, &long);
        hold(&ticked, name, &long);
        map.hold(name, Path::new("no such file"), now().checked_add(LONG));
    }
    let (handles, ticked_handles) = (slots(&quarantine, &names), slots(&ticked, &names));
    let reclosers: Vec<Recloser> = names.iter().map(|_| recloser(true)).collect();
    let failsafes: Vec<_> = names.iter().map(|_| failsafe(true)).collect();
    let (recloser, failsafe) = (&reclosers[0], &failsafes[0]);
    let until: Vec<Box<AtomicU64>> = names.iter().map(|_| Box::new(u64::MAX.into())).collect();
    let tick = AtomicU64::new(1);
    let is_over = |n: usize| tick.load(Ordering::Acquire) >= until[n].load(Ordering::Acquire);
    let never_looked = Path::new("never looked at");

    let mut group = group(c, "held, no look, one key");
    group.bench_function("limit: one atomic load against a tick", |b| {
        b.iter(|| is_over(black_box(0)))
    });
    group.bench_function("by handle", |b| {
        b.iter(|| is_go(black_box(&handles[0]).admit(never)))
    });
    group.bench_function("by handle, TickClock", |b| {
        b.iter(|| is_go(black_box(&ticked_handles[0]).admit(never)))
    });
    group.bench_function("by key", |b| {
        b.iter(|| is_go(quarantine.admit(black_box("board-00000"), never)))
    });
    group.bench_function("by key, TickClock", |b| {
        b.iter(|| is_go(ticked.admit(black_box("board-00000"), never)))
    });
    group.bench_function("peer: recloser, open", |b| {
        b.iter(|| black_box(recloser).call(|| Ok::<(), ()>(())).is_ok())
    });
    group.bench_function("peer: failsafe, open", |b| {
        b.iter(|| black_box(failsafe).call(|| Ok::<(), ()>(())).is_ok())
    });
    group.bench_function("peer: map under a mutex", |b| {
        b.iter(|| map.may_try(black_box("board-00000"), never_looked))
    });
    group.finish();

    let mut group = self::group(c, "held, no look, 10,000 keys");
    walk(&mut group, "limit: one atomic load against a tick", is_over);
    walk(&mut group, "by handle", |n| is_go(handles[n].admit(never)));
    walk(&mut group, "by handle, TickClock", |n| {
        is_go(ticked_handles[n].admit(never))
    });
    walk(&mut group, "by key", |n| {
        is_go(quarantine.admit(names[n].as_str(), never))
    });
    walk(&mut group, "by key, TickClock", |n| {
        is_go(ticked.admit(names[n].as_str(), never))
    });
    walk(&mut group, "peer: recloser per key, open", |n| {
        reclosers[n].call(|| Ok::<(), ()>(())).is_ok()
    });
    walk(&mut group, "peer: failsafe per key, open", |n| {
        failsafes[n].call(|| Ok::<(), ()>(())).is_ok()
    });
    walk(&mut group, "peer: map under a mutex", |n| {
        map.may_try(&names[n], never_looked)
    });
    group.finish();

    let mut group = self::group(c, "held, no look, 2 threads");
    both(&mut group, "limit: one atomic load against a tick", || {
        is_over(black_box(0))
    });
    both(&mut group, "by handle", || is_go(handles[0].admit(never)));
    both(&mut group, "by handle, TickClock", || {
        is_go(ticked_handles[0].admit(never))
    });
    both(&mut group, "by key", || {
        is_go(quarantine.admit(black_box("board-00000"), never))
    });
    both(&mut group, "peer: recloser, open", || {
        recloser.call(|| Ok::<(), ()>(())).is_ok()
    });
    both(&mut group, "peer: failsafe, open", || {
        failsafe.call(|| Ok::<(), ()>(())).is_ok()
    });
    both(&mut group, "peer: map under a mutex", || {
        map.may_try(black_box("board-00000"), never_looked)
    });
    group.finish();
}

fn held_with_a_look(c: &mut Criterion) {
    let Ok(dir) = TempDir::new() else { return };
    let file = dir.path().join("board.db");
    let files = SqliteFiles::new(&file);
    if fs::write(&file, "content").is_err() || fs::write(files.wal(), "x").is_err() {
        return;
    }
    // Taken as if long after the write, so that no stamp is young and each look finds the same.
    let later = SystemTime::UNIX_EPOCH + LONG * 10_000;
    let plain = Stamps::new();
    let sqlite = Quarantine::<String, SqliteStamp>::new();
    if let Some(attempt) = plain
        .admit_stamped("board", FileState::of_at(&file, later))
        .go()
    {
        attempt.failed(&HOLD, |same| *same);
    }
    if let Some(attempt) = sqlite.admit_stamped("board", files.observe_at(later)).go() {
        attempt.failed(&HOLD, |same| *same);
    }
    let (handle, sqlite_handle) = (plain.handle("board"), sqlite.handle("board"));
    let map = Map::default();
    map.hold("board", &file, None);

    let mut group = group(c, "held, one stat");
    group.bench_function("limit: std::fs::metadata", |b| {
        b.iter(|| fs::metadata(black_box(&file)).is_ok())
    });
    group.bench_function("by handle, FileState", |b| {
        b.iter(|| is_go(handle.admit(|| FileState::of_at(&file, later))))
    });
    group.bench_function("by key, FileState", |b| {
        b.iter(|| is_go(plain.admit(black_box("board"), || FileState::of_at(&file, later))))
    });
    group.bench_function("peer: map under a mutex", |b| {
        b.iter(|| map.may_try(black_box("board"), &file))
    });
    group.finish();

    let mut group = self::group(c, "held, two stats");
    group.bench_function("limit: std::fs::metadata, twice", |b| {
        b.iter(|| {
            fs::metadata(black_box(files.main())).is_ok()
                && fs::metadata(black_box(files.wal())).is_ok()
        })
    });
    group.bench_function("by handle, SqliteFiles", |b| {
        b.iter(|| is_go(sqlite_handle.admit(|| files.observe_at(later))))
    });
    group.finish();
}

/// One question at a time, over all keys.
fn walk(group: &mut BenchmarkGroup<'_, WallTime>, id: &str, ask: impl Fn(usize) -> bool) {
    group.bench_function(id, |b| {
        let mut at = 0;
        b.iter(|| {
            at = (at + STRIDE) % KEYS;
            ask(at)
        });
    });
}

/// The same question from two threads at once.
fn both(group: &mut BenchmarkGroup<'_, WallTime>, id: &str, ask: impl Fn() -> bool + Sync) {
    group.bench_function(id, |b| {
        b.iter_custom(|iterations| {
            let many = || {
                for _ in 0..iterations {
                    black_box(ask());
                }
            };
            let begun = now();
            std::thread::scope(|scope| {
                scope.spawn(many);
                many();
            });
            begun.elapsed()
        });
    });
}

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(format!("fingerprint_quarantine/{name}"));
    group.throughput(Throughput::Elements(1));
    group
}

criterion_group!(
    benches,
    healthy,
    healthy_many,
    held_without_a_look,
    held_with_a_look
);
criterion_main!(benches);
