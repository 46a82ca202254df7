//! What it costs to ask whether a thing may be tried: healthy, held, and held with a look at its files.
//!
//! Each iteration is one admission. Where the group says 10,000 keys it includes the choice of the next key (a stride that visits
//! all of them). A healthy admission includes the attempt's end by `ok`. Beside the quarantine stand `std::fs::metadata`, the floor of
//! every look, and the plain way: a map of what failed and its time and length under a mutex, asked with a `stat` as it needs one.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use fingerprint_quarantine::{
    Admission, Backoff, FakeClock, FileState, Handle, Hold, Quarantine, SqliteFiles, SqliteStamp,
};
use tempfile::TempDir;

const KEYS: usize = 10_000;
/// Coprime with `KEYS`.
const STRIDE: usize = 7_919;
const LONG: Duration = Duration::from_secs(1_000_000);
/// A timer that does not run out here.
const HOLD: Hold = Hold::until_changed().or_retry(Backoff::every(LONG));

/// The plain way: when the file was changed, and how long it was, at the failure.
type Naive = Mutex<HashMap<String, (SystemTime, u64)>>;

fn names() -> Vec<String> {
    (0..KEYS).map(|n| format!("board-{n:05}")).collect()
}

fn is_go<K, T, C, Q: ?Sized>(admission: Admission<'_, K, T, C, Q>) -> bool
where
    C: fingerprint_quarantine::Clock,
{
    match admission {
        Admission::Go(attempt) => attempt.ok().is_none(),
        Admission::Held(_) | Admission::Probing => false,
    }
}

fn hold<C: fingerprint_quarantine::Clock>(
    quarantine: &Quarantine<String, FileState, C>,
    name: &str,
    stamp: FileState,
    hold: &Hold,
) {
    if let Some(attempt) = quarantine.admit_stamped(name, stamp).go() {
        attempt.failed(hold);
    }
}

fn healthy(c: &mut Criterion) {
    let names = names();
    let quarantine = Quarantine::<String, FileState>::new();
    let with_handles = Quarantine::<String, FileState>::new();
    let handles: Vec<Handle<String, FileState>> = names
        .iter()
        .map(|name| with_handles.handle(name.as_str()))
        .collect();
    let naive = Naive::default();
    let path = PathBuf::from("never looked at");

    let mut group = group(c, "fingerprint_quarantine/healthy, one key");
    group.bench_function("by handle", |b| {
        b.iter(|| is_go(black_box(&handles[0]).admit(|| FileState::of(&path))))
    });
    group.bench_function("by key, nothing on record", |b| {
        b.iter(|| is_go(quarantine.admit(black_box("board-a"), || FileState::of(&path))))
    });
    hold(&quarantine, "broken", FileState::Absent, &HOLD);
    hold(&with_handles, "broken", FileState::Absent, &HOLD);
    lock(&naive).insert("broken".to_owned(), (SystemTime::UNIX_EPOCH, 0));
    group.bench_function("by key, another on record", |b| {
        b.iter(|| is_go(quarantine.admit(black_box("board-a"), || FileState::of(&path))))
    });
    group.bench_function("naive", |b| {
        b.iter(|| naive_admit(&naive, black_box("board-a"), &path))
    });
    group.finish();

    let mut group = self::group(
        c,
        "fingerprint_quarantine/healthy, 10,000 keys, one on record",
    );
    group.bench_function("by handle", |b| {
        let mut at = Walk(0);
        b.iter(|| is_go(handles[at.next()].admit(|| FileState::of(&path))));
    });
    group.bench_function("by key", |b| {
        let mut at = Walk(0);
        b.iter(|| is_go(quarantine.admit(names[at.next()].as_str(), || FileState::of(&path))));
    });
    group.bench_function("naive", |b| {
        let mut at = Walk(0);
        b.iter(|| naive_admit(&naive, &names[at.next()], &path));
    });
    group.finish();
}

/// Within its shortest time a key is not looked at.
fn held_without_a_look(c: &mut Criterion) {
    let names = names();
    let long = HOLD.at_least(LONG);
    let quarantine = Quarantine::<String, FileState>::new();
    let ticked = Quarantine::<String, FileState, _>::with_clock(FakeClock::default());
    for name in &names {
        hold(&quarantine, name, FileState::Absent, &long);
        hold(&ticked, name, FileState::Absent, &long);
    }
    let handle = quarantine.handle("board-00000");
    let path = PathBuf::from("never looked at");

    let mut group = group(c, "fingerprint_quarantine/held, no look");
    group.bench_function("by handle", |b| {
        b.iter(|| is_go(black_box(&handle).admit(|| FileState::of(&path))))
    });
    group.bench_function("by key", |b| {
        b.iter(|| is_go(quarantine.admit(black_box("board-00000"), || FileState::of(&path))))
    });
    group.bench_function("by key, clock set once per round", |b| {
        b.iter(|| is_go(ticked.admit(black_box("board-00000"), || FileState::of(&path))))
    });
    group.bench_function("by key, 10,000 keys", |b| {
        let mut at = Walk(0);
        b.iter(|| is_go(quarantine.admit(names[at.next()].as_str(), || FileState::of(&path))));
    });
    group.finish();
}

fn held_with_a_look(c: &mut Criterion) {
    let Ok(dir) = TempDir::new() else { return };
    let file = dir.path().join("board.db");
    if fs::write(&file, "content").is_err()
        || fs::write(dir.path().join("board.db-wal"), "x").is_err()
    {
        return;
    }
    // Taken as if long after the write, so that no stamp is young and each look finds the same.
    let later = SystemTime::UNIX_EPOCH + LONG * 10_000;
    let plain = Quarantine::<String, FileState>::new();
    hold(&plain, "board", FileState::of_at(&file, later), &HOLD);
    let files = SqliteFiles::new(&file);
    let sqlite = Quarantine::<String, SqliteStamp>::new();
    if let Some(attempt) = sqlite.admit_stamped("board", files.observe_at(later)).go() {
        attempt.failed(&HOLD);
    }
    let naive = Naive::default();
    naive_hold(&naive, "board", &file);

    let mut group = group(c, "fingerprint_quarantine/held, with a look");
    group.bench_function("std::fs::metadata alone", |b| {
        b.iter(|| fs::metadata(black_box(&file)).is_ok())
    });
    group.bench_function("FileState, 1 stat", |b| {
        b.iter(|| is_go(plain.admit(black_box("board"), || FileState::of_at(&file, later))))
    });
    group.bench_function("SqliteFiles, 2 stats", |b| {
        b.iter(|| is_go(sqlite.admit(black_box("board"), || files.observe_at(later))))
    });
    group.bench_function("naive, 1 stat", |b| {
        b.iter(|| naive_admit(&naive, black_box("board"), &file))
    });
    group.finish();
}

fn lock(naive: &Naive) -> MutexGuard<'_, HashMap<String, (SystemTime, u64)>> {
    naive.lock().unwrap_or_else(PoisonError::into_inner)
}

fn naive_look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn naive_hold(naive: &Naive, name: &str, path: &Path) {
    if let Some(seen) = naive_look(path) {
        lock(naive).insert(name.to_owned(), seen);
    }
}

fn naive_admit(naive: &Naive, name: &str, path: &Path) -> bool {
    match lock(naive).get(name) {
        Some(seen) => naive_look(path).is_none_or(|now| now != *seen),
        None => true,
    }
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

criterion_group!(benches, healthy, held_without_a_look, held_with_a_look);
criterion_main!(benches);
