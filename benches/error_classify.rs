//! What it costs to be told what an error is.
//!
//! Each iteration classifies one error that is already there; making and dropping it is not included, dropping the verdict is.
//! The limit is what nobody can leave out: one downcast for a bare error, and for a wrapped one the walk with a downcast at
//! each step. Peers are searching the text, which is how such code usually begins, and the closure that one would give to a
//! retry crate: it knows one type and says "again" or not.

use std::error::Error;
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use error_classify::{Class, Classifier, Classify, Missing, Remedy, Rule, Verdict, classify};
use rusqlite::{Connection, ErrorCode, ffi};

type Dyn = dyn Error + Send + Sync;

/// Stands for an application's own error type: the rule asks, and has no opinion on what is measured here.
#[derive(Debug)]
struct Own;

impl std::fmt::Display for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("own")
    }
}

impl Error for Own {}

impl Classify for Own {
    fn verdict(&self) -> Option<Verdict<'_>> {
        Some(Verdict::new(Class::Busy, Remedy::RetryCall))
    }
}

static WITH_RULES: Classifier<2> =
    Classifier::new([Rule::of::<Own>("own"), Rule::of::<Own>("own, again")]);

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(5), Some("database is locked".to_owned()))
}

fn refused(sql: &str) -> rusqlite::Error {
    let db = Connection::open_in_memory().expect("memory is enough");
    db.execute_batch("CREATE TABLE tasks(id)")
        .expect("memory is enough");
    db.prepare(sql)
        .map(drop)
        .expect_err("there is no such column")
}

fn drift() -> rusqlite::Error {
    refused("SELECT id, block_kind FROM (SELECT 1 AS id) WHERE id = 1 ORDER BY id")
}

fn drift_of_insert() -> rusqlite::Error {
    refused("INSERT INTO tasks(id, block_kind) VALUES (1, 2)")
}

fn in_contexts(error: impl Error + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::from(error)
        .context("read tasks")
        .context("tick board")
        .context("tick")
}

/// As in many dispatchers' first version.
fn by_text(error: &Dyn) -> Class {
    class_of(&error.to_string().to_lowercase())
}

fn class_of(text: &str) -> Class {
    if text.contains("no such column") || text.contains("no such table") {
        Class::SchemaDrift
    } else if text.contains("malformed") || text.contains("not a database") {
        Class::Corrupt
    } else if text.contains("locked") || text.contains("busy") {
        Class::Busy
    } else {
        Class::Unknown
    }
}

fn by_downcast(error: &Dyn) -> Option<i32> {
    code(error.downcast_ref()?)
}

fn code(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => Some(error.extended_code),
        _ => None,
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("error_classify/direct");
    group.throughput(Throughput::Elements(1));
    let (busy, drift, insert) = (busy(), drift(), drift_of_insert());
    let full = io::Error::from_raw_os_error(28);
    let (busy, drift, insert, full): (&Dyn, &Dyn, &Dyn, &Dyn) = (&busy, &drift, &insert, &full);
    group.bench_function("limit: one downcast", |b| {
        b.iter(|| by_downcast(black_box(busy)))
    });
    for (name, error) in [
        ("busy, by code", busy),
        ("drift, by text", drift),
        ("drift of an INSERT, by text", insert),
        ("io", full),
    ] {
        group.bench_function(name, |b| b.iter(|| classify(black_box(error)).class()));
    }
    group.bench_function("drift, and its name", |b| {
        b.iter(|| {
            let verdict = classify(black_box(drift));
            verdict.missing().map(Missing::name).map(str::len)
        })
    });
    group.bench_function("busy, all of the verdict", |b| {
        b.iter(|| classify(black_box(busy)))
    });
    group.bench_function("busy, behind two rules", |b| {
        b.iter(|| WITH_RULES.classify(black_box(busy)).class())
    });
    group.bench_function("peer: search the text", |b| {
        b.iter(|| by_text(black_box(drift)))
    });
    group.bench_function("peer: a retry crate's closure", |b| {
        b.iter(|| black_box(busy).downcast_ref().is_some_and(is_busy))
    });
    group.finish();
}

