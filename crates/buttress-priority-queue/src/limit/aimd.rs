use std::time::Duration;

use super::{Sample, whole};

/// Additive increase, multiplicative decrease, as Netflix's concurrency-limits has it.
///
/// A call that was refused, or took longer than the timeout, multiplies the limit by 0.9 (rounded down); any
/// other, if at least half of the limit was in flight, adds 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Aimd {
    limit: f64,
    min: u32,
    max: u32,
    backoff: f64,
    timeout: Duration,
}

impl Default for Aimd {
    /// From 20, between 20 and 200, with a timeout of 5 s.
    fn default() -> Self {
        Self {
            limit: 20.0,
            min: 20,
            max: 200,
            backoff: 0.9,
            timeout: Duration::from_secs(5),
        }
    }
}

impl Aimd {
    /// Begins at `initial`, and stays between `min` and `max`. A bound that contradicts the others gives way.
    #[must_use]
    pub fn between(min: u32, initial: u32, max: u32) -> Self {
        let (min, max) = (min.max(1), max.max(min).max(1));
        Self {
            limit: f64::from(initial.clamp(min, max)),
            min,
            max,
            ..Self::default()
        }
    }

    /// What the limit is multiplied by; held between 0.5 and 1.
    #[must_use]
    pub fn backoff(mut self, factor: f64) -> Self {
        self.backoff = if factor.is_nan() {
            0.9
        } else {
            factor.clamp(0.5, 1.0)
        };
        self
    }

    /// A call that takes longer than this counts as refused. For calls of language models say more than the
    /// default of 5 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many may be in flight.
    #[must_use]
    pub fn get(&self) -> u32 {
        whole(self.limit)
    }

    /// Learns of a call.
    pub fn sample(&mut self, sample: &Sample) {
        if sample.dropped || sample.took > self.timeout {
            self.limit = (self.limit * self.backoff).floor();
        } else if 2.0 * f64::from(sample.in_flight) >= self.limit {
            self.limit += 1.0;
        }
        self.limit = self.limit.clamp(f64::from(self.min), f64::from(self.max));
    }
}
