use std::time::Duration;

use super::{Sample, whole};

/// Gradient2 of Netflix's concurrency-limits.
///
/// With the long-term average of the latency over about 600 calls,
/// `g = clamp(1.5 long / latency, 0.5, 1)` and `L = 0.8 L + 0.2 (L g + 4)`. While less than half of the limit is
/// in flight nothing changes; when the average has become twice the latency it is let down by 5 % a call.
///
/// The original does not hear of refusals. Here a call that was refused counts as the worst gradient without
/// the allowance: `L = 0.8 L + 0.2 (L 0.5)`. Where all calls come to end at one timeout, the average takes that
/// in and the limit grows again.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient2 {
    limit: f64,
    min: u32,
    max: u32,
    /// In seconds.
    long: f64,
    samples: u32,
    last: Option<Duration>,
}

const WINDOW: f64 = 600.0;
const WARM_UP: u32 = 10;
const TOLERANCE: f64 = 1.5;
const SMOOTHING: f64 = 0.2;
const ALLOWANCE: f64 = 4.0;

impl Default for Gradient2 {
    /// From 20, between 20 and 200.
    fn default() -> Self {
        Self::between(20, 20, 200)
    }
}

impl Gradient2 {
    /// Begins at `initial`, and stays between `min` and `max`. A bound that contradicts the others gives way.
    #[must_use]
    pub fn between(min: u32, initial: u32, max: u32) -> Self {
        let (min, max) = (min.max(1), max.max(min).max(1));
        Self {
            limit: f64::from(initial.clamp(min, max)),
            min,
            max,
            long: 0.0,
            samples: 0,
            last: None,
        }
    }

    /// How many may be in flight.
    #[must_use]
    pub fn get(&self) -> u32 {
        whole(self.limit)
    }

    /// The long-term average of the latency.
    #[must_use]
    pub fn long_term(&self) -> Option<Duration> {
        let seconds = (self.samples > 0).then_some(self.long)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// How long the last call took.
    #[must_use]
    pub const fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Learns of a call.
    pub fn sample(&mut self, sample: &Sample) {
        if sample.dropped {
            // How long a refusal took says nothing of how long a call takes.
            return self.approach(self.limit * 0.5);
        }
        let took = sample.took.max(Duration::from_nanos(1));
        let latency = took.as_secs_f64();
        self.last = Some(took);
        self.average(latency);
        let long = self.long;
        if long / latency > 2.0 {
            self.long *= 0.95;
        }
        if f64::from(sample.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * long / latency).clamp(0.5, 1.0);
        self.approach(self.limit * gradient + ALLOWANCE);
    }

    fn average(&mut self, latency: f64) {
        if self.samples < WARM_UP {
            self.samples += 1;
            self.long += (latency - self.long) / f64::from(self.samples);
        } else {
            self.long += (latency - self.long) * 2.0 / (WINDOW + 1.0);
        }
    }

    fn approach(&mut self, limit: f64) {
        let limit = self.limit * (1.0 - SMOOTHING) + limit * SMOOTHING;
        self.limit = limit.clamp(f64::from(self.min), f64::from(self.max));
    }
}
