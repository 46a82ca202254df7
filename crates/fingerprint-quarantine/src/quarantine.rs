//! The quarantine: the verbs, by a borrowed key.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::Equivalent;

use crate::admission::Admission;
use crate::answer::{Answer, Asked};
use crate::attempt::{Attempt, Door};
use crate::clock::{Clock, Monotonic};
use crate::core::Core;
use crate::handle::Handle;
use crate::look::{Lazy, Look, Taken};
use crate::slot::Slot;
use crate::sync::Arc;

/// Remembers what failed and what it looked like, and says who may be tried.
///
/// `K` names a thing, `T` is its stamp (see [`FileState`](crate::FileState) and [`SqliteStamp`](crate::SqliteStamp), or anything else
/// that can be compared: a version, an ETag, a commit), `C` tells the time.
///
/// A healthy key takes no memory and is admitted without look or clock: without a hash while nothing is on record, and with one while
/// something is (and with a look-up under a short read lock if a key on record has a hash like its own). Of the caller's code only the key's `Hash` and `Eq`, a stamp's `Drop` and the clock run under a lock; they must
/// not call the quarantine.
pub struct Quarantine<K, T, C = Monotonic, S = RandomState> {
    pub(crate) core: Arc<Core<K, T, C>>,
    hasher: S,
}

// ===== impl Quarantine =====

impl<K, T> Quarantine<K, T> {
    /// An empty quarantine by the system's monotonic clock.
    ///
    /// ```
    /// # use fingerprint_quarantine::Quarantine;
    /// assert!(Quarantine::<String, u64>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Monotonic::new())
    }
}

impl<K, T, C> Quarantine<K, T, C> {
    /// An empty quarantine by `clock`.
    ///
    /// ```
    /// # use fingerprint_quarantine::{FakeClock, Quarantine};
    /// let clock = FakeClock::default();
    /// let quarantine = Quarantine::<String, u64, _>::with_clock(clock.clone());
    /// assert!(quarantine.is_empty());
    /// ```
    #[must_use]
    pub fn with_clock(clock: C) -> Self {
        Self::with_clock_and_hasher(clock, RandomState::new())
    }
}

impl<K, T, C, S> Quarantine<K, T, C, S> {
    /// An empty quarantine that hashes keys with `hasher`, which is also what seeds the jitter of a [`Backoff`](crate::Backoff).
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use fingerprint_quarantine::{FakeClock, Quarantine};
    ///
    /// // The same jitter in every run.
    /// let hasher = BuildHasherDefault::<DefaultHasher>::new();
    /// let clock = FakeClock::default();
    /// let quarantine = Quarantine::<String, u64, _, _>::with_clock_and_hasher(clock, hasher);
    /// assert!(quarantine.is_empty());
    /// ```
    #[must_use]
    pub fn with_clock_and_hasher(clock: C, hasher: S) -> Self {
        Self {
            core: Arc::new(Core::new(clock)),
            hasher,
        }
    }

