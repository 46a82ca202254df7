//! The throttle: one line per key and class per window, and every line held back is counted.

use std::borrow::ToOwned;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use governor::clock::Clock;
use hashbrown::{DefaultHashBuilder, Equivalent};

use crate::core::Core;
use crate::entry::{Entry, Mark, Slot};
use crate::handle::Place;
use crate::host::Coarse;
use crate::shards::{Asked, Shards};
use crate::{Builder, ClassId, Handle, HostClock, Line, Totals};

/// Decides which lines may be written, and counts the others.
///
/// All verbs take `&self`; share it by reference, in an [`Arc`] or in a `static`. See the [crate page](crate) for an
/// example and the guarantees.
pub struct LogThrottle<K, C: Clock = HostClock, S = DefaultHashBuilder> {
    pub(crate) inner: Arc<Inner<K, C>>,
    pub(crate) remember: Duration,
    hasher: S,
}

/// What the throttle and its handles share.
pub(crate) struct Inner<K, C: Clock> {
    pub(crate) core: Core<K, C>,
    pub(crate) shards: Shards<K>,
}

// ===== impl Inner =====

impl<K, C: Clock> Inner<K, C> {
    /// [`Shards::at`]. While `f` runs, its reference to the entry keeps a sweep from evicting what it counts into.
    pub(crate) fn at<Q, T>(
        &self,
        asked: &Asked<'_, Q>,
        own: impl FnOnce(&Q) -> K,
        f: impl FnOnce(&Slot<K>) -> T,
    ) -> T
    where
        Q: ?Sized + Equivalent<K>,
    {
        let follow = |made: &Entry<K>, shared: &Slot<K>| self.core.follow(made, shared);
        self.shards.at(asked, own, follow, f)
    }

    /// [`Shards::own`].
    fn own<Q>(&self, asked: &Asked<'_, Q>, own: impl FnOnce(&Q) -> K) -> Result<Slot<K>, K>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let follow = |made: &Entry<K>, shared: &Slot<K>| self.core.follow(made, shared);
        self.shards.own(asked, own, follow)
    }
}

// ===== impl LogThrottle =====

impl<K> LogThrottle<K> {
    /// A throttle with one window for all classes and defaults for the rest.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
    /// assert!(throttle.is_empty());
    /// ```
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self::builder().window(window).build()
    }

    /// Windows per class, capacity, clock, hasher: see [`Builder`].
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<String>::builder().build();
    /// assert_eq!((throttle.window(0), throttle.capacity()), (Duration::from_secs(60), 16_384));
    /// ```
    pub fn builder() -> Builder<K> {
        Builder::new()
    }
}

impl<K, C: Clock + Clone, S> LogThrottle<K, C, S> {
    pub(crate) fn assemble(
        (window, class_windows, capacity, remember): (
            Duration,
            &[(ClassId, Duration)],
            usize,
            Duration,
        ),
        clock: C,
        coarse: Option<Coarse>,
        hasher: S,
    ) -> Self {
        let core = Core::new(window, class_windows, clock, coarse);
        let shards = Shards::new(capacity, core.longest());
        Self {
            inner: Arc::new(Inner { core, shards }),
            remember,
            hasher,
        }
    }
}

