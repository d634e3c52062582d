//! How far estimates were off: what was used, in parts of what had been reserved.

use buttress_core::KeyHash;

use crate::dimension::Dimension;

/// Histograms of what was used, in thousandths of what had been reserved for it, by dimension.
#[derive(Debug, Default)]
pub(crate) struct SettleErrors {
    #[cfg(feature = "hdrhistogram")]
    shards: [kept::Shard; kept::SHARDS],
}

#[cfg(not(feature = "hdrhistogram"))]
impl SettleErrors {
    #[expect(
        clippy::unused_self,
        reason = "there is something to record with a feature only"
    )]
    pub(crate) fn record(&self, _: KeyHash, _: Dimension, _: u64, _: u64) {}
}

#[cfg(feature = "hdrhistogram")]
mod kept {
    use hdrhistogram::Histogram;
    use parking_lot::Mutex;

    use super::{Dimension, KeyHash, SettleErrors};
    use crate::dimension::MAX_DIMENSIONS;

    /// Keys record in different places, so that they do not wait for each other.
    pub(super) const SHARDS: usize = 8;

    /// A thousand times the reservation; what is more counts as that.
    const HIGHEST: u64 = 1_000_000;

    pub(super) type Shard = Mutex<[Option<Histogram<u64>>; MAX_DIMENSIONS]>;

    fn histogram() -> Option<Histogram<u64>> {
        Histogram::new_with_bounds(1, HIGHEST, 2).ok()
    }

    impl SettleErrors {
        pub(crate) fn record(&self, key: KeyHash, dimension: Dimension, reserved: u64, used: u64) {
            let parts = u128::from(used) * 1_000 / u128::from(reserved.max(1));
            let parts = u64::try_from(parts).unwrap_or(HIGHEST).min(HIGHEST);
            let shard = usize::from(key.get().to_le_bytes()[7]) % SHARDS;
            let mut shard = self.shards[shard].lock();
            let slot = &mut shard[dimension.index()];
            if slot.is_none() {
                *slot = histogram();
            }
            if let Some(histogram) = slot {
                histogram.saturating_record(parts);
            }
        }

        pub(crate) fn of(&self, dimension: Dimension) -> Option<Histogram<u64>> {
            let mut sum = histogram()?;
            for shard in &self.shards {
                if let Some(histogram) = &shard.lock()[dimension.index()] {
                    // They have the same bounds.
                    let _ = sum.add(histogram);
                }
            }
            Some(sum)
        }
    }
}
