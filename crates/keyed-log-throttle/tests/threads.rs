//! Proves that counts are conserved and lines stay apart when eight threads check, sweep, drain, recover and forget the
//! same few keys at once. Each thread keeps its own notebook; at the end the notebooks and the totals must agree.

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use support::{Throttle, W};

const THREADS: u64 = 8;
const STEPS: u64 = 20_000;

/// What one thread was told.
#[derive(Default)]
struct Notebook {
    observed: u64,
    permitted: u64,
    reported: u64,
}

fn work(throttle: &Throttle, clock: &impl Fn(Duration), thread: u64) -> Notebook {
    let mut notes = Notebook::default();
    // A small generator with a fixed seed per thread: the same mix each run.
    let mut random = thread.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut handle = throttle.handle("board-0", 0);
    for _ in 0..STEPS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (key, class) = (
            format!("board-{}", random >> 8 & 7),
            (random >> 16 & 1) as u16,
        );
        let mut checked = |line: Option<keyed_log_throttle::Line>| {
            notes.observed += 1;
            notes.permitted += u64::from(line.is_some());
            line.map_or(0, |line| line.suppressed)
        };
        notes.reported += match random % 64 {
            0 => taken(|said| throttle.sweep(|_, _, pending| *said += pending.suppressed)),
            1 if random >> 32 & 7 == 0 => {
                taken(|said| throttle.drain(|_, _, pending| *said += pending.suppressed))
            }
            2 => throttle.recovered(&key).map_or(0, |end| end.suppressed),
            3 => throttle.forget(&key).map_or(0, |end| end.suppressed),
            4 => {
                clock(Duration::from_secs(7));
                0
            }
            5 => {
                handle = throttle.handle(&key, class);
                0
            }
            6..20 => checked(handle.check()),
            _ => checked(throttle.check(&key, class)),
        };
    }
    notes
}

fn taken(verb: impl FnOnce(&mut u64) -> usize) -> u64 {
    let mut said = 0;
    verb(&mut said);
    said
}

fn race(capacity: usize) {
    let (builder, clock) = support::builder();
    let throttle = builder.capacity(capacity).remember(Duration::ZERO).build();
    let advance = |by| clock.advance(by);
    let mut sum = Notebook::default();
    thread::scope(|scope| {
        let spawn = |thread| {
            scope.spawn({
                let (throttle, advance) = (&throttle, &advance);
                move || work(throttle, advance, thread)
            })
        };
        let running: Vec<_> = (1..=THREADS).map(spawn).collect();
        for thread in running {
            let notes = thread.join().expect("no thread panics");
            sum.observed += notes.observed;
            sum.permitted += notes.permitted;
            sum.reported += notes.reported;
        }
    });
    let totals = throttle.totals();
    assert!(totals.is_conserved(), "{totals:?}");
    assert_eq!(
        (totals.observed, totals.permitted, totals.reported),
        (sum.observed, sum.permitted, sum.reported)
    );
    let rest = taken(|said| throttle.drain(|_, _, pending| *said += pending.suppressed));
    assert_eq!(sum.observed, sum.permitted + sum.reported + rest);
    assert!(throttle.len() <= capacity && totals.evicted > 0 && rest == totals.pending);
}

#[test]
fn eight_threads_lose_no_count_with_room() {
    race(1_000);
}

#[test]
fn eight_threads_lose_no_count_without_room() {
    race(3);
}

#[test]
fn one_window_gives_one_line_to_eight_threads() {
    let (throttle, clock) = support::throttle();
    let handle = throttle.handle("alpha", 1);
    for window in 0..200 {
        let lines: usize = thread::scope(|scope| {
            let by_key = || {
                (0..5)
                    .filter(|_| throttle.check("alpha", 1).is_some())
                    .count()
            };
            let by_handle = || (0..5).filter(|_| handle.check().is_some()).count();
            let running: Vec<_> = (0..THREADS)
                .map(|n| {
                    if n % 2 == 0 {
                        scope.spawn(by_key)
                    } else {
                        scope.spawn(by_handle)
                    }
                })
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("no thread panics"))
                .sum()
        });
        assert_eq!(lines, 1, "window {window}");
        clock.advance(W);
    }
    assert_eq!(throttle.totals().observed, 200 * 8 * 5);
    assert!(throttle.totals().is_conserved());
}

#[test]
fn eight_threads_that_bring_new_keys_at_once_stay_within_the_bound() {
    for round in 0..100 {
        let (builder, _) = support::builder();
        let (throttle, start) = (builder.capacity(20).build(), Barrier::new(THREADS as usize));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (throttle, start) = (&throttle, &start);
                scope.spawn(move || {
                    start.wait();
                    for key in 0..8 {
                        let _ = throttle.check(&format!("board-{thread}-{key}"), 1);
                    }
                });
            }
        });
        // Two of the twenty are for what is shared, and there is one class.
        assert_eq!(throttle.len(), 19, "round {round}");
        assert_eq!(throttle.totals().folded, THREADS * 8 - 18);
        assert!(throttle.totals().is_conserved());
    }
}

#[test]
fn two_takers_of_one_count_share_it() {
    let (builder, _) = support::builder();
    let throttle = builder.build();
    let (handle, start) = (throttle.handle("alpha", 1), Barrier::new(4));
    let told: u64 = thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let drain = |_| taken(|sum| throttle.drain(|_, _, p| *sum += p.suppressed));
                    (0..20_000).map(drain).sum::<u64>()
                })
            })
            .collect();
        start.wait();
        for _ in 0..60_000 {
            let _ = handle.check();
        }
        takers
            .into_iter()
            .map(|taker| taker.join().expect("no thread panics"))
            .sum()
    });
    assert_eq!(told + throttle.totals().pending, 59_999);
    assert_eq!(throttle.totals().reported, told);
}
