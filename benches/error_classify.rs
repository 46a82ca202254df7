//! What it costs to be told what an error is.
//!
//! Each iteration classifies one error that is already there; making and dropping it is not included, dropping the verdict is.
//! Beside it stand the plain ways: searching the lowercased text (how such code usually begins), and a single downcast with
//! a look at the code, which is the floor.

use std::error::Error;
use std::hint::black_box;
use std::io;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use error_classify::{Class, Classifier, Classify, Remedy, Rule, Verdict, classify};
use rusqlite::{Connection, ffi};

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

fn drift() -> rusqlite::Error {
    let db = Connection::open_in_memory().expect("memory is enough");
    let sql = "SELECT id, block_kind FROM (SELECT 1 AS id) WHERE id = 1 ORDER BY id";
    db.prepare(sql)
        .map(drop)
        .expect_err("there is no such column")
}

fn in_contexts(error: impl Error + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::from(error)
        .context("read tasks")
        .context("tick board")
        .context("tick")
}

/// As in many dispatchers' first version.
fn by_text(error: &Dyn) -> Class {
    let text = error.to_string().to_lowercase();
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
    match error.downcast_ref()? {
        rusqlite::Error::SqliteFailure(error, _) => Some(error.extended_code),
        _ => None,
    }
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("error_classify/direct");
    group.throughput(Throughput::Elements(1));
    let (busy, drift) = (busy(), drift());
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let (busy, drift, full): (&Dyn, &Dyn, &Dyn) = (&busy, &drift, &full);
    for (name, error) in [
        ("busy, by code", busy),
        ("drift, by text", drift),
        ("io", full),
    ] {
        group.bench_function(name, |b| b.iter(|| classify(black_box(error)).class()));
    }
    group.bench_function("busy, all of the verdict", |b| {
        b.iter(|| classify(black_box(busy)))
    });
    group.bench_function("busy, behind two rules", |b| {
        b.iter(|| WITH_RULES.classify(black_box(busy)).class())
    });
    group.bench_function("baseline: one downcast", |b| {
        b.iter(|| by_downcast(black_box(busy)))
    });
    group.bench_function("baseline: search the text", |b| {
        b.iter(|| by_text(black_box(drift)))
    });
    group.finish();
}

fn wrapped(c: &mut Criterion) {
    let mut group = c.benchmark_group("error_classify/anyhow, three contexts");
    group.throughput(Throughput::Elements(1));
    let (busy, drift) = (in_contexts(busy()), in_contexts(drift()));
    let carried = in_contexts(io::Error::other(self::busy()));
    let unknown = in_contexts(Own);
    for (name, error) in [
        ("busy, by code", &busy),
        ("drift, by text", &drift),
        ("busy, in an io::Error", &carried),
        ("unknown", &unknown),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| classify(black_box(error.as_ref())).class())
        });
    }
    group.bench_function("baseline: search the text of all", |b| {
        b.iter(|| {
            let found = |error: &(dyn Error + 'static)| {
                error.to_string().to_lowercase().contains("no such column")
            };
            black_box(&drift).chain().any(found)
        })
    });
    group.finish();
}

criterion_group!(benches, direct, wrapped);
criterion_main!(benches);
