//! How many instructions one question takes: a number that a busy machine cannot change.
//!
//! Each case runs in a process of its own under valgrind, with two different numbers of questions; the difference, divided, is
//! the cost of one. What the kernel does is not counted. Without valgrind there is nothing to see, and that is said.
#![expect(clippy::print_stdout, reason = "it prints a table")]

mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use error_classify::classify;
use fingerprint_quarantine::{Hold, Quarantine, TickClock};
use kanban_dispatcher::decide;
use keyed_log_throttle::governor::clock::MonotonicClock;
use keyed_log_throttle::{self as throttle, LogThrottle};
use once_per_key_repair::RepairGate;
use rusqlite::Connection;

/// Asks the given number of times.
type Case = fn(u64);

const CASES: &[(&str, Case)] = &[
    ("error_classify/busy, by code", |n| {
        let error = locked();
        ask(n, || classify(black_box(&error)).class());
    }),
    ("error_classify/drift, by text", |n| {
        let error = drift();
        ask(n, || classify(black_box(&error)).class());
    }),
    ("error_classify/drift of an INSERT, by text", |n| {
        let error = drift_of_an_insert();
        ask(n, || classify(black_box(&error)).class());
    }),
    ("error_classify/busy, in anyhow with three contexts", |n| {
        let error = anyhow::Error::from(locked()).context("a").context("b");
        let error = error.context("c");
        ask(n, || classify(black_box(error.as_ref())).class());
    }),
    ("once_per_key_repair/spent, by key", |n| {
        let gate = RepairGate::<String>::new();
        drop(gate.enter("board-a"));
        ask(n, || gate.outcome(black_box("board-a")));
    }),
    ("once_per_key_repair/spent, by handle", |n| {
        let gate = RepairGate::<String>::new();
        let handle = gate.handle("board-a");
        drop(handle.enter());
        ask(n, || black_box(&handle).outcome());
    }),
    ("fingerprint_quarantine/healthy, by key", |n| {
        let quarantine = Quarantine::<String, u64>::new();
        ask(n, || {
            let attempt = quarantine.admit(black_box("board-a"), || 1).go();
            attempt.is_some_and(|attempt| attempt.ok().is_none())
        });
    }),
    ("fingerprint_quarantine/healthy, by handle", |n| {
        let quarantine = Quarantine::<String, u64>::new();
        let handle = quarantine.handle("board-a");
        ask(n, || {
            let attempt = black_box(&handle).admit(|| 1).go();
            attempt.is_some_and(|attempt| attempt.ok().is_none())
        });
    }),
    (
        "fingerprint_quarantine/held within min_hold, by handle",
        |n| {
            let quarantine = Quarantine::<String, u64, _>::with_clock(TickClock::new());
            let handle = quarantine.handle("board-a");
            let hold = Hold::until_changed().at_least(Duration::from_secs(3600));
            if let Some(attempt) = handle.admit_stamped(1).go() {
                let _ = attempt.failed(&hold, |same| *same);
            }
            ask(n, || black_box(&handle).admit(|| 1).go().is_none());
        },
    ),
    ("keyed_log_throttle/suppressed, by key", |n| {
        let throttle = throttle();
        ask(n, || throttle.check(black_box("board-a"), 1));
    }),
    ("keyed_log_throttle/suppressed, by handle", |n| {
        let throttle = throttle();
        let handle = throttle.handle("board-a", 1);
        ask(n, || black_box(&handle).check());
    }),
    ("kanban_dispatcher/decide, 1,000 tasks", |n| {
        let (view, processes, policy) = support::view(1_000);
        let ask_it = || decide(black_box(&view), &processes, &policy, support::now());
        ask(n, ask_it);
    }),
    ("kanban_dispatcher/idle tick, sweep, 20 boards", |n| {
        idle(n, "sweep", 20);
    }),
    ("kanban_dispatcher/idle tick, sweep, 100 boards", |n| {
        idle(n, "sweep", 100);
    }),
    ("kanban_dispatcher/idle tick, watch, 20 boards", |n| {
        idle(n, "watch", 20);
    }),
    ("kanban_dispatcher/idle tick, watch, 100 boards", |n| {
        idle(n, "watch", 100);
    }),
];

/// How often each is asked: the first time, and how much more often the second time.
const ONCE: (u64, u64) = (1_000, 10_000);
/// Where one question is a whole board.
const WHOLE: (u64, u64) = (3, 30);
/// Now and then a tick moves the ledger's log into its file: so many that it is the same in each run.
const TICKS: (u64, u64) = (30, 300);

