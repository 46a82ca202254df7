//! Releases of keys that are not on record: remembered for a while, for the sake of attempts that had begun before.
//!
//! A healthy key takes no memory, so there is no place to note "released while an attempt was out". But a release that comes
//! just before a first failure must win all the same: whoever gave it has mended something that the stamp may not show.

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// People release, so even 16 within one attempt are many. After more than that, every attempt counts as overtaken.
const REMEMBERED: usize = 16;

pub(crate) struct Releases {
    /// How many there were. Written under `recent`'s lock.
    count: AtomicU64,
    /// The hashes of the last ones, number n at n % `REMEMBERED`.
    recent: Mutex<[u64; REMEMBERED]>,
}

// ===== impl Releases =====

impl Releases {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            recent: Mutex::new([0; REMEMBERED]),
        }
    }

    /// One load, when an attempt begins.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn note(&self, hash: u64) {
        let mut recent = lock(&self.recent);
        let count = self.count.load(Ordering::Relaxed);
        recent[Self::place(count)] = hash;
        self.count.store(count + 1, Ordering::Release);
    }

    /// Whether the key was released since `before` (or may have been; two keys with one hash cost each other an attempt).
    pub(crate) fn overtook(&self, before: u64, hash: u64) -> bool {
        let recent = lock(&self.recent);
        let count = self.count.load(Ordering::Relaxed);
        count - before > REMEMBERED as u64
            || (before..count).any(|number| recent[Self::place(number)] == hash)
    }

    fn place(number: u64) -> usize {
        (number % REMEMBERED as u64) as usize
    }
}

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::{REMEMBERED, Releases};

    #[test]
    fn only_a_release_of_the_same_key_after_the_start_overtakes() {
        let releases = Releases::new();
        releases.note(7);
        let start = releases.count();
        assert!(!releases.overtook(start, 7));
        releases.note(8);
        assert!(!releases.overtook(start, 7));
        assert!(releases.overtook(start, 8));
    }

    #[test]
    fn what_is_forgotten_counts_as_overtaken() {
        let releases = Releases::new();
        for _ in 0..REMEMBERED {
            releases.note(1);
        }
        assert!(!releases.overtook(0, 2));
        releases.note(1);
        assert!(releases.overtook(0, 2));
        assert!(!releases.overtook(1, 2));
    }
}
