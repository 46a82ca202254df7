//! About how many different keys came by: linear counting over a fixed bitmap.
//!
//! Source: Whang, Vander-Zanden, Taylor, "A linear-time probabilistic counting algorithm for database applications",
//! ACM TODS 15(2), 1990.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Half a KiB per class that folds: within 2 % up to a few thousand keys, capped near 34,000.
const WORDS: usize = 64;
const BITS: u32 = 64 * WORDS as u32;

/// A set of marks, one bit per key hash.
#[derive(Debug)]
pub(crate) struct Sketch([AtomicU64; WORDS]);

// ===== impl Sketch =====

impl Sketch {
    pub(crate) fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    pub(crate) fn mark(&self, hash: u64) {
        // Finish the hash once more: a user's hasher may leave the low bits poor.
        let bit = (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as u32 % BITS;
        let mask = 1 << (bit % 64);
        let word = &self.0[bit as usize / 64];
        if word.load(Relaxed) & mask == 0 {
            word.fetch_or(mask, Relaxed);
        }
    }

    /// The estimate so far; starts over.
    pub(crate) fn take(&self) -> u32 {
        let set: u32 = self
            .0
            .iter()
            .map(|word| word.swap(0, Relaxed).count_ones())
            .sum();
        let bits = f64::from(BITS);
        // One zero bit is assumed when all are set: the logarithm's end.
        let zero = f64::from((BITS - set).max(1));
        (bits * (bits / zero).ln()).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, Hash, RandomState};

    use hashbrown::DefaultHashBuilder;

    use super::*;
    use crate::entry::Mark;

    #[test]
    fn few_keys_are_counted_and_repeats_are_not() {
        let (sketch, hasher) = (Sketch::new(), RandomState::new());
        for key in (0..3_u32).chain(0..3) {
            sketch.mark(hasher.hash_one(key));
        }
        let seen = sketch.take();
        assert!((2..=3).contains(&seen), "{seen}");
        assert_eq!(sketch.take(), 0, "taking starts over");
    }

    fn estimate<K: Hash>(hasher: &impl BuildHasher, keys: impl Iterator<Item = K>) -> u32 {
        let sketch = Sketch::new();
        // As a key's hash comes here: by way of the half that an entry keeps.
        keys.for_each(|key| sketch.mark(Mark::of(hasher.hash_one(key)).spread()));
        sketch.take()
    }

    #[test]
    fn many_keys_are_estimated_within_a_tenth() {
        let near = |seen: u32| (4_500..=5_500).contains(&seen);
        let names = || (0..5_000).map(|n| format!("board-{n}"));
        for _ in 0..20 {
            let (fast, std) = (DefaultHashBuilder::default(), RandomState::new());
            for seen in [
                estimate(&fast, 0..5_000_u32),
                estimate(&fast, (0..5_000_u64).map(|n| n << 32)),
                estimate(&fast, names()),
                estimate(&std, names()),
            ] {
                assert!(near(seen), "{seen}");
            }
        }
    }

    #[test]
    fn a_full_sketch_still_answers() {
        let sketch = Sketch::new();
        sketch
            .0
            .iter()
            .for_each(|word| word.store(u64::MAX, Relaxed));
        let seen = sketch.take();
        assert!((30_000..35_000).contains(&seen), "{seen}");
    }
}
