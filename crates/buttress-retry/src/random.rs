//! Where jitter comes from.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// The odd number nearest to 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014;
/// constants of Vigna's public-domain version): a counter and a mixing function. So that threads share
/// it without a lock, the counter is atomic.
///
/// It decides when clients come back, and guards no secret.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    /// Repeats itself with the same seed.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Differs from process to process and from layer to layer.
    pub(crate) fn from_the_system() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    /// The next number, uniform over all of them.
    pub(crate) fn draw(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed);
        mix(state.wrapping_add(STEP))
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The first numbers that Vigna's program prints for the seed 1234567.
    #[test]
    fn it_is_splitmix64() {
        let random = Random::seeded(1_234_567);
        let drawn = [(); 3].map(|()| random.draw());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn two_of_the_system_differ() {
        let (one, other) = (Random::from_the_system(), Random::from_the_system());
        assert_ne!(one.draw(), other.draw());
    }
}
