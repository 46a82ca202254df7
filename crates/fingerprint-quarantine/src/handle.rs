//! The second door: a caller that keeps its key's place needs no look-up.

use std::fmt;

use crate::admission::Admission;
use crate::answer::Answer;
use crate::attempt::{Attempt, Door};
use crate::clock::{Clock, Monotonic};
use crate::core::Core;
use crate::held::Held;
use crate::look::{Lazy, Look, Taken};
use crate::slot::Slot;
use crate::sync::Arc;

/// One key of a quarantine, held by the caller; from [`Quarantine::handle`](crate::Quarantine::handle).
///
/// Clones, and everyone who asks by key, share what is on record. A healthy key is admitted after two atomic loads, and one
/// within its shortest hold is refused after a few more. A handle keeps working
/// when its quarantine is gone.
pub struct Handle<K, T, C = Monotonic> {
    core: Arc<Core<K, T, C>>,
    slot: Arc<Slot<K, T>>,
}

// ===== impl Handle =====

impl<K, T, C> Handle<K, T, C> {
    /// `slot` has been counted as one of its handles.
    pub(crate) fn new(core: Arc<Core<K, T, C>>, slot: Arc<Slot<K, T>>) -> Self {
        Self { core, slot }
    }

    /// The key.
    ///
    /// ```
    /// # use fingerprint_quarantine::Quarantine;
    /// assert_eq!(Quarantine::<u32, u64>::new().handle(&7).key(), &7);
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        self.slot.key()
    }

    /// [`Quarantine::release`](crate::Quarantine::release) without the look-up.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine, Reason};
    /// let handle = Quarantine::<u32, u64>::new().handle(&7);
    /// handle.admit_stamped(1).go().unwrap().failed(&Hold::until_released(), |_| 1);
    /// assert!(handle.release());
    /// assert_eq!(handle.admit_stamped(1).go().unwrap().why(), Reason::Manual);
    /// ```
    pub fn release(&self) -> bool {
        self.core.release(&self.slot)
    }

    /// [`Quarantine::forget`](crate::Quarantine::forget) without the look-up.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine, Reason};
    /// let handle = Quarantine::<u32, u64>::new().handle(&7);
    /// handle.admit_stamped(1).go().unwrap().failed(&Hold::until_released(), |_| 1);
    /// assert!(handle.forget());
    /// assert_eq!(handle.admit_stamped(1).go().unwrap().why(), Reason::New);
    /// ```
    pub fn forget(&self) -> bool {
        self.core.forget(&self.slot)
    }
}

impl<K, T, C: Clock> Handle<K, T, C> {
    /// [`Quarantine::admit`](crate::Quarantine::admit) without hash, lock and look-up.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine, Reason};
    /// let handle = Quarantine::<u32, u64>::new().handle(&7);
    /// handle.admit(|| unreachable!("healthy")).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert_eq!(handle.admit(|| 1).go().unwrap().why(), Reason::Probation);
    /// ```
    #[inline]
    pub fn admit(&self, observe: impl FnOnce() -> T) -> Admission<'_, K, T, C>
    where
        T: Eq,
    {
        self.admit_with(Lazy(observe))
    }

    /// [`Quarantine::admit_stamped`](crate::Quarantine::admit_stamped) without hash, lock and look-up.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Admission, Hold, Quarantine};
    /// let handle = Quarantine::<u32, u64>::new().handle(&7);
    /// handle.admit_stamped(1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert!(matches!(handle.admit_stamped(1), Admission::Held(_)));
    /// ```
    #[inline]
    pub fn admit_stamped(&self, stamp: T) -> Admission<'_, K, T, C>
    where
        T: Eq,
    {
        self.admit_with(Taken(stamp))
    }

    #[inline]
    fn admit_with<L: Look<T>>(&self, look: L) -> Admission<'_, K, T, C>
    where
        T: Eq,
    {
        let door = Door::Handle(&self.slot);
        if !self.slot.is_recorded() {
            return Attempt::admit(&self.core, door, Answer::Healthy(look.given()));
        }
        let now = self.core.clock.now();
        if let Some(held) = self.slot.glance(now) {
            return Admission::Held(held);
        }
        let answer = Slot::ask(&self.slot, now).answer(look);
        Attempt::admit(&self.core, door, answer)
    }

    /// [`Quarantine::status`](crate::Quarantine::status) without the look-up.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine};
    /// let handle = Quarantine::<u32, u64>::new().handle(&7);
    /// assert!(handle.status().is_none());
    /// handle.admit_stamped(1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert_eq!(handle.status().unwrap().attempts, 1);
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<Held> {
        if !self.slot.is_recorded() {
            return None;
        }
        self.slot.held(self.core.clock.now())
    }
}

impl<K, T, C> Clone for Handle<K, T, C> {
    fn clone(&self) -> Self {
        self.slot.add_handle();
        Self::new(Arc::clone(&self.core), Arc::clone(&self.slot))
    }
}

impl<K, T, C> Drop for Handle<K, T, C> {
    fn drop(&mut self) {
        self.slot.remove_handle();
        if self.slot.is_idle() {
            self.core.sweep(&self.slot);
        }
    }
}

impl<K: fmt::Debug, T, C> fmt::Debug for Handle<K, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("key", self.key())
            .field("on_record", &self.slot.is_recorded())
            .finish_non_exhaustive()
    }
}
