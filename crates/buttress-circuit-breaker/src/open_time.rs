//! How long a circuit stays open.

use crate::settings::{Growth, Settings};

/// A share of one, in millionths.
pub(crate) const MILLION: u64 = 1_000_000;

/// Attonanoseconds in a nanosecond: what a product keeps below the nanosecond.
const FINE: u128 = 1_000_000_000_000_000_000;

/// Millionths, or a number that no setting allows.
pub(crate) fn in_millionths(number: f64) -> u64 {
    const UNITS: f64 = 1_000_000.0;
    let scaled = (number * UNITS).round();
    let is_exact = (scaled / UNITS - number).abs() <= number.abs() * 1e-12;
    if !is_exact || !(0.0..=1e12).contains(&scaled) {
        return u64::MAX;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to 10^12"
    )]
    let millionths = scaled as u64;
    millionths
}

/// The open times of a circuit, one after the other.
///
/// A geometric time is carried on with eighteen decimals, so that `1.1` stays what it says: a power that
/// comes out in whole nanoseconds does so exactly, and others are rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenTime {
    /// The next time in nanoseconds, before the cap.
    whole: u128,
    /// Its decimals below the nanosecond, in `FINE`.
    fine: u128,
    /// How often the circuit opened without a close.
    times: u64,
}

impl OpenTime {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            whole: settings.open_for.as_nanos(),
            fine: 0,
            times: 0,
        }
    }

    /// The open times under other settings: as many steps further, if they grow in the same way.
    pub(crate) fn under(&self, old: &Settings, settings: &Settings) -> Self {
        let mut open_time = Self::new(settings);
        let longest = settings.longest_open().as_nanos();
        match (old.growth, settings.growth) {
            (Growth::Times(_), Growth::Times(factor)) => {
                open_time.times = self.times;
                // What is longer than the longest, or never grows, grows no more.
                let mut steps = if factor == MILLION { 0 } else { self.times };
                while steps > 0 && open_time.whole <= longest {
                    open_time.grow(settings, longest);
                    steps -= 1;
                }
            }
            (Growth::Plus { .. }, Growth::Plus { .. }) => {
                open_time.times = self.times;
                open_time.relax(settings, 0);
            }
            _ => {}
        }
        open_time
    }

    /// Takes the next open time in nanoseconds. `draw` is uniform over all numbers of 64 bits.
    pub(crate) fn take(&mut self, settings: &Settings, draw: impl FnOnce() -> u64) -> u128 {
        let longest = settings.longest_open().as_nanos();
        let clamped = self.whole.min(longest);
        let is_first = self.times == 0;
        self.times += 1;
        self.grow(settings, longest);
        let share = match settings.jitter {
            jitter if is_first && jitter.spares_first => 0,
            jitter => jitter.millionths,
        };
        if share == 0 {
            return clamped;
        }
        // The interval is clamped before the draw; clamped after it, times would pile up on the cap.
        let span = clamped * u128::from(share) / u128::from(MILLION);
        clamped - ((span * u128::from(draw() >> 32)) >> 32)
    }

    fn grow(&mut self, settings: &Settings, longest: u128) {
        match settings.growth {
            Growth::Times(factor) if self.whole <= longest => {
                let (factor, million) = (u128::from(factor), u128::from(MILLION));
                let whole = self.whole * factor;
                let fine = (self.fine * factor + whole % million * FINE) / million;
                self.whole = whole / million + fine / FINE;
                self.fine = fine % FINE;
            }
            Growth::Times(_) => {}
            Growth::Plus { .. } => {
                self.whole = settings.open_for.as_nanos() * u128::from(self.times + 1);
            }
        }
    }

    /// Takes steps of growth back, for time that passed without an opening.
    pub(crate) fn relax(&mut self, settings: &Settings, steps: u64) {
        self.times = self.times.saturating_sub(steps);
        self.whole = settings.open_for.as_nanos() * u128::from(self.times + 1);
        self.fine = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn times(settings: &Settings, count: usize) -> Vec<u128> {
        let mut open_time = OpenTime::new(settings);
        (0..count).map(|_| open_time.take(settings, || 0)).collect()
    }

    #[test]
    fn growth_is_exact_and_rounded_down_to_a_nanosecond() {
        let settings = Settings::consecutive_failures(1)
            .open_for(Duration::from_secs(60))
            .open_growth(1.1)
            .open_max(Duration::from_secs(80));
        let seconds = 1_000_000_000;
        let expected = [
            60 * seconds,
            66 * seconds,
            72_600_000_000,
            79_860_000_000,
            80 * seconds,
        ];
        assert_eq!(times(&settings, 5), expected);
        let settings = settings.open_for(Duration::from_millis(1)).open_growth(1.3);
        // 1.3^k ms: 1.3, 1.69, 2.197, 2.8561, 3.71293, 4.826809, 6.2748517 (.. 6.27485170 exactly)
        let tail = times(&settings, 11);
        assert_eq!(tail[6], 4_826_809);
        assert_eq!(tail[7], 6_274_851);
        assert_eq!(tail[10], 13_785_849);
    }

    #[test]
    fn other_settings_carry_the_growth_on() {
        let millis =
            |millis| Settings::consecutive_failures(1).open_for(Duration::from_millis(millis));
        let old = millis(1).open_growth(2.0);
        let mut open_time = OpenTime::new(&old);
        for _ in 0..3 {
            open_time.take(&old, || 0);
        }
        let next = |settings: &Settings| open_time.under(&old, settings).take(settings, || 0);
        assert_eq!(next(&old), 8_000_000);
        assert_eq!(next(&millis(10).open_growth(1.1)), 13_310_000);
        assert_eq!(next(&millis(10)), 10_000_000);
        assert_eq!(next(&millis(10).open_growth(1_000.0)), 600_000_000_000);
        // Envoy's times grow in another way, so they begin anew.
        assert_eq!(next(&Settings::envoy_outlier()), 30_000_000_000);
    }

    #[test]
    fn jitter_is_drawn_from_an_interval_that_was_clamped_before() {
        let settings = Settings::consecutive_failures(1)
            .open_for(Duration::from_secs(60))
            .open_growth(10.0)
            .open_max(Duration::from_secs(100))
            .jitter(0.5);
        let mut open_time = OpenTime::new(&settings);
        assert_eq!(open_time.take(&settings, || 0), 60_000_000_000);
        assert_eq!(open_time.take(&settings, || 1 << 63), 75_000_000_000);
        let least = open_time.take(&settings, || u64::MAX);
        assert!((50_000_000_000..50_001_000_000).contains(&least), "{least}");
    }
}