/// Whole ticks over quiet boards; they are the caller's thread alone, which is what is counted.
fn idle(n: u64, mode: &str, boards: usize) {
    let modes = support::modes();
    if let Some((_, settings)) = modes.iter().find(|(name, _)| *name == mode) {
        let mut fleet = support::Fleet::quiet(boards, settings);
        ask(n, || fleet.dispatcher.tick());
    }
}

/// The only function that is counted.
#[inline(never)]
fn ask<T>(n: u64, mut question: impl FnMut() -> T) {
    for _ in 0..n {
        black_box(question());
    }
}

/// By a clock of ticks. Its source is the system's: the default one spins for a while to learn the processor's speed.
fn throttle() -> LogThrottle<String, throttle::TickClock<MonotonicClock>> {
    let clock = throttle::TickClock::over(MonotonicClock);
    LogThrottle::builder().clock(clock).build()
}

/// "database is locked", by SQLite itself.
#[expect(clippy::disallowed_methods, reason = "it is no board")]
fn locked() -> rusqlite::Error {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let [one, other] =
        [(); 2].map(|()| Connection::open(file.path()).expect("a database in a file"));
    other.busy_timeout(Duration::ZERO).expect("no wait");
    one.execute_batch("CREATE TABLE t(a); BEGIN EXCLUSIVE")
        .expect("a lock");
    other
        .execute_batch("INSERT INTO t VALUES (1)")
        .expect_err("it is locked")
}

/// "no such column", by SQLite itself.
fn drift() -> rusqlite::Error {
    refused("UPDATE t SET gone = 1")
}

/// "table t has no column named ...", by SQLite itself: the table's name stands before the words that decide.
fn drift_of_an_insert() -> rusqlite::Error {
    refused("INSERT INTO t(gone) VALUES (1)")
}

fn refused(sql: &str) -> rusqlite::Error {
    let db = Connection::open_in_memory().expect("a database in memory");
    db.execute_batch("CREATE TABLE t(a)").expect("a table");
    db.execute(sql, []).expect_err("there is no such column")
}

/// What valgrind counts while this program asks `n` times.
fn counted(case: &str, n: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([
            "--collect-atstart=no",
            "--toggle-collect=*instructions::ask*",
        ])
        .arg(env::current_exe().ok()?)
        .env("INSTRUCTIONS_CASE", case)
        .env("INSTRUCTIONS_N", n.to_string())
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.split("Collected :").nth(1)?;
    count.split_whitespace().next()?.parse().ok()
}

fn main() {
    if let (Ok(case), Ok(n)) = (env::var("INSTRUCTIONS_CASE"), env::var("INSTRUCTIONS_N")) {
        let n = n.parse().expect("a number");
        for (_, ask) in CASES.iter().filter(|(name, _)| *name == case) {
            ask(n);
        }
        return;
    }
    let Some(mut counts) = count_all() else {
        println!("no instructions counted: valgrind is not there");
        return;
    };
    for mode in ["sweep", "watch"] {
        let of = |boards| {
            let name = format!("kanban_dispatcher/idle tick, {mode}, {boards} boards");
            counts.get(&name).copied()
        };
        if let Some((few, many)) = of(20).zip(of(100)) {
            let name = format!("kanban_dispatcher/idle tick, {mode}, each board");
            counts.insert(name, many.saturating_sub(few) / 80);
        }
    }
    support::leave("instructions", &counts);
    let mut table = String::from("| case | instructions |\n|---|--:|\n");
    for (name, each) in &counts {
        table.push_str(&format!("| {name} | {each} |\n"));
    }
    println!("{table}");
    // Beside criterion's results, for whoever collects those.
    if let Some(home) = env::var_os("CRITERION_HOME") {
        let file = Path::new(&home).join("instructions.md");
        fs::write(file, table).expect("a directory for the results");
    }
}

/// All cases that this version has, on as many processors as there are. `None` without valgrind.
fn count_all() -> Option<BTreeMap<String, u64>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut counts = Vec::new();
        while let Some((name, _)) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (few, more) = match name.split_once('/') {
                Some(("kanban_dispatcher", case)) if case.starts_with("idle tick") => TICKS,
                Some(("kanban_dispatcher", _)) => WHOLE,
                _ => ONCE,
            };
            let (one, other) = counted(name, few).zip(counted(name, few + more))?;
            counts.push(((*name).to_owned(), other.saturating_sub(one) / more));
        }
        Some(counts)
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = BTreeMap::new();
        for thread in threads {
            all.extend(thread.join().expect("a count")?);
        }
        // A case that asked nothing is none of this version's.
        all.retain(|_, count| *count > 0);
        Some(all)
    })
}
