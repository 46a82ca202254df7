//! One window length: governor's rate limiter over our entries.
//!
//! governor keeps its state through a trait. Ours hands it the cell inside an entry, so it does the arithmetic and the
//! clock reading, and never sees a map or a key.

use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::{RateLimitingMiddleware, StateSnapshot};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::entry::Slot;
use crate::sync::Ordering::{AcqRel, Acquire};

/// governor counts in u64 nanoseconds and adds window to now; half of that range is 292 years.
const WINDOW_NS_MAX: u64 = u64::MAX / 2;

/// Decides by one window length.
pub(crate) struct Gate<K, C: Clock> {
    /// `None` for a window of zero: nothing is ever held back.
    limiter: Option<RateLimiter<Slot<K>, Cells<K>, C, Quiet>>,
    window_ns: u64,
}

// ===== impl Gate =====

impl<K, C: Clock> Gate<K, C> {
    pub(crate) fn new(window: Duration, clock: C) -> Self {
        let window_ns = u64::try_from(window.as_nanos())
            .unwrap_or(u64::MAX)
            .min(WINDOW_NS_MAX);
        let limiter = Quota::with_period(Duration::from_nanos(window_ns))
            .map(|quota| RateLimiter::new(quota, Cells(PhantomData), clock));
        Self { limiter, window_ns }
    }

    pub(crate) fn window(&self) -> Duration {
        Duration::from_nanos(self.window_ns)
    }

    /// The window in nanoseconds, unless it is zero: then nothing is counted.
    pub(crate) fn counts(&self) -> Option<u64> {
        self.limiter.is_some().then_some(self.window_ns)
    }

    /// Asks for the window's one permit.
    pub(crate) fn admit(&self, slot: &Slot<K>) -> bool {
        self.limiter
            .as_ref()
            .is_none_or(|limiter| limiter.check_key(slot).is_ok())
    }

    /// When the entry last got its permit; `None` when permits are not counted or none was given.
    pub(crate) fn permitted_at(&self, slot: &Slot<K>) -> Option<u64> {
        slot.tat
            .load(Acquire)
            .checked_sub(self.window_ns)
            .filter(|_| self.limiter.is_some())
    }

    /// How long the entry's window has been over at `now`; `None` while it lasts.
    pub(crate) fn over_for(&self, slot: &Slot<K>, now: u64) -> Option<u64> {
        match self.limiter {
            Some(_) => now.checked_sub(slot.tat.load(Acquire)),
            None => Some(now.saturating_sub(slot.told_at())),
        }
    }
}

/// Where governor finds the cell of a slot.
struct Cells<K>(PhantomData<fn(K)>);

impl<K> StateStore for Cells<K> {
    type Key = Slot<K>;

    fn measure_and_replace<T, F, E>(&self, slot: &Slot<K>, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut tat = slot.tat.load(Acquire);
        loop {
            // Only a permit is stored; a refusal leaves the cell as it was.
            let (outcome, next) = measure(NonZeroU64::new(tat).map(|tat| Nanos::new(tat.get())))?;
            match slot
                .tat
                .compare_exchange_weak(tat, next.into(), AcqRel, Acquire)
            {
                Ok(_) => return Ok(outcome),
                Err(seen) => tat = seen,
            }
        }
    }
}

/// governor's answer without the details we do not use.
#[derive(Debug)]
enum Quiet {}

impl<P: Reference> RateLimitingMiddleware<P> for Quiet {
    type PositiveOutcome = ();
    type NegativeOutcome = ();

    fn allow<K>(_: &K, _: impl Into<StateSnapshot>) {}

    fn disallow<K>(_: &K, _: impl Into<StateSnapshot>, _: P) {}
}
