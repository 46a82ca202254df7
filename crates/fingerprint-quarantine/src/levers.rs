//! The quarantine's other verbs: what a person does to it, and what a status page asks it.

use std::hash::{BuildHasher, Hash};

use hashbrown::Equivalent;

use crate::clock::Clock;
use crate::held::Held;
use crate::quarantine::Quarantine;
use crate::slot::Slot;
use crate::sync::Arc;

// ===== impl Quarantine =====

impl<K: Hash + Eq, T: Eq, C: Clock, S: BuildHasher> Quarantine<K, T, C, S> {
    /// Allows the next attempt at once, whatever the hold says: for a person, or whoever knows that something has been mended that the
    /// stamp does not show. Returns whether the key was on record.
    ///
    /// It is never lost: an attempt that is out and began before it cannot hold the key again, whether the key was on record or
    /// not. And it lasts until an attempt is settled.
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine, Reason, Standing};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// let attempt = quarantine.admit_stamped("a", 1).go().unwrap();
    /// assert!(!quarantine.release("a"), "nothing on record yet");
    /// assert_eq!(attempt.failed(&Hold::until_changed(), |_| 1).standing, Standing::Released);
    ///
    /// let attempt = quarantine.admit_stamped("a", 1).go().unwrap();
    /// attempt.failed(&Hold::until_changed(), |_| 1);
    /// assert!(quarantine.release("a"));
    /// assert_eq!(quarantine.admit_stamped("a", 1).go().unwrap().why(), Reason::Manual);
    /// ```
    pub fn release<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.core.release_by_key(key, self.hash(key))
    }

    /// Releases those on record for which `pred` says so; returns how many. `pred` runs outside all locks.
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine};
    ///
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// for key in 0..4 {
    ///     quarantine.admit_stamped(&key, 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// }
    /// assert_eq!(quarantine.release_all(|key, held| key % 2 == 0 && held.attempts == 1), 2);
    /// assert!(quarantine.admit_stamped(&0, 1).go().is_some());
    /// assert!(quarantine.admit_stamped(&1, 1).go().is_none());
    /// ```
    pub fn release_all(&self, mut pred: impl FnMut(&K, &Held) -> bool) -> usize {
        self.on_record()
            .iter()
            .filter(|(slot, held)| pred(slot.key(), held) && self.core.release(slot))
            .count()
    }

    /// Drops what is on record about `key`, for a thing that is gone: what later has its name starts clean. Returns whether there
    /// was anything. An attempt that is out ends without effect, whether the key was on record or not.
    ///
    /// ```
    /// use fingerprint_quarantine::{Hold, Quarantine, Reason};
    ///
    /// let quarantine = Quarantine::<String, u64>::new();
    /// quarantine.admit_stamped("a", 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// assert!(quarantine.forget("a"));
    /// assert_eq!(quarantine.admit_stamped("a", 1).go().unwrap().why(), Reason::New);
    /// ```
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.core.forget_by_key(key, self.hash(key))
    }

    /// [`forget`](Self::forget)s the keys on record that `keep` refuses. `keep` runs outside all locks.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine};
    /// let quarantine = Quarantine::<u32, u64>::new();
    /// for key in 0..4 {
    ///     quarantine.admit_stamped(&key, 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// }
    /// quarantine.retain(|key| *key < 3);
    /// assert_eq!(quarantine.len(), 3);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K) -> bool) {
        for slot in self.core.recorded() {
            if !keep(slot.key()) {
                self.core.forget(&slot);
            }
        }
    }

    /// What is on record about `key`, without asking to try it; `None` for a healthy key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fingerprint_quarantine::{FakeClock, Hold, Quarantine};
    ///
    /// let clock = FakeClock::default();
    /// let quarantine = Quarantine::<String, u64, _>::with_clock(clock.clone());
    /// assert!(quarantine.status("a").is_none());
    /// quarantine.admit_stamped("a", 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// clock.advance(Duration::from_secs(90));
    /// let held = quarantine.status("a").unwrap();
    /// assert_eq!(held.to_string(), "held after 1 attempt in 90s, next on change");
    /// ```
    #[must_use]
    pub fn status<Q>(&self, key: &Q) -> Option<Held>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let slot = self.core.find(key, self.hash(key))?;
        slot.held(self.core.clock.now())
    }

    /// All that is on record, in no order. Each entry is true at one moment, not all at the same.
    ///
    /// ```
    /// # use fingerprint_quarantine::{Hold, Quarantine, Standing};
    /// let quarantine = Quarantine::<String, u64>::new();
    /// quarantine.admit_stamped("a", 1).go().unwrap().failed(&Hold::until_changed(), |_| 1);
    /// let held = quarantine.held();
    /// assert_eq!((held[0].0.as_str(), held[0].1.standing), ("a", Standing::Held));
    /// ```
    #[must_use]
    pub fn held(&self) -> Vec<(K, Held)>
    where
        K: Clone,
    {
        let on_record = self.on_record();
        on_record
            .iter()
            .map(|(slot, held)| (slot.key().clone(), *held))
            .collect()
    }

    fn on_record(&self) -> Vec<(Arc<Slot<K, T>>, Held)> {
        let now = self.core.clock.now();
        let slots = self.core.recorded().into_iter();
        // One that has recovered since is left out.
        slots
            .filter_map(|slot| slot.held(now).map(|held| (slot, held)))
            .collect()
    }
}
