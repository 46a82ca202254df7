//! The second door: a caller that holds its entry needs no look-up.

use std::fmt;
use std::sync::{Arc, OnceLock};

use governor::clock::Clock;

use crate::entry::{GateIndex, Mark, Slot};
use crate::shards::Asked;
use crate::throttle::Inner;
use crate::{ClassId, HostClock, Line};

/// One (key, class) of a throttle, held by the caller; from [`LogThrottle::handle`](crate::LogThrottle::handle).
///
/// Clones share the entry. While one of them lives the entry is not evicted: a sweep passes over it, and
/// [`forget`](crate::LogThrottle::forget) hands out its count but leaves it in place, so whatever the handle counts later is
/// still found. A handle that was made on a full throttle has no entry until a check finds room for one, and then keeps it.
///
/// It keeps working when the throttle is gone, with all that was in it, but then nobody hands out what is pending.
pub struct Handle<K, C: Clock = HostClock> {
    inner: Arc<Inner<K, C>>,
    place: Place<K>,
}

pub(crate) enum Place<K> {
    Own(Slot<K>),
    /// There was no room when the handle was made.
    Sought(Arc<Sought<K>>),
}

/// What a key is looked up by.
pub(crate) struct Sought<K> {
    key: K,
    mark: Mark,
    class: ClassId,
    gate: GateIndex,
    /// From when a check has found it.
    own: OnceLock<Slot<K>>,
}

// ===== impl Handle =====

impl<K, C: Clock> Handle<K, C> {
    pub(crate) fn new(inner: Arc<Inner<K, C>>, place: Place<K>) -> Self {
        Self { inner, place }
    }

    /// The class.
    ///
    /// ```
    /// # use keyed_log_throttle::{ClassId, LogThrottle};
    /// let throttle = LogThrottle::<u64>::builder().build();
    /// assert_eq!(throttle.handle(&7, 3).class(), ClassId::new(3));
    /// ```
    pub fn class(&self) -> ClassId {
        match &self.place {
            Place::Own(slot) => slot.class,
            Place::Sought(sought) => sought.class,
        }
    }
}

impl<K: Eq, C: Clock> Handle<K, C> {
    /// [`LogThrottle::check`](crate::LogThrottle::check) without hash, lock and look-up; while it has no entry, without the hash.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let throttle = LogThrottle::<u64>::new(Duration::from_secs(60));
    /// let handle = throttle.handle(&7, 0);
    /// assert!(handle.check().is_some());
    /// assert!(handle.clone().check().is_none());
    /// ```
    #[must_use = "`Some` carries a count that was taken from the throttle"]
    #[inline(always)] // As a call, it takes half as long again.
    pub fn check(&self) -> Option<Line>
    where
        K: Clone,
    {
        match &self.place {
            Place::Own(slot) => self.inner.core.check(slot),
            Place::Sought(sought) => self.check_by_key(sought),
        }
    }

    #[cold]
    fn check_by_key(&self, sought: &Sought<K>) -> Option<Line>
    where
        K: Clone,
    {
        let core = &self.inner.core;
        if let Some(slot) = sought.own.get() {
            return core.check(slot);
        }
        let now = core.at_most();
        self.inner.at(&sought.asked(), K::clone, |slot| {
            if !slot.is_shared() {
                let _ = sought.own.set(slot.clone());
            }
            core.decide(now, slot, sought.mark)
        })
    }

    /// Lines held back and not reported, of this key and class; or of all that [share](Self::is_folded) its class's entry.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// let throttle = LogThrottle::<u64>::builder().build();
    /// let [one, other] = [0, 1].map(|class| throttle.handle(&7, class));
    /// for _ in 0..4 {
    ///     let _ = one.check();
    /// }
    /// assert_eq!((one.pending(), other.pending()), (3, 0));
    /// ```
    pub fn pending(&self) -> u64 {
        match &self.place {
            Place::Own(slot) => slot.pending(),
            Place::Sought(sought) => self.counting(sought).map_or(0, |slot| slot.pending()),
        }
    }

    /// Whether the key shares its class's entry: the throttle was full when the handle was made, and the key has no entry of its own
    /// yet.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// let throttle = LogThrottle::<u64>::builder().capacity(2).build();
    /// let [first, second] = [1, 2].map(|key| throttle.handle(&key, 0));
    /// assert_eq!((first.is_folded(), second.is_folded()), (false, true));
    /// ```
    pub fn is_folded(&self) -> bool {
        match &self.place {
            Place::Own(_) => false,
            Place::Sought(sought) => self.counting(sought).is_none_or(|slot| slot.is_shared()),
        }
    }

    fn counting(&self, sought: &Sought<K>) -> Option<Slot<K>> {
        self.inner.shards.counting(&sought.asked())
    }
}

// ===== impl Place =====

impl<K> Place<K> {
    pub(crate) fn sought<Q: ?Sized>(asked: &Asked<'_, Q>, key: K) -> Self {
        Self::Sought(Arc::new(Sought {
            key,
            mark: asked.mark,
            class: asked.class,
            gate: asked.gate,
            own: OnceLock::new(),
        }))
    }
}

// ===== impl Sought =====

impl<K: Eq> Sought<K> {
    fn asked(&self) -> Asked<'_, K> {
        Asked {
            key: &self.key,
            mark: self.mark,
            class: self.class,
            gate: self.gate,
        }
    }
}

impl<K, C: Clock> Clone for Handle<K, C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            place: match &self.place {
                Place::Own(slot) => Place::Own(slot.clone()),
                Place::Sought(sought) => Place::Sought(Arc::clone(sought)),
            },
        }
    }
}

impl<K: Eq, C: Clock> fmt::Debug for Handle<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("class", &self.class())
            .field("pending", &self.pending())
            .field("is_folded", &self.is_folded())
            .finish_non_exhaustive()
    }
}
