//! What is remembered of a key in trouble, and the rules. Pure: time and stamps come in, answers go out.
//!
//! | from | by | to |
//! |---|---|---|
//! | (healthy) | an unstamped attempt fails | probation |
//! | (healthy) | a stamped attempt fails | held |
//! | probation, held, released | the probe fails | held; stays released if that came meanwhile |
//! | held, probation | `release` | released |
//! | any | the probe succeeds, `forget` | (healthy) |
//! | any | the probe is dropped | the same, without a probe |
//!
//! The probe is the one attempt, or look, that a key on record has out at a time.

use std::time::Duration;

use crate::admission::Reason;
use crate::disturbance::Disturbance;
use crate::held::{Held, Recovery, Standing};
use crate::hold::Hold;
use crate::past::Past;
use crate::quiet::Quiet;
use crate::sync::Arc;

#[derive(Debug)]
pub(crate) struct Record<T> {
    started: Duration,
    attempts: u32,
    /// How many timed attempts in a row have failed, those of a past that has not faded included.
    timed_rounds: u32,
    /// `None` on probation. Invariant: from then on always `Some`, with a stamp taken before the attempt that failed.
    last: Option<Failed<T>>,
    /// Set by `release`; cleared when an attempt that began after it fails.
    released: bool,
    /// Counts the releases, so that an attempt can tell whether one came while it was out.
    releases: u64,
    /// The attempt or look that is out. Invariant: nobody but its holder ends it.
    probe: Option<u64>,
}

/// The last failure, and how long it counts.
#[derive(Debug)]
struct Failed<T> {
    stamp: Arc<T>,
    hold: Hold,
    /// The hold's timer, with growth and jitter.
    delay: Option<Duration>,
    /// When it failed; moved forward to now when the clock turns out to have stepped back.
    at: Duration,
    disturbance: Disturbance,
}

/// One failure, as the attempt reports it.
#[derive(Debug)]
pub(crate) struct Failure<T> {
    pub(crate) why: Reason,
    /// From before the attempt, if one was taken.
    pub(crate) stamp: Option<Arc<T>>,
    /// Whether it was another one right after the attempt.
    pub(crate) changed: bool,
    pub(crate) hold: Hold,
    pub(crate) now: Duration,
}

/// What may be done about a key on record.
#[derive(Debug)]
pub(crate) enum Ask<T> {
    Probing,
    Held(Held),
    /// Go, after taking a stamp.
    Go(Reason),
    /// Take a stamp and compare it with this.
    Look(Arc<T>),
}

// ===== impl Record =====

impl<T> Record<T> {
    /// The first failure of an incident; `past` is what is remembered of the one before.
    pub(crate) fn new(failure: Failure<T>, past: Option<Past>, seed: u64) -> Self {
        let timed_rounds = past.map_or(0, |past| past.rounds(failure.now));
        Self {
            started: failure.now,
            attempts: 1,
            timed_rounds,
            last: Failed::new(failure, None, timed_rounds, seed),
            released: false,
            releases: 0,
            probe: None,
        }
    }

    pub(crate) fn ask(&mut self, now: Duration) -> Ask<T> {
        if self.probe.is_some() {
            return Ask::Probing;
        }
        if self.released {
            return Ask::Go(Reason::Manual);
        }
        let Some(last) = &mut self.last else {
            return Ask::Go(Reason::Probation);
        };
        let elapsed = last.elapsed(now);
        if elapsed >= last.hold.min_hold {
            if last.delay.is_some_and(|delay| elapsed >= delay) {
                return Ask::Go(Reason::Timer);
            }
            if last.heeds_change() {
                return Ask::Look(Arc::clone(&last.stamp));
            }
        }
        Ask::Held(self.held(now))
    }

    /// What a look came to; `None` to leave the key alone.
    pub(crate) fn looked(&self, changed: bool) -> Option<Reason> {
        if self.released {
            return Some(Reason::Manual);
        }
        let last = self.last.as_ref()?;
        (changed && last.heeds_change()).then_some(Reason::Changed)
    }

    /// The probe that began at `releases` has failed.
    pub(crate) fn fail(&mut self, failure: Failure<T>, releases: u64, seed: u64) {
        self.attempts = self.attempts.saturating_add(1);
        // A release that came meanwhile wins: it may have mended what this attempt still met.
        self.released &= self.releases != releases;
        self.timed_rounds = match failure.why {
            Reason::Timer => self.timed_rounds.saturating_add(1),
            Reason::Manual => 0,
            Reason::New | Reason::Probation | Reason::Changed => self.timed_rounds,
        };
        self.last = Failed::new(failure, self.last.take(), self.timed_rounds, seed);
    }

