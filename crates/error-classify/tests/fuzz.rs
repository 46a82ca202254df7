//! Many made-up errors: messages near the real ones, any code, random chains of wrappers. Nothing panics, every chain has a
//! verdict on one line, and under any code but 1 the text decides nothing.
//!
//! A few thousand cases by default. Ten million (`FUZZ_CASES=10000000`), on all cores, by `cargo xtask fuzz`.
//! `FUZZ_SEED` repeats a run; the seed is printed, and a failing case names its own.
#![cfg(feature = "rusqlite")]

mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::thread;

use error_classify::{Class, Classify as _, Verdict, classify};
use rusqlite::ffi;
use support::{Context, Transparent, golden};

type Boxed = Box<dyn Error + Send + Sync>;

const CASES: u64 = 5_000;
const SEED: u64 = 0x5eed;

/// Stands in every statement, and must not stand in any verdict.
const SECRET: &str = "s3cr3t";

/// Splitmix64: any state is a good one, so that a case's seed is its number added to the run's.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

const PIECES: &[&str] = &[
    "no such ",
    "column: ",
    "table: ",
    "collation sequence: ",
    "table ",
    " has no column named ",
    "error in view ",
    ": no such column: ",
    " in ",
    " at offset 7",
    " already exists",
    ": syntax error",
    "near \"",
    " columns",
    " values for ",
    " - should this be a string literal in single-quotes?",
    "database is locked",
    "database disk image is malformed",
    ".",
    "\"",
    "[",
    "`",
    "\n",
    "\u{202e}",
    "\u{0}",
    "ä",
    "𝕏",
    "",
];

/// A real message, changed in up to four places.
fn message(dice: &mut Dice, real: &[&str]) -> String {
    let mut text: Vec<char> = dice.one_of(real).chars().collect();
    for _ in 0..dice.below(5) {
        let (one, two) = (dice.below(text.len() + 1), dice.below(text.len() + 1));
        let (from, to) = (one.min(two), one.max(two));
        match dice.below(5) {
            0 => text.truncate(from),
            1 => drop(text.drain(from..to)),
            2 => drop(text.splice(from..from, dice.one_of(PIECES).chars())),
            3 => drop(text.splice(from..to, dice.one_of(real).chars())),
            _ => {
                let anything = char::from_u32(dice.next() as u32 & 0x1f_ffff);
                text.insert(from, anything.unwrap_or('\u{fffd}'));
            }
        }
    }
    text.into_iter().collect()
}

fn code(dice: &mut Dice) -> i32 {
    match dice.below(4) {
        0 => 1,
        1 => dice.next() as i32,
        2 => dice.below(40) as i32,
        _ => (dice.below(40) | dice.below(40) << 8) as i32,
    }
}

/// The error at the chain's end, and its code if it has one.
fn end(dice: &mut Dice, real: &[&str]) -> (Boxed, Option<i32>) {
    let text = message(dice, real);
    let code = code(dice);
    let error = ffi::Error::new(code);
    match dice.below(8) {
        0 => (io::Error::from_raw_os_error(code).into(), None),
        1 => (text.into(), None),
        2 => (rusqlite::Error::InvalidColumnName(text).into(), None),
        // Behind `transparent` nobody can reach it: a cause is shown, and it has none.
        3 => (error.into(), None),
        4 => (
            rusqlite::Error::SqliteFailure(error, None).into(),
            Some(code),
        ),
        5 => {
            let failure = rusqlite::Error::SqliteFailure(error, Some(text));
            (failure.into(), Some(code))
        }
        _ => {
            let sql = format!("SELECT nope, '{SECRET} in {SECRET}' FROM t");
            let refused = rusqlite::Error::SqlInputError {
                error,
                msg: text,
                sql,
                offset: 7,
            };
            (refused.into(), Some(code))
        }
    }
}

fn wrap(kind: usize, inner: Boxed) -> Boxed {
    match kind {
        0 => Context(inner).into(),
        1 => io::Error::other(inner).into(),
        2 => io::Error::new(io::ErrorKind::TimedOut, inner).into(),
        3 => Transparent(Context(inner)).into(),
        4 => Transparent(io::Error::other(inner)).into(),
        5 => Arc::new(Context(inner)).into(),
        6 => anyhow::Error::from_boxed(inner).context("tick").into(),
        _ => Box::new(io::Error::other(inner)).into(),
    }
}

fn told<'v>(verdict: &'v Verdict<'_>) -> (Class, error_classify::Remedy, Option<i32>, &'v str) {
    let code = verdict.code();
    (verdict.class(), verdict.remedy(), code, verdict.rule())
}

/// One case. `shown` is only there to be used again.
fn check(seed: u64, real: &[&str], shown: &mut String) {
    let dice = &mut Dice(seed);
    let (mut error, code) = end(dice, real);
    let layers = if dice.below(50) == 0 {
        90
    } else {
        dice.below(6)
    };
    for _ in 0..layers {
        error = wrap(dice.below(8), error);
    }
    let verdict = classify(&*error);
    assert!(verdict.depth() < 64 && !verdict.rule().is_empty(), "{seed}");
    shown.clear();
    write!(shown, "{verdict}").expect("a string has room");
    let is_one_line = !shown.contains(char::is_control) && !shown.contains(SECRET);
    assert!(is_one_line, "{seed}: {shown:?}");
    if let Some(missing) = verdict.missing() {
        let lengths = missing.name().len() + missing.table().map_or(0, str::len);
        assert!(lengths < 4096, "{seed}");
        shown.clear();
        write!(shown, "{missing}").expect("a string has room");
        assert!(!shown.contains(char::is_control), "{seed}: {shown:?}");
        assert_eq!(&missing.clone().into_owned(), missing, "{seed}");
    }
    // Deeper than one looks, nothing is known.
    if let Some(code) = code.filter(|_| layers < 20) {
        let bare = ffi::Error::new(code);
        let bare = bare.verdict().expect("every code has a row");
        if code & 0xff == 1 {
            assert_eq!(verdict.code(), Some(code), "{seed}");
        } else {
            assert_eq!(told(&verdict), told(&bare), "{seed}: {error:?}");
        }
    }
    #[cfg(feature = "sqlstate")]
    {
        let text = message(dice, real);
        let any = text.get(..5).unwrap_or(&text);
        assert!(!error_classify::classify_sqlstate(any).rule().is_empty());
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed repeats the run")]
fn no_made_up_error_panics_or_lets_its_text_decide() {
    let (cases, seed) = (number("FUZZ_CASES", CASES), number("FUZZ_SEED", SEED));
    println!("FUZZ_SEED={seed} FUZZ_CASES={cases}");
    let entries = golden();
    let real: Vec<&str> = entries.iter().map(|entry| entry.message).collect();
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    thread::scope(|scope| {
        for first in 0..threads {
            let real = &real;
            scope.spawn(move || {
                let mut shown = String::new();
                for case in (first..cases).step_by(threads as usize) {
                    check(seed.wrapping_add(case), real, &mut shown);
                }
            });
        }
    });
}
