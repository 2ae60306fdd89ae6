//! Chance, for what happens to a part of all requests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_chain::CompileCx;
use bartizan_config::{ResourceKind, ResourceRef};

/// The step of the sequence: odd, so that every number comes once before any comes again.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// One sequence of numbers for the whole node, evenly spread and the same for the same seed. It is
/// no secret: nothing that protects anything may hang on it.
#[derive(Debug)]
pub(crate) struct Chance {
    at: AtomicU64,
}

impl Chance {
    /// The node's, begun at random.
    pub(crate) fn of(cx: &CompileCx<'_>) -> Arc<Self> {
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from("chance") };
        let seed = || Self::seeded(RandomState::new().build_hasher().finish());
        cx.node.registry.state(&node, "chance", String::new(), seed)
    }

    /// The sequence of a seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { at: AtomicU64::new(seed) }
    }

    /// True for so many of a hundred.
    pub(crate) fn hits(&self, percentage: u8) -> bool {
        match percentage {
            0 => false,
            100.. => true,
            // The upper half of the number, as a part of a hundred.
            _ => ((self.next() >> 32) * 100) >> 32 < u64::from(percentage),
        }
    }

    /// The next number: the steps of the sequence, mixed so that neighbours have nothing in common.
    fn next(&self) -> u64 {
        let mut number = self.at.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(chance: &Chance, percentage: u8) -> usize {
        (0..100_000).filter(|_| chance.hits(percentage)).count()
    }

    #[test]
    fn never_and_always_are_meant() {
        let chance = Chance::seeded(7);
        assert_eq!((count(&chance, 0), count(&chance, 100)), (0, 100_000));
    }

    #[test]
    fn a_part_is_about_that_part_and_the_same_for_the_same_seed() {
        for percentage in [1_u8, 10, 50, 99] {
            let hits = count(&Chance::seeded(7), percentage);
            let expected = usize::from(percentage) * 1_000;
            assert!(hits.abs_diff(expected) < 500, "{percentage}: {hits}");
            assert_eq!(hits, count(&Chance::seeded(7), percentage));
            assert_ne!(hits, count(&Chance::seeded(8), percentage));
        }
    }

    #[test]
    fn what_hits_a_small_part_hits_every_larger_one() {
        for seed in 0..1_000 {
            let hits: Vec<bool> = (0..=100).map(|p| Chance::seeded(seed).hits(p)).collect();
            assert!(hits.is_sorted(), "{seed}");
        }
    }
}
