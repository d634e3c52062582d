//! Learning how much of an estimate is really used.
//!
//! For every key and dimension the last calls are remembered as a histogram of actual over estimated, in
//! which older ones weigh exponentially less; a quantile of it scales the next estimate. Reserving the
//! maximum leaves most of a quota unused, and a mean is overspent every second time; a high quantile is
//! neither. What is still overspent becomes debt, as with any estimate.

use std::fmt;

use buttress_core::KeyHash;
use parking_lot::Mutex;

use crate::demand::{BudgetDemand, ONE, Scales};
use crate::dimension::Dimension;

/// How many keys and dimensions are learned for at once, if not said.
pub const DEFAULT_LEARNED: usize = 4_096;

/// How many buckets a histogram has: eight to each doubling, from 1/64 to 4 times the estimate.
const BUCKETS: usize = 64;

/// Ratios are parts of [`ONE`]; the lowest bucket ends here.
const LOWEST: u32 = ONE as u32 / 64;

/// How many calls must have been seen before the estimate is touched.
const ENOUGH: u8 = 20;

/// By how much the weight of a call falls with each later one: half of it is lost in some 140.
const DECAY: f32 = 0.995;

/// Scales estimates by what was learned, per key; bounded.
///
/// ```
/// use buttress_token_budget::Learned;
///
/// let learned = Learned::quantile(0.9)?.keys(1_000);
/// # let _ = learned;
/// # Ok::<(), buttress_token_budget::LearnedError>(())
/// ```
pub struct Learned {
    quantile: f32,
    places: Box<[Mutex<Place>]>,
}

/// Why something is not a quantile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedError(f64);

impl fmt::Display for LearnedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "quantile {} is out of range; write a number above 0 and below 1, such as 0.9",
            self.0
        )
    }
}

impl std::error::Error for LearnedError {}

/// One key's dimension. Another that has the same place takes it over and begins anew, with estimates as they
/// are given.
#[derive(Debug)]
struct Place {
    tag: u64,
    /// How many calls were seen, up to what is enough.
    seen: u8,
    /// Grows instead of all others falling.
    weight: f32,
    sum: f32,
    counts: [f32; BUCKETS],
}

impl Learned {
    /// Reserves what this part of calls stayed below, such as 0.9.
    ///
    /// # Errors
    ///
    /// If it is not between 0 and 1.
    pub fn quantile(quantile: f64) -> Result<Self, LearnedError> {
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(LearnedError(quantile));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a part of one need not be that exact"
        )]
        let quantile = quantile as f32;
        Ok(Self {
            quantile,
            places: Box::default(),
        }
        .keys(DEFAULT_LEARNED))
    }

    /// How many keys and dimensions are learned for at once; each takes some 270 bytes.
    #[must_use]
    pub fn keys(mut self, keys: usize) -> Self {
        let places = keys.clamp(1, 1 << 24).next_power_of_two();
        self.places = (0..places).map(|_| Mutex::new(Place::new(0))).collect();
        self
    }

    /// What to reserve for an estimate.
    pub(crate) fn scale(&self, demand: &mut BudgetDemand) {
        let estimate = demand.amounts;
        let mut amounts = estimate;
        let mut scales = Scales::NONE;
        for dimension in Dimension::all().filter(|dimension| dimension.is_guessed()) {
            let follows = dimension == Dimension::TOTAL && !estimate.says(dimension);
            let units = estimate.get(dimension);
            if units == 0 || follows {
                continue;
            }
            if let Some(scale) = self.learned(demand.keys[0], dimension) {
                let scaled = u128::from(units) * u128::from(scale);
                let scaled = scaled.div_ceil(u128::from(ONE));
                amounts = amounts.with(dimension, u64::try_from(scaled).unwrap_or(u64::MAX).max(1));
                scales.0[dimension.index()] = scale;
            }
        }
        demand.amounts = amounts;
        demand.scales = scales;
    }

    /// Remembers what an estimate led to.
    pub(crate) fn learn(&self, key: KeyHash, dimension: Dimension, estimated: u64, used: u64) {
        let ratio = u128::from(used) * u128::from(ONE) / u128::from(estimated.max(1));
        let ratio = u32::try_from(ratio).unwrap_or(u32::MAX);
        self.with(key, dimension, |place| place.add(ratio));
    }

    fn learned(&self, key: KeyHash, dimension: Dimension) -> Option<u16> {
        self.with(key, dimension, |place| place.quantile(self.quantile))
    }

    fn with<R>(&self, key: KeyHash, dimension: Dimension, f: impl FnOnce(&mut Place) -> R) -> R {
        let tag = (key.get() ^ (dimension.index() as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut place = self.places[(tag >> 32) as usize & (self.places.len() - 1)].lock();
        if place.tag != tag {
            *place = Place::new(tag);
        }
        f(&mut place)
    }
}

impl Place {
    const fn new(tag: u64) -> Self {
        Self {
            tag,
            seen: 0,
            weight: 1.0,
            sum: 0.0,
            counts: [0.0; BUCKETS],
        }
    }

    fn add(&mut self, ratio: u32) {
        self.seen = self.seen.saturating_add(1).min(ENOUGH);
        self.counts[bucket(ratio)] += self.weight;
        self.sum += self.weight;
        self.weight /= DECAY;
        if self.weight > 1e9 {
            let weight = self.weight;
            self.counts.iter_mut().for_each(|count| *count /= weight);
            self.sum /= weight;
            self.weight = 1.0;
        }
    }

    /// The upper end of the bucket that the quantile lies in; none while too little is known.
    fn quantile(&self, quantile: f32) -> Option<u16> {
        if self.seen < ENOUGH {
            return None;
        }
        let wanted = self.sum * quantile;
        let mut sum = 0.0;
        for (index, count) in self.counts.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                return Some(upper_end(index));
            }
        }
        Some(upper_end(BUCKETS - 1))
    }
}

/// The bucket of a ratio: eight linear steps in each doubling.
fn bucket(ratio: u32) -> usize {
    let ratio = ratio.max(LOWEST);
    let doubling = (ratio / LOWEST).ilog2();
    let low = LOWEST << doubling.min(20);
    let step = (ratio - low) / (low / 8).max(1);
    let index = doubling as usize * 8 + step.min(7) as usize;
    index.min(BUCKETS - 1)
}

/// The first ratio beyond a bucket, so that no call of it was above.
fn upper_end(index: usize) -> u16 {
    let (doubling, step) = (index / 8, index % 8 + 1);
    let low = LOWEST << doubling;
    let end = low + (low / 8).max(1) * u32::try_from(step).unwrap_or(8);
    u16::try_from(end).unwrap_or(u16::MAX)
}

impl fmt::Debug for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learned")
            .field("quantile", &self.quantile)
            .field("places", &self.places.len())
            .finish_non_exhaustive()
    }
}