    /// How many keys are on record: on probation, held or released.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine};
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// quarantine.admit_stamped(&1, 0).go().unwrap().ok();
    /// quarantine.admit_stamped(&2, 0).go().unwrap().failed(&Hold::until_changed(), |_| 0);
    /// assert_eq!(quarantine.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.marks.count()
    }

    /// Whether no key is on record.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine};
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// assert!(quarantine.is_empty());
    /// quarantine.admit_stamped(&7, 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert!(!quarantine.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq, T: Eq, C: Clock, S: BuildHasher> Quarantine<K, T, C, S> {
    /// Asks whether `key` may be tried, with a look at the thing only if it matters.
    ///
    /// `observe` takes the stamp. It is called at most once, with no lock held, before the attempt, and only for a key on record that a
    /// change could release or that is about to be tried: never for a healthy key. So the first failure has no stamp, and puts
    /// the key on probation: the next attempt takes its stamp first. That is one attempt more per incident, and no
    /// look at all while all is well.
    ///
    /// `observe` must not disturb the thing it looks at. It may call the quarantine, also for its own key, which is then
    /// [`Probing`](Admission::Probing). If it panics, nothing has changed.
    ///
    /// # Examples
    /// ```
    /// use fingerprint_quarantine::{Admission, Hold, Quarantine, Reason};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let hold = Hold::until_changed();
    /// let first = quarantine.admit("a", || unreachable!("healthy")).go().unwrap();
    /// first.failed(&hold, |_| 1);
    /// let second = quarantine.admit("a", || 1).go().unwrap();
    /// assert_eq!(second.why(), Reason::Probation);
    /// assert!(matches!(quarantine.admit("a", || 1), Admission::Probing));
    /// second.failed(&hold, |_| 1);
    /// assert!(matches!(quarantine.admit("a", || 1), Admission::Held(_)));
    /// let third = quarantine.admit("a", || 2).go().unwrap();
    /// assert_eq!(third.why(), Reason::Changed);
    /// # drop(third);
    /// ```
    #[inline]
    pub fn admit<'q, Q>(
        &'q self,
        key: &'q Q,
        observe: impl FnOnce() -> T,
    ) -> Admission<'q, K, T, C, Q>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        S: Sync,
    {
        self.admit_with(key, Lazy(observe))
    }

    /// [`admit`](Self::admit) for a caller that has a stamp anyway, taken just before: the first failure holds at once.
    ///
    /// ```
    /// use fingerprint_quarantine::{Admission, Hold, Quarantine};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// quarantine.admit_stamped("a", 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert!(matches!(quarantine.admit_stamped("a", 1), Admission::Held(_)));
    /// assert!(matches!(quarantine.admit_stamped("a", 2), Admission::Go(_)));
    /// ```
    #[inline]
    pub fn admit_stamped<'q, Q>(&'q self, key: &'q Q, stamp: T) -> Admission<'q, K, T, C, Q>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        S: Sync,
    {
        self.admit_with(key, Taken(stamp))
    }

    /// The key's place, to keep: asking by it needs no look-up. It takes memory until the last handle is dropped.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Admission, Hold, Quarantine};
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let handle = quarantine.handle("a");
    /// handle.admit_stamped(1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert!(matches!(quarantine.admit_stamped("a", 1), Admission::Held(_)));
    /// ```
    #[must_use]
    pub fn handle<Q>(&self, key: &Q) -> Handle<K, T, C>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        let fresh = Slot::new(key.to_owned(), self.hash(key));
        let slot = self.core.with_slot(key, fresh, |slot| {
            slot.add_handle();
            Arc::clone(slot)
        });
        Handle::new(Arc::clone(&self.core), slot)
    }

    #[inline]
    fn admit_with<'q, Q>(&'q self, key: &'q Q, look: impl Look<T>) -> Admission<'q, K, T, C, Q>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        S: Sync,
    {
        let door = Door::Key(key, &self.hasher);
        // The hash is half of what a healthy key costs, so it waits until something is on record.
        if !self.is_empty() {
            let hash = self.hash(key);
            if self.core.marks.may_hold(hash) {
                let answer = match self.core.ask_by_key(key, hash) {
                    Asked::Held(held) => return Admission::Held(held),
                    asked => asked.answer(look),
                };
                return Attempt::admit(&self.core, door, answer);
            }
        }
        Attempt::admit(&self.core, door, Answer::Healthy(look.given()))
    }

    #[inline]
    pub(crate) fn hash<Q: ?Sized + Hash>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }
}

impl<K, T, C: Default, S: Default> Default for Quarantine<K, T, C, S> {
    fn default() -> Self {
        Self::with_clock_and_hasher(C::default(), S::default())
    }
}

impl<K, T, C, S> fmt::Debug for Quarantine<K, T, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine")
            .field("len", &self.len())
            .field("slots", &self.core.slots())
            .finish_non_exhaustive()
    }
}
