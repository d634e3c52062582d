//! How long the next attempt waits: pure arithmetic, without clock and without luck of its own.

use std::time::Duration;

use crate::setting::SettingError;

/// Longer than this nothing waits: 10^10 s, as in configuration files.
pub(crate) const LONGEST: Duration = Duration::from_secs(10_000_000_000);

const NANOS_PER_MILLI: u64 = 1_000_000;

/// How pauses are spread, so that clients that failed together do not come back together. `v` is the
/// interval, already clamped: what is clamped after the draw piles up at the bound.
///
/// The first four are those of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), with the
/// clamp moved before the draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly `v`. Clients come back in step.
    None,
    /// Anything from nothing to `v`: fewest calls in all. The default.
    #[default]
    Full,
    /// Anything from half of `v` to `v`.
    Equal,
    /// Anything from `base` to three times the previous pause, or to `max` if that is less. The
    /// multiplier plays no part.
    Decorrelated,
    /// `v` times anything from `1 - share` to `1 + share`, as gRPC does with 0.2 (gRPC proposal A6). A
    /// pause may exceed `max` by that share.
    Spread(f64),
}

/// Exponential backoff: `v = min(max, base * multiplier^(n - 1))` before the `n`-th retry, and then a
/// [`Jitter`].
///
/// Pauses are rounded up to whole milliseconds, which is what timers can keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    multiplier: f64,
    jitter: Jitter,
}

/// Where one call stands in its backoff. Every call has its own: one that is shared makes a newcomer wait
/// for the failures of others.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    interval: u64,
    previous: u64,
}

impl Default for Backoff {
    /// From 500 ms to 8 s, doubling, full jitter.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            max: Duration::from_secs(8),
            multiplier: 2.0,
            jitter: Jitter::Full,
        }
    }
}

impl Backoff {
    /// A backoff that starts at `base`, doubles, and stays at `max`, with full jitter.
    ///
    /// # Errors
    ///
    /// If `base` is above `max`, or `max` above 10^10 s.
    pub fn exponential(base: Duration, max: Duration) -> Result<Self, SettingError> {
        if max > LONGEST {
            return Err(SettingError::new("max", max, "at most 10000000000s"));
        }
        if base > max {
            let expected = format!("at most `max`, which is {max:?}");
            return Err(SettingError::new("base", base, expected));
        }
        Ok(Self {
            base,
            max,
            ..Self::default()
        })
    }

    /// No pause at all.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            base: Duration::ZERO,
            max: Duration::ZERO,
            multiplier: 1.0,
            jitter: Jitter::None,
        }
    }

    /// By how much the interval grows from one retry to the next.
    ///
    /// # Errors
    ///
    /// If it is below 1 or no number.
    pub fn with_multiplier(self, multiplier: f64) -> Result<Self, SettingError> {
        match multiplier.is_finite() && multiplier >= 1.0 {
            true => Ok(Self { multiplier, ..self }),
            false => Err(SettingError::new(
                "multiplier",
                multiplier,
                "a number from 1 on",
            )),
        }
    }

    /// How pauses are spread.
    ///
    /// # Errors
    ///
    /// If the share of [`Jitter::Spread`] is not between 0 and 1.
    pub fn with_jitter(self, jitter: Jitter) -> Result<Self, SettingError> {
        match jitter {
            Jitter::Spread(share) if !(0.0..=1.0).contains(&share) => {
                Err(SettingError::new("jitter", share, "a share from 0 to 1"))
            }
            _ => Ok(Self { jitter, ..self }),
        }
    }

    /// The interval before the first retry.
    #[must_use]
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// The longest interval.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// By how much the interval grows from one retry to the next.
    #[must_use]
    pub const fn multiplier(&self) -> f64 {
        self.multiplier
    }

    /// How pauses are spread.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The start of a call.
    #[must_use]
    pub fn pauses(&self) -> Pauses {
        let base = nanos(self.base);
        Pauses {
            interval: base,
            previous: base,
        }
    }
}

impl Pauses {
    /// The pause before the next retry. `draw` is uniform over all numbers of 64 bits.
    pub fn next(&mut self, backoff: &Backoff, draw: u64) -> Duration {
        let (base, max) = (nanos(backoff.base), nanos(backoff.max));
        let interval = self.interval;
        let pause = match backoff.jitter {
            Jitter::None => interval,
            Jitter::Full => between(0, interval, draw),
            Jitter::Equal => between(interval / 2, interval, draw),
            Jitter::Decorrelated => between(base, max.min(self.previous.saturating_mul(3)), draw),
            Jitter::Spread(share) => {
                let margin = scaled(interval, share);
                between(interval - margin, interval.saturating_add(margin), draw)
            }
        };
        self.interval = scaled(interval, backoff.multiplier).min(max);
        let pause = whole_millis(pause);
        self.previous = pause;
        Duration::from_nanos(pause)
    }

    /// Goes on without a pause of its own, as when a server said how long to wait.
    pub fn skip(&mut self, backoff: &Backoff) {
        self.interval = scaled(self.interval, backoff.multiplier).min(nanos(backoff.max));
    }
}

/// A duration of at most [`LONGEST`], which fits.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A number of `low..=high`, by the high half of a product, which needs no division and whose bias is
/// below one in 2^20 for any pause of less than a day.
fn between(low: u64, high: u64, draw: u64) -> u64 {
    let span = u128::from(high.saturating_sub(low)) + 1;
    let offset = (u128::from(draw) * span) >> 64;
    low + u64::try_from(offset).unwrap_or(0)
}

/// `value * factor`, to the nearest, and as large as it can be beyond that.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and neither factor is negative"
)]
fn scaled(value: u64, factor: f64) -> u64 {
    (value as f64 * factor).round() as u64
}

fn whole_millis(nanos: u64) -> u64 {
    nanos
        .div_ceil(NANOS_PER_MILLI)
        .saturating_mul(NANOS_PER_MILLI)
}
