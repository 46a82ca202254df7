//! The second door: a caller that holds its entry needs no look-up.

use std::fmt;
use std::sync::Arc;

use governor::clock::Clock;

use crate::core::Core;
use crate::entry::{Mark, Slot};
use crate::{ClassId, HostClock, Line};

/// One (key, class) of a throttle, held by the caller; from [`LogThrottle::handle`](crate::LogThrottle::handle).
///
/// Clones share the entry. While one of them lives the entry is not evicted: a sweep passes over it, and
/// [`forget`](crate::LogThrottle::forget) hands out its count but leaves it in place, so whatever the handle counts later is
/// still found. It keeps working when the throttle is gone, but then nobody hands out what is pending.
pub struct Handle<K, C: Clock = HostClock> {
    core: Arc<Core<K, C>>,
    slot: Slot<K>,
    /// The asking key's: an overflow entry is shared by many.
    mark: Mark,
}

// ===== impl Handle =====

impl<K, C: Clock> Handle<K, C> {
    pub(crate) fn new(core: Arc<Core<K, C>>, slot: Slot<K>, mark: Mark) -> Self {
        Self { core, slot, mark }
    }

    /// [`LogThrottle::check`](crate::LogThrottle::check) without hash, lock and look-up.
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
    pub fn check(&self) -> Option<Line> {
        self.core.check(&self.slot, self.mark)
    }

    /// Lines held back and not reported, of this key and class only.
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
        self.slot.pending()
    }

    /// The class.
    ///
    /// ```
    /// # use keyed_log_throttle::{ClassId, LogThrottle};
    /// let throttle = LogThrottle::<u64>::builder().build();
    /// assert_eq!(throttle.handle(&7, 3).class(), ClassId::new(3));
    /// ```
    pub fn class(&self) -> ClassId {
        self.slot.class
    }

    /// Whether this handle shares its class's overflow entry, because the throttle was full when it was made.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// let throttle = LogThrottle::<u64>::builder().capacity(1).build();
    /// let [first, second] = [1, 2].map(|key| throttle.handle(&key, 0));
    /// assert_eq!((first.is_folded(), second.is_folded()), (false, true));
    /// ```
    pub fn is_folded(&self) -> bool {
        self.slot.sketch.is_some()
    }
}

impl<K, C: Clock> Clone for Handle<K, C> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            slot: self.slot.clone(),
            mark: self.mark,
        }
    }
}

impl<K, C: Clock> fmt::Debug for Handle<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("class", &self.class())
            .field("pending", &self.pending())
            .field("is_folded", &self.is_folded())
            .finish_non_exhaustive()
    }
}