    pub(crate) fn release(&mut self) {
        self.released = true;
        self.releases = self.releases.wrapping_add(1);
    }

    pub(crate) fn releases(&self) -> u64 {
        self.releases
    }

    /// What to remember of the incident, now that an attempt has succeeded.
    pub(crate) fn past(&self, why: Reason, now: Duration) -> Option<Past> {
        let decay = self.last.as_ref()?.hold.retry?.decay;
        // After a change or a release somebody has mended it, and what fails next is something else.
        match why {
            Reason::Timer => Past::new(self.timed_rounds.saturating_add(1), now, decay),
            _ => None,
        }
    }

    /// Until when nothing but a release can change the answer, which is "held".
    pub(crate) fn quiet(&self) -> Option<Quiet> {
        if self.probe.is_some() || self.released {
            return None;
        }
        let last = self.last.as_ref()?;
        let retry = last.timer();
        let least = last.hold.min_hold;
        // Without a change to look for, until the timer.
        let length = if last.heeds_change() {
            Some(least)
        } else {
            retry
        };
        Some(Quiet {
            started: self.started,
            from: last.at,
            until: length.map(|length| last.at.saturating_add(length)),
            retry_at: retry.map(|retry| last.at.saturating_add(retry)),
            attempts: self.attempts,
            on_change: last.heeds_change(),
            self_disturbing: last.is_self_disturbing(),
        })
    }

    pub(crate) fn recovery(&self, why: Reason, now: Duration) -> Recovery {
        Recovery {
            lasted: now.saturating_sub(self.started),
            attempts: self.attempts,
            why,
        }
    }

    pub(crate) fn held(&self, now: Duration) -> Held {
        let held = Held {
            standing: Standing::Held,
            since: now.saturating_sub(self.started),
            attempts: self.attempts,
            retry_in: Some(Duration::ZERO),
            on_change: false,
            self_disturbing: false,
            probing: self.probe.is_some(),
        };
        match &self.last {
            _ if self.released => Held {
                standing: Standing::Released,
                ..held
            },
            None => Held {
                standing: Standing::Probation,
                ..held
            },
            Some(last) => Held {
                retry_in: last.retry_in(now),
                on_change: last.heeds_change(),
                self_disturbing: last.is_self_disturbing(),
                ..held
            },
        }
    }

    pub(crate) fn begin_probe(&mut self, id: u64) {
        debug_assert!(self.probe.is_none(), "asked before");
        self.probe = Some(id);
    }

    pub(crate) fn is_probed_by(&self, id: u64) -> bool {
        self.probe == Some(id)
    }

    /// Ends the probe `id`, if it is out.
    pub(crate) fn end_probe(&mut self, id: u64) {
        self.probe.take_if(|probe| *probe == id);
    }
}

// ===== impl Failed =====

impl<T> Failed<T> {
    fn new(failure: Failure<T>, before: Option<Self>, rounds: u32, seed: u64) -> Option<Self> {
        let disturbance = before.map_or(Disturbance::default(), |before| before.disturbance);
        Some(Self {
            stamp: failure.stamp?,
            hold: failure.hold,
            delay: failure.hold.retry.map(|retry| retry.delay(rounds, seed)),
            at: failure.now,
            disturbance: disturbance.and(failure.changed),
        })
    }

    fn elapsed(&mut self, now: Duration) -> Duration {
        // A clock that stepped back would add the whole step to the wait. So the wait begins again: one more, at most.
        self.at = self.at.min(now);
        now - self.at
    }

    fn retry_in(&self, now: Duration) -> Option<Duration> {
        let elapsed = now.saturating_sub(self.at);
        self.timer().map(|wait| wait.saturating_sub(elapsed))
    }

    /// The wait for the timer, which `min_hold` may outlast.
    fn timer(&self) -> Option<Duration> {
        self.delay.map(|delay| delay.max(self.hold.min_hold))
    }

    fn is_self_disturbing(&self) -> bool {
        self.hold.on_change && !self.heeds_change()
    }

    /// Without a timer there is nothing to fall back to, and `min_hold` is all that bounds a key which disturbs itself.
    fn heeds_change(&self) -> bool {
        self.hold.on_change && !(self.disturbance.is_found() && self.delay.is_some())
    }
}
