//! The right to try a key, and the duty to say how it went.

use std::fmt;

use hashbrown::Equivalent;

use crate::admission::{Admission, Reason};
use crate::clock::{Clock, Monotonic};
use crate::core::Core;
use crate::held::{Held, Recovery};
use crate::hold::Hold;
use crate::look::Look;
use crate::probe::{Looked, Probe};
use crate::record::Failure;
use crate::slot::{Asked, Slot};
use crate::sync::Arc;

/// The right to try a key once, from [`Admission::Go`]; say how it went with [`ok`](Self::ok) or [`failed`](Self::failed).
///
/// For a key on record it is the only one there is, until it ends; a healthy key may be tried by many at once. Dropped without a
/// word (a shutdown, a panic, a busy lock) it changes nothing: the next one to ask is allowed for the same reason.
///
/// It cannot be used twice:
/// ```compile_fail,E0382
/// use fingerprint_quarantine::{Attempt, Hold};
/// fn twice(attempt: Attempt<'_, u32, u32>) {
///     attempt.failed(&Hold::until_changed());
///     attempt.ok();
/// }
/// ```
#[must_use = "an attempt that is dropped is as if it had not been"]
pub struct Attempt<'q, K, T, C = Monotonic, Q: ?Sized = K> {
    core: &'q Core<K, T, C>,
    origin: Origin<'q, K, T, Q>,
    why: Reason,
    /// What the thing looked like before the attempt.
    stamp: Option<T>,
}

enum Origin<'q, K, T, Q: ?Sized> {
    /// Nothing was on record; the number is the count of releases at that time.
    Healthy(Door<'q, K, T, Q>, u64),
    Probe(Probe<K, T>),
}

/// How the caller came in, and so where a first failure is noted.
pub(crate) enum Door<'q, K, T, Q: ?Sized> {
    Key(&'q Q, u64),
    Handle(&'q Arc<Slot<K, T>>),
}

// ===== impl Attempt =====

impl<'q, K, T, C, Q: ?Sized> Attempt<'q, K, T, C, Q> {
    /// Why it is allowed.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Quarantine, Reason};
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let attempt = quarantine.admit("a", || 1).go().unwrap();
    /// assert_eq!(attempt.why(), Reason::New);
    /// ```
    #[must_use]
    pub fn why(&self) -> Reason {
        self.why
    }

    /// The stamp it would be held with; `None` at the first attempt by [`Quarantine::admit`](crate::Quarantine::admit).
    #[must_use]
    pub fn stamp(&self) -> Option<&T> {
        self.stamp.as_ref()
    }

    /// Replaces the stamp: for a caller that has just changed the thing itself, say by a repair, and will try it once more now.
    ///
    /// Take it after the repair and before the second try, so that no later change is missed.
    ///
    /// ```
    /// use fingerprint_quarantine::{Admission, Hold, Quarantine};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let mut attempt = quarantine.admit_stamped("a", 1).go().unwrap();
    /// // It fails, is repaired, which writes, and fails again.
    /// attempt.restamp(2);
    /// attempt.failed(&Hold::until_changed());
    /// assert!(matches!(quarantine.admit("a", || 2), Admission::Held(_)));
    /// ```
    pub fn restamp(&mut self, stamp: T) {
        self.stamp = Some(stamp);
    }

    /// An attempt at a key with nothing on record.
    #[inline]
    pub(crate) fn admit_healthy(
        core: &'q Core<K, T, C>,
        door: Door<'q, K, T, Q>,
        stamp: Option<T>,
    ) -> Admission<'q, K, T, C, Q> {
        Admission::Go(Self {
            core,
            origin: Origin::Healthy(door, core.releases.count()),
            why: Reason::New,
            stamp,
        })
    }

    #[cold]
    pub(crate) fn admit_on_record<L>(
        core: &'q Core<K, T, C>,
        asked: Asked<K, T>,
        door: Door<'q, K, T, Q>,
        look: L,
    ) -> Admission<'q, K, T, C, Q>
    where
        T: Eq,
        L: Look<T>,
    {
        let (probe, why, stamp) = match asked {
            Asked::Held(held) => return Admission::Held(held),
            Asked::Probing => return Admission::Probing,
            Asked::Healthy => return Self::admit_healthy(core, door, look.given()),
            // In the next two a panic in `look` or `==` drops the probe, which frees the key.
            Asked::Go(probe, why) => {
                let stamp = look.take();
                (probe, why, stamp)
            }
            Asked::Look(probe, known, now) => {
                let stamp = look.take();
                match probe.looked(stamp != *known, now) {
                    Looked::Held(held) => return Admission::Held(held),
                    Looked::Go(why) => (probe, why, stamp),
                    Looked::Gone => return Self::admit_healthy(core, door, Some(stamp)),
                }
            }
        };
        Admission::Go(Self {
            core,
            origin: Origin::Probe(probe),
            why,
            stamp: Some(stamp),
        })
    }
}

