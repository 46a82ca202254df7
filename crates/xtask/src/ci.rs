//! `cargo xtask ci`: everything that CI runs, quickest first, and a table of how it went.

use std::process::Command;
use std::time::Instant;

use crate::peer::Peer;
use crate::run::{Done, cargo, run, stream, target, with_any_sqlite};
use crate::{
    bench, features, gate, msrv, old_sqlite, package, packages, scale, syscalls, test, torture,
};

type Step = fn() -> Done;

/// The steps, in order. docs/contributing.md lists them for people.
const STEPS: &[(&str, Step)] = &[
    ("format", || run(cargo("fmt --all -- --check"))),
    ("lints", || {
        run(cargo(
            "clippy --workspace --all-targets --all-features -- -D warnings",
        ))
    }),
    ("tests", test::run),
    ("torture", torture::brief),
    ("docs", docs),
    ("features", features::check),
    ("msrv", msrv::check),
    ("package", package::dry_run),
    ("syscalls", syscalls::check),
    ("old SQLite", old_sqlite::check),
    ("refusals", refusals),
    ("examples", examples),
    ("loom", loom),
    ("demo", demo),
    ("scale", scale::brief),
    ("gate", || gate::run_one(false)),
    ("benches", bench::brief),
];

/// Runs every step, also after one that failed, and ends with a table and the reasons: of a long log only the end may be kept.
pub(crate) fn run_all() -> Done {
    // It takes a minute to come, and nothing needs it before the tests. Whether it has come is asked then.
    std::thread::spawn(|| drop(Peer::ready()));
    let mut table = Vec::new();
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        println!("\n==== {name} ====");
        let begun = Instant::now();
        let done = step();
        let seconds = begun.elapsed().as_secs_f64();
        if let Err(why) = &done {
            println!("{name} failed: {why}");
            failed.push(format!("{name}: {why}"));
        }
        table.push((name, seconds, if done.is_ok() { "ok" } else { "FAILED" }));
    }
    println!(
        "\n==== summary ====\n{:<10} {:>8}  result",
        "step", "seconds"
    );
    for (name, seconds, result) in &table {
        println!("{name:<10} {seconds:>8.1}  {result}");
    }
    let total: f64 = table.iter().map(|(_, seconds, _)| seconds).sum();
    println!("{:<10} {total:>8.1}", "all");
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed:\n  {}", failed.join("\n  ")))
}

fn docs() -> Done {
    let mut doc = cargo("doc --workspace --no-deps --all-features");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    run(doc)
}

/// What must not compile fails by the code that its example names: stable rustdoc compares that only if it is told to.
fn refusals() -> Done {
    let mut refusals = cargo("test --quiet --doc -p once-per-key-repair -p fingerprint-quarantine");
    refusals.env("RUSTC_BOOTSTRAP", "1");
    // A directory of its own: the variable would build others' build scripts below `target` anew.
    refusals.arg("--target-dir").arg(target().join("refusals"));
    with_any_sqlite(&mut refusals);
    run(refusals)
}

fn examples() -> Done {
    let packages = packages::all()?;
    let examples = packages
        .iter()
        .find(|package| package.name == "examples")
        .ok_or("no package `examples`")?;
    // As the tests have built them.
    run(cargo("build --quiet --workspace --all-features --examples"))?;
    for name in examples.examples() {
        run(Command::new(target().join("debug/examples").join(name)))?;
    }
    Ok(())
}

/// Each crate asks for its own cfg only, so one build with all three serves all three suites.
fn loom() -> Done {
    let mut suites = cargo(
        "test -p once-per-key-repair -p keyed-log-throttle -p fingerprint-quarantine --features once-per-key-repair/async --release --lib loom",
    );
    suites.env(
        "RUSTFLAGS",
        "--cfg once_per_key_loom --cfg throttle_loom --cfg fingerprint_loom",
    );
    // A directory of its own: other flags would build everything below `target` anew.
    suites.arg("--target-dir").arg(target().join("loom"));
    with_any_sqlite(&mut suites);
    run(suites)
}

/// Through a pipe: the demo then writes plain lines.
fn demo() -> Done {
    stream(
        &mut cargo("run --quiet --release -p kanban -- demo"),
        |_| {},
    )
}
