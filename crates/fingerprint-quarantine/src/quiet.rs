//! The answer to most questions about a held key, kept where it can be read without the lock: "held, and not even looked at until then".
//!
//! A sequence lock (Boehm, "Can seqlocks get along with programming language memory models?", 2012): who writes makes the version odd
//! before and even after; who reads looks at the version before and after, and believes what it read only if both are the same and even.
//! Otherwise it asks under the lock, where the truth is.

use std::time::Duration;

use crate::held::{Held, Standing};
use crate::sync::{AtomicU64, Ordering, fence};

/// Until when a key is held whatever it looks like, and what there is to say about it. All times are the clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// The first failure.
    pub(crate) started: Duration,
    /// The last failure. Before it, by a clock that stepped back, this says nothing.
    pub(crate) from: Duration,
    /// `None` for ever.
    pub(crate) until: Option<Duration>,
    /// When the timer runs out.
    pub(crate) retry_at: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) on_change: bool,
    pub(crate) self_disturbing: bool,
}

/// Stands for "never". A time that is as late as that, 584 years, is not published.
const NEVER: u64 = u64::MAX;
const ON_CHANGE: u64 = 1;
const SELF_DISTURBING: u64 = 2;
const ATTEMPTS_SHIFT: u32 = 32;

/// Where a [`Quiet`] is published. Written under the slot's lock only.
pub(crate) struct Board {
    version: AtomicU64,
    /// `until` of what is published, in nanoseconds; 0 if nothing is.
    until: AtomicU64,
    from: AtomicU64,
    started: AtomicU64,
    retry_at: AtomicU64,
    /// The number of attempts and the two marks.
    rest: AtomicU64,
}

// ===== impl Board =====

impl Board {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            version: zero(),
            until: zero(),
            from: zero(),
            started: zero(),
            retry_at: zero(),
            rest: zero(),
        }
    }

    /// What to answer at `now`, if that can be said without the lock.
    #[inline]
    pub(crate) fn read(&self, now: Duration) -> Option<Held> {
        let now = nanos(now)?;
        let version = self.version.load(Ordering::Acquire);
        let until = self.until.load(Ordering::Relaxed);
        if now >= until || version & 1 != 0 {
            return None;
        }
        let from = self.from.load(Ordering::Relaxed);
        let started = self.started.load(Ordering::Relaxed);
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        let rest = self.rest.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if self.version.load(Ordering::Relaxed) != version || now < from {
            return None;
        }
        let wait = Duration::from_nanos(retry_at.saturating_sub(now));
        Some(Held {
            standing: Standing::Held,
            since: Duration::from_nanos(now.saturating_sub(started)),
            attempts: (rest >> ATTEMPTS_SHIFT) as u32,
            retry_in: (retry_at != NEVER).then_some(wait),
            on_change: rest & ON_CHANGE != 0,
            self_disturbing: rest & SELF_DISTURBING != 0,
            probing: false,
        })
    }

    /// Publishes `quiet`, or that there is nothing to say. The caller has the slot's lock.
    pub(crate) fn write(&self, quiet: Option<Quiet>) {
        let [until, from, started, retry_at, rest] = quiet.and_then(words).unwrap_or_default();
        if until == 0 && self.until.load(Ordering::Relaxed) == 0 {
            return;
        }
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version | 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.until.store(until, Ordering::Relaxed);
        self.from.store(from, Ordering::Relaxed);
        self.started.store(started, Ordering::Relaxed);
        self.retry_at.store(retry_at, Ordering::Relaxed);
        self.rest.store(rest, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }
}

/// `None` if a time does not fit, or if it is over as soon as it begins.
fn words(quiet: Quiet) -> Option<[u64; 5]> {
    let from = nanos(quiet.from)?;
    let until = match quiet.until {
        // A time that does not fit is later than any `now` that does.
        Some(until) => nanos(until).unwrap_or(NEVER),
        None => NEVER,
    };
    let retry_at = match quiet.retry_at {
        Some(retry_at) => nanos(retry_at).filter(|at| *at != NEVER)?,
        None => NEVER,
    };
    let marks = [
        (quiet.on_change, ON_CHANGE),
        (quiet.self_disturbing, SELF_DISTURBING),
    ];
    let marks = marks.iter().filter(|(set, _)| *set);
    let rest = u64::from(quiet.attempts) << ATTEMPTS_SHIFT | marks.map(|(_, bit)| bit).sum::<u64>();
    (until > from).then_some([until, from, nanos(quiet.started)?, retry_at, rest])
}

