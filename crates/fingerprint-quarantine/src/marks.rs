//! Which keys may be on record, without a lock: what spares the healthy ones the look-up.

use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// With this many places, one broken key in a crowd sends one healthy key in 256 to the table for nothing, and ten send one in 26.
const PLACES: usize = if cfg!(all(test, fingerprint_loom)) {
    1
} else {
    256
};

/// Counts of the keys on record: of all, and by a part of the hash.
pub(crate) struct Marks {
    all: AtomicUsize,
    places: [AtomicU32; PLACES],
}

// ===== impl Marks =====

impl Marks {
    pub(crate) fn new() -> Self {
        Self {
            all: AtomicUsize::new(0),
            places: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.all.load(Ordering::Acquire)
    }

    /// Whether a key with this hash may be on record; if not, it is not.
    #[inline]
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        self.place(hash).load(Ordering::Acquire) != 0
    }

    pub(crate) fn add(&self, hash: u64) {
        self.place(hash).fetch_add(1, Ordering::Release);
        self.all.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn remove(&self, hash: u64) {
        self.all.fetch_sub(1, Ordering::Release);
        self.place(hash).fetch_sub(1, Ordering::Release);
    }

    /// From both ends of the hash, because a hasher may leave one of them empty.
    #[inline]
    fn place(&self, hash: u64) -> &AtomicU32 {
        &self.places[(hash ^ hash >> 32 ^ hash >> 56) as usize % PLACES]
    }
}

#[cfg(all(test, not(fingerprint_loom)))]
mod tests {
    use super::Marks;

    #[test]
    fn a_key_on_record_is_never_missed_and_most_others_are_told_apart() {
        let marks = Marks::new();
        assert!((0..1_000).all(|hash| !marks.may_hold(hash)));
        let hashes = [1, 1, 1 << 32, 1 << 60];
        hashes.iter().for_each(|hash| marks.add(*hash));
        assert_eq!(marks.count(), 4);
        assert!(hashes.iter().all(|hash| marks.may_hold(*hash)));
        assert!(!marks.may_hold(0), "the upper bits count as well");
        let mistaken = (0..25_600).filter(|hash| marks.may_hold(*hash)).count();
        assert!(mistaken <= 25_600 * 3 / 256, "{mistaken}");
        marks.remove(1);
        assert!(marks.may_hold(1), "the other is still there");
        hashes[1..].iter().for_each(|hash| marks.remove(*hash));
        assert!(marks.count() == 0 && (0..1_000).all(|hash| !marks.may_hold(hash)));
    }
}