fn wrapped(c: &mut Criterion) {
    let mut group = c.benchmark_group("error_classify/anyhow, three contexts");
    group.throughput(Throughput::Elements(1));
    let (busy, drift) = (in_contexts(busy()), in_contexts(drift()));
    let carried = in_contexts(io::Error::other(self::busy()));
    let io = in_contexts(io::Error::from_raw_os_error(28));
    let unknown = in_contexts(Own);
    // Of the size of an `io::Error`, so that it takes a downcast to know that it is none.
    let number = serde_like();
    group.bench_function("limit: walk the chain and downcast at each", |b| {
        b.iter(|| {
            let known = |error: &(dyn Error + 'static)| code(error.downcast_ref()?);
            black_box(&busy).chain().find_map(known)
        })
    });
    for (name, error) in [
        ("busy, by code", &busy),
        ("drift, by text", &drift),
        ("io", &io),
        ("busy, in an io::Error", &carried),
        ("unknown", &unknown),
        ("unknown, as large as a pointer", &number),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| classify(black_box(error.as_ref())).class())
        });
    }
    group.bench_function("peer: search the text of all", |b| {
        b.iter(|| {
            let found = |error: &(dyn Error + 'static)| {
                error.to_string().to_lowercase().contains("no such column")
            };
            black_box(&drift).chain().any(found)
        })
    });
    group.bench_function("peer: a retry crate's closure", |b| {
        b.iter(|| black_box(&busy).downcast_ref().is_some_and(is_busy))
    });
    group.finish();
}

/// An error that is one pointer, like that of `serde_json`.
fn serde_like() -> anyhow::Error {
    #[derive(Debug)]
    struct Boxed(#[expect(dead_code, reason = "it only has a size")] Box<u64>);

    impl std::fmt::Display for Boxed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("boxed")
        }
    }

    impl Error for Boxed {}

    in_contexts(Boxed(Box::new(7)))
}

/// Ten thousand errors in turn: the memory they lie in costs more than the work.
fn many(c: &mut Criterion) {
    let mut group = c.benchmark_group("error_classify/10,000 errors");
    group.throughput(Throughput::Elements(1));
    let make = |at: usize| match at % 3 {
        0 => in_contexts(busy()),
        1 => in_contexts(drift()),
        _ => in_contexts(io::Error::other(busy())),
    };
    let errors: Vec<anyhow::Error> = (0..10_000).map(make).collect();
    let mut at = 0;
    let mut next = || {
        at = if at + 1 == errors.len() { 0 } else { at + 1 };
        &errors[at]
    };
    group.bench_function("limit: walk the chain and downcast at each", |b| {
        b.iter(|| {
            let known = |error: &(dyn Error + 'static)| code(error.downcast_ref()?);
            next().chain().find_map(known)
        })
    });
    group.bench_function("each in three contexts", |b| {
        b.iter(|| classify(next().as_ref()).class())
    });
    group.bench_function("peer: search the text of all", |b| {
        b.iter(|| {
            let said = next().chain().map(|error| error.to_string().to_lowercase());
            said.map(|text| class_of(&text))
                .find(|class| *class != Class::Unknown)
        })
    });
    group.finish();
}

/// Nothing is shared, so a second thread that asks the same costs nothing but its share of the machine.
fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("error_classify/2 threads");
    group.throughput(Throughput::Elements(1));
    let busy = busy();
    let busy: &Dyn = &busy;
    let mut beside = |name: &str, ask: &(dyn Fn() + Sync)| {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    (0..1000).for_each(|_| ask());
                }
            });
            group.bench_function(name, |b| b.iter(ask));
            done.store(true, Ordering::Relaxed);
        });
    };
    beside("limit: one downcast", &|| {
        black_box(by_downcast(black_box(busy)));
    });
    beside("busy, by code", &|| {
        black_box(classify(black_box(busy)).class());
    });
    beside("peer: search the text", &|| {
        black_box(by_text(black_box(busy)));
    });
    group.finish();
}

criterion_group!(benches, direct, wrapped, many, two_threads);
criterion_main!(benches);
