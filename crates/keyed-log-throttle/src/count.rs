//! A sum to which one thread adds without a locked instruction.
//!
//! The lines of a key come from one thread as a rule, and a locked addition was half of what a line costs that is held back. So
//! the first thread that adds has a part of the sum for itself, where a load and a store are enough; all others share the rest.

use crate::sync::{AtomicU32, AtomicU64, Ordering::*};
use crate::thread;

/// It only grows, and no addition is lost.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Count {
    /// Written by the owner alone.
    owned: AtomicU64,
    /// By everybody else.
    shared: AtomicU64,
}

/// Whose one part of a [`Count`] is: a thread's number, set once and for good; 0 before the first addition.
#[derive(Debug, Default)]
pub(crate) struct Owner(AtomicU32);

// ===== impl Count =====

impl Count {
    #[inline] // Not generic: it would be a call for each line held back.
    pub(crate) fn add_one(&self, owner: &Owner) {
        if owner.is_me() {
            self.owned.store(self.owned.load(Relaxed) + 1, Release);
        } else {
            self.shared.fetch_add(1, Release);
        }
    }

    /// At least what anybody got before whom this thread knows of.
    pub(crate) fn get(&self) -> u64 {
        self.owned.load(Acquire) + self.shared.load(Acquire)
    }
}

// ===== impl Owner =====

impl Owner {
    /// Whether it is this thread. The first one that asks becomes it.
    #[inline]
    fn is_me(&self) -> bool {
        let me = thread::id();
        let owner = self.0.load(Relaxed);
        owner == me || (owner == 0 && self.becomes(me))
    }

    #[cold]
    fn becomes(&self, me: u32) -> bool {
        let is_one = me != thread::ONE_OF_MANY;
        is_one && self.0.compare_exchange(0, me, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(all(test, not(throttle_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_thread_owns_and_the_others_share() {
        let (count, owner) = (Count::default(), Owner::default());
        count.add_one(&owner);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..1000).for_each(|_| count.add_one(&owner)));
            }
            (0..1000).for_each(|_| count.add_one(&owner));
        });
        let parts = [&count.owned, &count.shared].map(|part| part.load(Relaxed));
        assert_eq!((parts, count.get()), ([1001, 2000], 3001));
    }
}
