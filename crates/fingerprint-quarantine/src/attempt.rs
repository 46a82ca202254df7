//! The right to try a key, and the duty to say how it went.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use hashbrown::Equivalent;

use crate::admission::{Admission, Reason};
use crate::answer::Answer;
use crate::clock::{Clock, Monotonic};
use crate::core::Core;
use crate::held::{Held, Recovery};
use crate::hold::Hold;
use crate::probe::Probe;
use crate::record::Failure;
use crate::slot::Slot;
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
///     attempt.failed(&Hold::until_changed(), |_| 1);
///     attempt.ok();
/// }
/// ```
/// or cloned:
/// ```compile_fail,E0599
/// use fingerprint_quarantine::Attempt;
/// fn both<'q>(attempt: Attempt<'q, u32, u32>) -> [Attempt<'q, u32, u32>; 2] {
///     [attempt.clone(), attempt]
/// }
/// ```
/// or made by hand, for this key or another:
/// ```compile_fail,E0451
/// use fingerprint_quarantine::{Attempt, Reason};
/// fn forge(of: Attempt<'static, u32, u32>) -> Attempt<'static, u32, u32> {
///     Attempt { why: Reason::Manual, ..of }
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
    Key(&'q Q, &'q (dyn HashOf<Q> + Sync)),
    Handle(&'q Arc<Slot<K, T>>),
}

/// A hasher whose type does not matter any more: only a failure has to know a healthy key's hash.
pub(crate) trait HashOf<Q: ?Sized> {
    fn hash_of(&self, key: &Q) -> u64;
}

impl<Q: ?Sized + Hash, S: BuildHasher> HashOf<Q> for S {
    fn hash_of(&self, key: &Q) -> u64 {
        self.hash_one(key)
    }
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
    ///
    /// ```
    /// # use fingerprint_quarantine::Quarantine;
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// assert_eq!(quarantine.admit(&7, || 1).go().unwrap().stamp(), None);
    /// assert_eq!(quarantine.admit_stamped(&7, 1).go().unwrap().stamp(), Some(&1));
    /// ```
    #[must_use]
    pub fn stamp(&self) -> Option<&T> {
        self.stamp.as_ref()
    }

