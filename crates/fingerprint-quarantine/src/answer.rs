//! From what there is to do about a key to what to tell who asked, by a look if it takes one.

use std::time::Duration;

use crate::admission::Reason;
use crate::held::Held;
use crate::look::Look;
use crate::probe::{Looked, Probe};
use crate::sync::Arc;

/// What there is to do about a key that was asked for.
pub(crate) enum Asked<K, T> {
    Healthy,
    Held(Held),
    Probing,
    /// Go, after taking a stamp.
    Go(Probe<K, T>, Reason),
    /// Take a stamp and compare it with this; the time is that of the question.
    Look(Probe<K, T>, Arc<T>, Duration),
}

/// What to tell who asked. Not an `Admission` yet: that one lives in the caller's registers as long as no other function has to write it.
pub(crate) enum Answer<K, T> {
    Healthy(Option<T>),
    Held(Held),
    Probing,
    Go(Probe<K, T>, Reason, T),
}

// ===== impl Asked =====

impl<K, T> Asked<K, T> {
    #[cold]
    pub(crate) fn answer<L: Look<T>>(self, look: L) -> Answer<K, T>
    where
        T: Eq,
    {
        match self {
            Self::Healthy => Answer::Healthy(look.given()),
            Self::Held(held) => Answer::Held(held),
            Self::Probing => Answer::Probing,
            // In the next two a panic in `look` or `==` drops the probe, which frees the key.
            Self::Go(probe, why) => {
                let stamp = look.take();
                Answer::Go(probe, why, stamp)
            }
            Self::Look(probe, known, now) => {
                let stamp = look.take();
                match probe.looked(stamp != *known, now) {
                    Looked::Held(held) => Answer::Held(held),
                    Looked::Go(why) => Answer::Go(probe, why, stamp),
                    Looked::Gone => Answer::Healthy(Some(stamp)),
                }
            }
        }
    }
}