impl<K, T, C: Clock, Q: ?Sized> Attempt<'_, K, T, C, Q> {
    /// It went well: nothing is on record any more. Returns the incident that this ends, if there was one.
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine, Reason};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// quarantine.admit_stamped("a", 1).go().unwrap().failed(&Hold::until_changed());
    /// let recovery = quarantine.admit_stamped("a", 2).go().unwrap().ok().unwrap();
    /// assert_eq!((recovery.attempts, recovery.why), (1, Reason::Changed));
    /// assert!(quarantine.admit_stamped("a", 2).go().unwrap().ok().is_none());
    /// ```
    #[inline]
    pub fn ok(self) -> Option<Recovery> {
        match &self.origin {
            Origin::Healthy(..) => None,
            Origin::Probe(probe) => self.core.succeed(probe, self.why),
        }
    }

    /// It failed: leave the key alone as `hold` says. Returns what is on record now.
    ///
    /// Without a stamp (the first attempt by [`Quarantine::admit`](crate::Quarantine::admit)) the key goes on probation instead. After a
    /// manual release that came while this attempt was out, it stays released. And an attempt at a healthy key that fails when others
    /// which began beside it have put it on record already changes nothing.
    ///
    /// If the attempt itself may change the stamp, prefer [`failed_leaving`](Self::failed_leaving).
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine, Standing};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let first = quarantine.admit("a", || 1).go().unwrap().failed(&Hold::until_changed());
    /// assert_eq!(first.standing, Standing::Probation);
    /// let second = quarantine.admit("a", || 1).go().unwrap().failed(&Hold::until_changed());
    /// assert_eq!((second.standing, second.attempts), (Standing::Held, 2));
    /// ```
    pub fn failed(self, hold: &Hold) -> Held
    where
        Q: Equivalent<K> + ToOwned<Owned = K>,
    {
        self.fail(hold, None)
    }

    /// [`failed`](Self::failed), with the stamp that the attempt leaves behind: if it differs from the one before, the attempt has probably
    /// changed the thing itself.
    ///
    /// A key whose stamp would release it because of its own attempts is told apart from one that others write to, after two such
    /// attempts in a row, and then waits for its timer (if its hold has one) until an attempt leaves the stamp alone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fingerprint_quarantine::{Admission, Backoff, Hold, Quarantine};
    ///
    /// let hold = Hold::until_changed().or_retry(Backoff::every(Duration::from_secs(60)));
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let mut file = 0;
    /// for _ in 0..2 {
    ///     let attempt = quarantine.admit_stamped("a", file).go().unwrap();
    ///     file += 1; // The attempt writes, and fails.
    ///     attempt.failed_leaving(&file, &hold);
    /// }
    /// let Admission::Held(held) = quarantine.admit_stamped("a", file) else { unreachable!() };
    /// assert!(held.self_disturbing);
    /// ```
    pub fn failed_leaving(self, after: &T, hold: &Hold) -> Held
    where
        T: Eq,
        Q: Equivalent<K> + ToOwned<Owned = K>,
    {
        let disturbed = self.stamp.as_ref().map(|before| before != after);
        self.fail(hold, disturbed)
    }

    fn fail(self, hold: &Hold, disturbed: Option<bool>) -> Held
    where
        Q: Equivalent<K> + ToOwned<Owned = K>,
    {
        let failure = Failure {
            why: self.why,
            stamp: self.stamp.map(Arc::new),
            disturbed,
            hold: *hold,
            now: self.core.clock.now(),
        };
        match self.origin {
            Origin::Probe(probe) => self.core.fail_probe(&probe, failure),
            Origin::Healthy(Door::Handle(slot), before) => {
                self.core.fail_new(slot, before, failure)
            }
            Origin::Healthy(Door::Key(key, hash), before) => {
                let fresh = Slot::new(key.to_owned(), hash);
                self.core.fail_by_key(key, fresh, before, failure)
            }
        }
    }
}

impl<K, T: fmt::Debug, C, Q: ?Sized> fmt::Debug for Attempt<'_, K, T, C, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("why", &self.why)
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
    }
}