    /// How many keys are in trouble if this attempt fails: those on record, and this one, counted once. For a
    /// [`FleetGuard`](crate::FleetGuard).
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine};
    ///
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// let first = quarantine.admit_stamped(&1, 1).go().unwrap();
    /// assert_eq!(first.in_trouble(), 1);
    /// first.failed(&Hold::until_changed(), |_| 1);
    /// assert_eq!(quarantine.admit_stamped(&1, 2).go().unwrap().in_trouble(), 1);
    /// assert_eq!(quarantine.admit_stamped(&2, 1).go().unwrap().in_trouble(), 2);
    /// ```
    #[must_use]
    pub fn in_trouble(&self) -> usize
    where
        Q: Equivalent<K>,
    {
        let marks = &self.core.marks;
        match &self.origin {
            Origin::Probe(probe) => probe.slot().in_trouble(marks),
            Origin::Healthy(Door::Handle(slot), _) => slot.in_trouble(marks),
            // Nobody's hash is needed to count to one.
            Origin::Healthy(Door::Key(..), _) if marks.count() == 0 => 1,
            Origin::Healthy(Door::Key(key, hasher), _) => {
                self.core.in_trouble(*key, hasher.hash_of(key))
            }
        }
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
    /// attempt.failed(&Hold::until_changed(), |_| 2);
    /// assert!(matches!(quarantine.admit("a", || 2), Admission::Held(_)));
    /// ```
    pub fn restamp(&mut self, stamp: T) {
        self.stamp = Some(stamp);
    }

    #[inline]
    pub(crate) fn admit(
        core: &'q Core<K, T, C>,
        door: Door<'q, K, T, Q>,
        answer: Answer<K, T>,
    ) -> Admission<'q, K, T, C, Q> {
        let (origin, why, stamp) = match answer {
            Answer::Held(held) => return Admission::Held(held),
            Answer::Probing => return Admission::Probing,
            Answer::Go(probe, why, stamp) => (Origin::Probe(probe), why, Some(stamp)),
            Answer::Healthy(stamp) => {
                let origin = Origin::Healthy(door, core.releases.count());
                (origin, Reason::New, stamp)
            }
        };
        Admission::Go(Self {
            core,
            origin,
            why,
            stamp,
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
    /// quarantine.admit_stamped("a", 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// let recovery = quarantine.admit_stamped("a", 2).go().unwrap().ok().unwrap();
    /// assert_eq!((recovery.attempts, recovery.why), (1, Reason::Changed));
    /// assert!(quarantine.admit_stamped("a", 2).go().unwrap().ok().is_none());
    /// ```
    #[inline]
    pub fn ok(self) -> Option<Recovery> {
        // Moved out piece by piece, so that a healthy one is nothing but registers.
        match self.origin {
            Origin::Healthy(..) => None,
            Origin::Probe(probe) => self.core.succeed(probe, self.why),
        }
    }

    /// It failed: leave the key alone as `hold` says. Returns what is on record now.
    ///
    /// `observe` takes the stamp once more, and is given the one from before the attempt: if they differ, the attempt has probably changed
    /// the thing itself, and would release its own key for ever. After two such attempts of an incident, whoever it was that wrote meanwhile,
    /// the key waits for its timer (if its hold has one) until an attempt leaves the stamp alone; from then on one is enough. `observe`
    /// must really look: a copy of the stamp from before says that this attempt has changed nothing.
    ///
    /// Without a stamp (the first attempt by [`Quarantine::admit`](crate::Quarantine::admit)) there is nothing to compare: `observe` is not
    /// called, and the key goes on probation instead. After a manual release that came while this attempt was out, it stays released. And
    /// an attempt at a healthy key that fails when others which began beside it have put it on record already changes nothing.
    ///
    /// No lock is held while `observe` runs. If it panics, it is as if the attempt had been dropped.
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine, Standing};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let first = quarantine.admit("a", || 1).go().unwrap();
    /// let held = first.failed(&Hold::until_changed(), |_before| unreachable!("there is none"));
    /// assert_eq!(held.standing, Standing::Probation);
    /// let second = quarantine.admit("a", || 1).go().unwrap();
    /// let held = second.failed(&Hold::until_changed(), |_before| 1);
    /// assert_eq!((held.standing, held.attempts), (Standing::Held, 2));
    /// ```
    ///
    /// An attempt that writes:
    /// ```
    /// use std::time::Duration;
    /// use fingerprint_quarantine::{Admission, Backoff, Hold, Quarantine};
    ///
    /// let hold = Hold::until_changed().or_retry(Backoff::every(Duration::from_secs(60)));
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let mut file = 0;
    /// for _ in 0..2 {
    ///     let attempt = quarantine.admit_stamped("a", file).go().unwrap();
    ///     file += 1;
    ///     attempt.failed(&hold, |_before| file);
    /// }
    /// let Admission::Held(held) = quarantine.admit_stamped("a", file) else { unreachable!() };
    /// assert!(held.self_disturbing);
    /// ```
    pub fn failed(self, hold: &Hold, observe: impl FnOnce(&T) -> T) -> Held
    where
        T: Eq,
        Q: Equivalent<K> + ToOwned<Owned = K>,
    {
        let stamp = self.stamp.as_ref();
        let changed = stamp.is_some_and(|before| observe(before) != *before);
        let failure = Failure {
            why: self.why,
            stamp: self.stamp.map(Arc::new),
            changed,
            hold: *hold,
            now: self.core.clock.now(),
        };
        match self.origin {
            Origin::Probe(probe) => self.core.fail_probe(&probe, failure),
            Origin::Healthy(Door::Handle(slot), before) => {
                self.core.fail_new(slot, before, failure)
            }
            Origin::Healthy(Door::Key(key, hasher), before) => {
                let fresh = Slot::new(key.to_owned(), hasher.hash_of(key));
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