#[inline]
fn nanos(time: Duration) -> Option<u64> {
    u64::try_from(time.as_nanos()).ok()
}

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::{Board, Quiet};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn quiet() -> Quiet {
        Quiet {
            started: SECOND,
            from: SECOND * 3,
            until: Some(SECOND * 5),
            retry_at: Some(SECOND * 9),
            attempts: 7,
            on_change: true,
            self_disturbing: false,
        }
    }

    #[test]
    fn it_speaks_from_the_failure_until_the_end_and_not_at_it() {
        let board = Board::new();
        assert_eq!(board.read(Duration::ZERO), None);
        board.write(Some(quiet()));
        let tick = Duration::from_nanos(1);
        assert!(board.read(SECOND * 3 - tick).is_none());
        assert!(board.read(SECOND * 3).is_some());
        let last = board.read(SECOND * 5 - tick).unwrap();
        assert_eq!(
            (last.since, last.retry_in),
            (SECOND * 4 - tick, Some(SECOND * 4 + tick))
        );
        assert_eq!((last.attempts, last.on_change), (7, true));
        assert!(!last.self_disturbing && !last.probing);
        assert!(board.read(SECOND * 5).is_none());
        board.write(None);
        assert!(board.read(SECOND * 4).is_none());
    }

    #[test]
    fn what_does_not_fit_is_left_to_the_lock() {
        let board = Board::new();
        let late = Duration::from_nanos(u64::MAX);
        let reads = |quiet: Quiet, now: Duration| {
            board.write(Some(quiet));
            board.read(now)
        };
        let forever = Quiet {
            until: None,
            retry_at: None,
            on_change: false,
            self_disturbing: true,
            ..quiet()
        };
        let held = reads(forever, late - SECOND).unwrap();
        assert_eq!((held.retry_in, held.self_disturbing), (None, true));
        assert!(!held.on_change);
        assert!(reads(forever, late).is_none());
        assert!(reads(forever, Duration::MAX).is_none());
        let now = SECOND * 4;
        for changed in [
            Quiet {
                retry_at: Some(late),
                ..quiet()
            },
            Quiet {
                retry_at: Some(Duration::MAX),
                ..quiet()
            },
            Quiet {
                started: Duration::MAX,
                ..quiet()
            },
            Quiet {
                from: Duration::MAX,
                ..quiet()
            },
            Quiet {
                until: Some(SECOND * 3),
                ..quiet()
            },
        ] {
            assert!(reads(changed, now).is_none(), "{changed:?}");
        }
        let long = Quiet {
            until: Some(Duration::MAX),
            retry_at: None,
            ..quiet()
        };
        assert!(reads(long, now).is_some());
    }
}

#[cfg(all(test, fingerprint_loom))]
mod loom_tests {
    use super::{Board, Quiet};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    /// Every time of failure `n` is `n` seconds into it, and it is the `n`th.
    fn nth(n: u32) -> Quiet {
        Quiet {
            started: SECOND * n,
            from: SECOND * n,
            until: None,
            retry_at: Some(SECOND * n * 100),
            attempts: n,
            on_change: false,
            self_disturbing: false,
        }
    }

    #[test]
    fn loom_a_reader_beside_a_writer_gets_one_failure_or_the_next_and_nothing_of_both() {
        loom::model(|| {
            let board = loom::sync::Arc::new(Board::new());
            board.write(Some(nth(1)));
            let writer = loom::thread::spawn({
                let board = loom::sync::Arc::clone(&board);
                move || {
                    board.write(None);
                    board.write(Some(nth(2)));
                }
            });
            let now = SECOND * 5;
            if let Some(held) = board.read(now) {
                let n = held.attempts;
                let whole = (now - SECOND * n, Some(SECOND * n * 100 - now));
                assert_eq!((held.since, held.retry_in), whole);
            }
            writer.join().unwrap();
            assert_eq!(board.read(now).unwrap().attempts, 2);
        });
    }
}