impl<K, C: Clock, S: BuildHasher> LogThrottle<K, C, S> {
    /// Asks whether a line for `key` and `class` may be written now; `None` means it was held back and counted.
    ///
    /// The first line of a (key, class) passes at once, unless lines had to share the class's entry within the window. After a
    /// line, the next one passes when a window has gone by, and brings the number held back between them. The count leaves the
    /// throttle with the [`Line`]: write it.
    ///
    /// A known key costs one hash and one look-up under a shared lock, and allocates nothing. A new key is cloned; when
    /// the throttle is full it shares an entry of its class instead. No lock is held when this returns.
    ///
    /// # Examples
    ///
    /// ```
    /// # use keyed_log_throttle::{LogThrottle, governor::clock::FakeRelativeClock};
    /// # use std::time::Duration;
    /// let clock = FakeRelativeClock::default();
    /// let throttle = LogThrottle::<String>::builder().clock(clock.clone()).build();
    ///
    /// assert!(throttle.check("alpha", 1).is_some_and(|line| line.suppressed == 0));
    /// assert!((0..412).all(|_| throttle.check("alpha", 1).is_none()));
    ///
    /// clock.advance(Duration::from_secs(60));
    /// let text = throttle.check("alpha", 1).map(|line| line.to_string());
    /// assert_eq!(text.as_deref(), Some("(+412 in 60s)"));
    /// ```
    #[must_use = "`Some` carries a count that was taken from the throttle"]
    pub fn check<Q>(&self, key: &Q, class: impl Into<ClassId>) -> Option<Line>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        self.check_as(key, class.into(), Q::to_owned)
    }

    /// [`check`](Self::check) for a key that is borrowed in a way that `ToOwned` does not know.
    #[inline]
    pub(crate) fn check_as<Q>(
        &self,
        key: &Q,
        class: ClassId,
        own: impl FnOnce(&Q) -> K,
    ) -> Option<Line>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let mark = self.mark(key);
        // Before the lock: a locked instruction waits for all before it, and would wait for this too.
        let now = self.inner.core.at_most();
        let lasts = |slot: &Slot<K>| slot.holds_back(now);
        match self.inner.shards.with(mark, key, class, lasts) {
            Some(true) => None,
            Some(false) | None => self.decide(now, mark, key, class, own),
        }
    }

    /// A handle for `key` and `class`: its [`check`](Handle::check) needs no look-up.
    ///
    /// The entry stays while the handle lives. Made on a full throttle, the handle shares its class's entry and asks by key, until a
    /// check finds room for an entry of its own.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
    /// let handle = throttle.handle("alpha", 1);
    /// assert!(handle.check().is_some());
    /// assert!(throttle.check("alpha", 1).is_none(), "the same window");
    /// assert_eq!(handle.pending(), 1);
    /// ```
    pub fn handle<Q>(&self, key: &Q, class: impl Into<ClassId>) -> Handle<K, C>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        let asked = self.asked(key, self.mark(key), class.into());
        let place = match self.inner.own(&asked, Q::to_owned) {
            Ok(slot) => Place::Own(slot),
            Err(key) => Place::sought(&asked, key),
        };
        Handle::new(Arc::clone(&self.inner), place)
    }

    /// Lines of `key`, in all classes, that were held back and not reported; for a status page.
    ///
    /// Nothing is taken. A key that shares its class's entry has 0 here.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
    /// for _ in 0..4 {
    ///     let _ = throttle.check("alpha", 1);
    /// }
    /// assert_eq!((throttle.pending("alpha"), throttle.pending("beta")), (3, 0));
    /// ```
    pub fn pending<Q>(&self, key: &Q) -> u64
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.inner
            .shards
            .of_key(self.mark(key), key)
            .iter()
            .map(|slot| slot.pending())
            .sum()
    }

    pub(crate) fn mark<Q: ?Sized + Hash>(&self, key: &Q) -> Mark {
        Mark::of(self.hasher.hash_one(key))
    }

    /// For a new key, and for a known one's few lines that are not surely held back.
    // It looks that key up again: an answer carried out of the first look cost all the others a copy of it.
    #[cold]
    fn decide<Q>(
        &self,
        now: u64,
        mark: Mark,
        key: &Q,
        class: ClassId,
        own: impl FnOnce(&Q) -> K,
    ) -> Option<Line>
    where
        Q: ?Sized + Equivalent<K>,
    {
        let asked = self.asked(key, mark, class);
        let decide = |slot: &Slot<K>| self.inner.core.decide(now, slot, mark);
        self.inner.at(&asked, own, decide)
    }

    fn asked<'a, Q: ?Sized>(&self, key: &'a Q, mark: Mark, class: ClassId) -> Asked<'a, Q> {
        Asked {
            key,
            mark,
            class,
            gate: self.inner.core.gate_index(class),
        }
    }
}

impl<K, C: Clock, S> LogThrottle<K, C, S> {
    /// Sums over the throttle's life; they let you assert that nothing went uncounted.
    ///
    /// Walks all entries.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<u64>::new(Duration::from_secs(60));
    /// for _ in 0..10 {
    ///     let _ = throttle.check(&1, 0);
    /// }
    /// let totals = throttle.totals();
    /// assert_eq!((totals.observed, totals.permitted, totals.pending), (10, 1, 9));
    /// assert!(totals.is_conserved());
    /// ```
    pub fn totals(&self) -> Totals {
        let sums = &self.inner.core.sums;
        let permitted = sums.permitted.load(Relaxed);
        let (mut suppressed, mut pending) = (sums.retired.load(Relaxed), 0);
        self.inner.shards.each(|slot| {
            suppressed += slot.suppressed();
            pending += slot.pending();
        });
        Totals {
            observed: permitted + suppressed,
            permitted,
            reported: sums.reported.load(Relaxed),
            pending,
            folded: sums.folded.load(Relaxed),
            evicted: sums.evicted.load(Relaxed),
        }
    }

    /// Entries held now, one for each (key, class) and those that keys without room share; never above [`capacity`](Self::capacity).
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// let throttle = LogThrottle::<u64>::builder().build();
    /// let _ = [(1, 0), (1, 0), (1, 7)].map(|(key, class)| throttle.check(&key, class));
    /// assert!(throttle.len() == 2 && !throttle.is_empty());
    /// ```
    pub fn len(&self) -> usize {
        self.inner.shards.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most entries that are ever held.
    pub fn capacity(&self) -> usize {
        self.inner.shards.capacity()
    }

    /// The least time between two lines of one key in `class`.
    pub fn window(&self, class: impl Into<ClassId>) -> Duration {
        self.inner.core.window(class.into())
    }
}

impl<K, C: Clock, S> fmt::Debug for LogThrottle<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogThrottle")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("totals", &self.totals())
            .finish_non_exhaustive()
    }
}
