//! How fast a queue drains. Pure: neither lock nor clock.

/// How much a new measurement counts against those before.
const WEIGHT: f64 = 0.3;

/// After so many departures a measurement is taken.
const DEPARTURES: u32 = 8;

/// After so many nanoseconds a measurement is taken of fewer.
const LONG_ENOUGH: u64 = 1_000_000_000;

/// How long it takes from one departure to the next while somebody waits, as an exponentially weighted mean.
/// Time in which nobody waits says nothing and does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainRate {
    since: Option<u64>,
    departures: u32,
    interval: Option<f64>,
}

impl DrainRate {
    /// One who waited has gone. True if it is worth reading the clock for [`measure`](Self::measure).
    pub const fn departed(&mut self) -> bool {
        self.departures = self.departures.saturating_add(1);
        self.departures >= DEPARTURES || self.since.is_none()
    }

    /// Somebody waits, at this time.
    pub fn measure(&mut self, now: u64) {
        let Some(since) = self.since else {
            self.since = Some(now);
            self.departures = 0;
            return;
        };
        let elapsed = now.saturating_sub(since);
        if self.departures >= DEPARTURES || self.departures > 0 && elapsed >= LONG_ENOUGH {
            let new = as_f64(elapsed) / f64::from(self.departures);
            let mean = self.interval.map_or(new, |old| old + (new - old) * WEIGHT);
            self.interval = Some(mean);
            self.since = Some(now);
            self.departures = 0;
        }
    }

    /// Nobody waits any more.
    pub const fn idle(&mut self) {
        self.since = None;
        self.departures = 0;
    }

    /// In how many nanoseconds so many will have gone at this rate; none if it is not known. While nothing
    /// moves the rate falls.
    #[must_use]
    pub fn time_for(&self, departures: usize, now: u64) -> Option<u64> {
        let elapsed = self.since.map(|since| as_f64(now.saturating_sub(since)));
        let present = elapsed.map(|elapsed| elapsed / f64::from(self.departures.saturating_add(1)));
        let measured = match (self.interval, elapsed, self.departures) {
            (Some(interval), ..) => interval,
            (None, Some(elapsed), 1..) => elapsed / f64::from(self.departures),
            _ => return None,
        };
        let interval = measured.max(present.unwrap_or(0.0));
        let count = u32::try_from(departures).unwrap_or(u32::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a conversion of a float to an integer saturates, and no number is 0"
        )]
        let nanos = (interval * f64::from(count)).ceil() as u64;
        Some(nanos)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate needs no more than 53 bits"
)]
fn as_f64(nanos: u64) -> f64 {
    nanos as f64
}
