use std::time::Duration;

use super::{Sample, whole};

/// TCP Vegas (Brakmo and Peterson, 1995) for calls, as Netflix's concurrency-limits has it.
///
/// From the least latency seen it reckons how many of the calls in flight queue at the upstream:
/// `q = ceil(L (1 - least / latency))`. With `l = max(1, floor(log10 L))`: below `l` the limit grows by `6 l`,
/// below `3 l` by `l`; above `6 l`, or when a call is refused, it shrinks by `l`. While less than half of the limit is in
/// flight nothing changes. The least latency is measured anew about every `30 L` calls, so that it follows an
/// upstream that has become slower; under sustained load that makes it drift upwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Vegas {
    limit: f64,
    max: u32,
    least: Option<Duration>,
    last: Option<Duration>,
    samples: u32,
    /// A share of the samples after which the least latency is measured anew: between 0.5 and 1.
    jitter: f64,
    random: u64,
}

const PROBE_MULTIPLIER: f64 = 30.0;

impl Default for Vegas {
    /// From 20, up to 1,000.
    fn default() -> Self {
        Self::up_to(1_000, 20)
    }
}

impl Vegas {
    /// Begins at `initial` and stays between 1 and `max`.
    #[must_use]
    pub fn up_to(max: u32, initial: u32) -> Self {
        let max = max.max(1);
        Self {
            limit: f64::from(initial.clamp(1, max)),
            max,
            least: None,
            last: None,
            samples: 0,
            jitter: 0.75,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// How many may be in flight.
    #[must_use]
    pub fn get(&self) -> u32 {
        whole(self.limit)
    }

    /// The least latency seen since it was last measured anew.
    #[must_use]
    pub const fn unloaded(&self) -> Option<Duration> {
        self.least
    }

    /// How long the last call took.
    #[must_use]
    pub const fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Learns of a call.
    pub fn sample(&mut self, sample: &Sample) {
        let took = sample.took.max(Duration::from_nanos(1));
        if sample.dropped {
            // How long a refusal took says nothing of how long a call takes.
            return self.change(-self.step());
        }
        self.last = Some(took);
        self.samples = self.samples.saturating_add(1);
        if self.jitter * PROBE_MULTIPLIER * self.limit <= f64::from(self.samples) {
            self.samples = 0;
            self.jitter = self.draw();
            self.least = Some(took);
            return;
        }
        let least = match self.least {
            Some(least) if took >= least => least,
            _ => {
                self.least = Some(took);
                return;
            }
        };
        if 2.0 * f64::from(sample.in_flight) < self.limit {
            return;
        }
        let queued = (self.limit * (1.0 - least.as_secs_f64() / took.as_secs_f64())).ceil();
        let step = self.step();
        if queued <= step {
            self.change(6.0 * step);
        } else if queued < 3.0 * step {
            self.change(step);
        } else if queued > 6.0 * step {
            self.change(-step);
        }
    }

    fn step(&self) -> f64 {
        self.limit.log10().floor().max(1.0)
    }

    fn change(&mut self, by: f64) {
        self.limit = (self.limit + by).clamp(1.0, f64::from(self.max));
    }

    /// The next number between 0.5 and 1 (xorshift, Marsaglia 2003): it only keeps many limits from
    /// measuring at once.
    fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let [.., high, low] = self.random.to_be_bytes();
        0.5 + f64::from(u16::from_be_bytes([high, low])) / 131_070.0
    }
}
