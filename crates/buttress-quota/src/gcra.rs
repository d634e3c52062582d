//! The paced quota: a token bucket in the form of the generic cell rate algorithm.
//!
//! Source: ITU-T I.371, virtual scheduling. Per key it keeps one number, the theoretical arrival time (the
//! instant at which the bucket will be full again), and needs no refill. A cost of `c` units moves it by
//! `c * P / n` nanoseconds, and is admitted while it stays at most `b * P / n` ahead of now: exactly a bucket
//! of capacity `b` that refills at `n` per `P`.
//!
//! Nothing drifts, because nothing is rounded: times are kept in units of `1 / (n / g)` nanosecond, with `g`
//! the greatest common divisor of `n` and `P`, in which one unit of the quota is the integer `P / g`.
//!
//! Instants are nanoseconds since an epoch of the caller's, any `u64`. With `n`, `b` below 2^63 and `P` at
//! most 2^63 the largest sum is below 2^127 + 2^126 + 2^126, so that a `u128` holds all of it; where a state
//! has been driven further by unasked spending, arithmetic saturates in the denying direction.

use std::time::Duration;

use crate::quota::{Quota, Window};
use buttress_core::duration::from_nanos;

/// What a limit says to a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<T = ()> {
    /// It fits now.
    Fits(T),
    /// It fits after this long if nothing else is spent, and not a nanosecond sooner.
    After(Duration),
    /// It is above the capacity, and will never fit.
    Never,
}

/// The theoretical arrival time of a key: all there is to know of a bucket.
///
/// It means something only to the [`Pace`] that wrote it. Two halves instead of a `u128` keep the alignment at
/// 8 and the size at 16 inside larger states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tat([u64; 2]);

impl Tat {
    /// A bucket from which nothing was ever spent.
    pub const FRESH: Self = Self([0, 0]);

    /// The state of an instant in the units of a pace.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub const fn new(time: u128) -> Self {
        Self([(time & 0xffff_ffff_ffff_ffff) as u64, (time >> 64) as u64])
    }

    /// The instant in the units of a pace.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub const fn get(self) -> u128 {
        (self.0[1] as u128) << 64 | self.0[0] as u128
    }
}

/// A paced quota made ready for arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What one unit moves the theoretical arrival time by, in `1 / denominator` nanoseconds.
    interval: u64,
    denominator: u64,
    /// How far ahead of now the theoretical arrival time may be, in `1 / denominator` nanoseconds.
    tolerance: u128,
    capacity: u64,
}

impl Pace {
    /// The pace of a quota, if it is a paced one.
    #[must_use]
    pub fn from_quota(quota: &Quota) -> Option<Self> {
        match *quota.window() {
            Window::Paced { burst } => Some(Self::new(quota.units(), quota.period_nanos(), burst)),
            _ => None,
        }
    }

    /// The parameters are those of a [`Quota`], so none of them is zero.
    pub(crate) fn new(units: u64, period: u64, capacity: u64) -> Self {
        let divisor = greatest_common_divisor(units, period);
        let interval = period / divisor;
        Self {
            interval,
            denominator: units / divisor,
            tolerance: product(capacity, interval),
            capacity,
        }
    }

    /// The most units that the bucket holds.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What one unit moves the theoretical arrival time by, and in which parts of a nanosecond.
    #[doc(hidden)]
    #[must_use]
    pub const fn interval(&self) -> (u64, u64) {
        (self.interval, self.denominator)
    }

    /// Whether `cost` fits, and what the state becomes if it is spent. Nothing is spent here.
    ///
    /// A cost of 0 always fits and changes nothing.
    #[inline]
    #[must_use]
    pub fn check(&self, tat: Tat, cost: u64, now: u64) -> Verdict<Tat> {
        if cost == 0 {
            return Verdict::Fits(tat);
        }
        let arrival = self.at(now);
        let next = tat
            .get()
            .max(arrival)
            .saturating_add(product(cost, self.interval));
        let latest = arrival + self.tolerance;
        if next <= latest {
            Verdict::Fits(Tat::new(next))
        } else if cost > self.capacity {
            Verdict::Never
        } else {
            Verdict::After(from_nanos(self.nanos(next - latest)))
        }
    }

    /// Spends `cost` whether it fits or not; what does not fit becomes debt.
    #[inline]
    #[must_use]
    pub fn spend(&self, tat: Tat, cost: u64, now: u64) -> Tat {
        if cost == 0 {
            return tat;
        }
        let start = tat.get().max(self.at(now));
        Tat::new(start.saturating_add(product(cost, self.interval)))
    }

    /// The whole units that can be spent now; 0 in debt.
    #[must_use]
    pub fn remaining(&self, tat: Tat, now: u64) -> u64 {
        let level = self.tolerance.saturating_sub(self.ahead(tat, now));
        // At most the capacity, so it fits.
        u64::try_from(divide(level, self.interval)).unwrap_or(self.capacity)
    }

    /// How long until [`remaining`](Pace::remaining) next grows; `None` if the bucket is full.
    #[must_use]
    pub fn until_more(&self, tat: Tat, now: u64) -> Option<Duration> {
        let ahead = self.ahead(tat, now);
        if ahead == 0 {
            return None;
        }
        // The bucket is not full, so that one unit more is within the capacity, and its product no overflow.
        let next = product(self.remaining(tat, now) + 1, self.interval);
        let missing = ahead.saturating_add(next) - self.tolerance;
        Some(from_nanos(self.nanos(missing)))
    }

    /// Gives `cost` back, now: never above the capacity.
    #[must_use]
    pub fn refund(&self, tat: Tat, cost: u64, now: u64) -> Tat {
        let arrival = self.at(now);
        if tat.get() <= arrival {
            return tat;
        }
        Tat::new(
            tat.get()
                .saturating_sub(product(cost, self.interval))
                .max(arrival),
        )
    }

    /// The units that are spent and have not come back, rounded up.
    #[must_use]
    pub fn spent(&self, tat: Tat, now: u64) -> u64 {
        let ahead = self.ahead(tat, now);
        let whole = divide(ahead, self.interval);
        let units = whole + u128::from(whole * u128::from(self.interval) < ahead);
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// The units below zero, rounded up: what was spent unasked and has not come back.
    #[must_use]
    pub fn overdrawn(&self, tat: Tat, now: u64) -> u64 {
        let below = self.ahead(tat, now).saturating_sub(self.tolerance);
        let whole = divide(below, self.interval);
        let units = whole + u128::from(whole * u128::from(self.interval) < below);
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// How long until nothing is [`overdrawn`](Pace::overdrawn); `None` if nothing is.
    #[inline]
    #[must_use]
    pub fn until_repaid(&self, tat: Tat, now: u64) -> Option<Duration> {
        let below = self.ahead(tat, now).saturating_sub(self.tolerance);
        (below > 0).then(|| from_nanos(self.nanos(below)))
    }

    /// The state of a bucket from which `units` are spent now.
    #[must_use]
    pub fn owing(&self, units: u64, now: u64) -> Tat {
        self.spend(Tat::FRESH, units, now)
    }

    /// How long until the bucket is full, in nanoseconds, rounded up; more than `u64` holds is its maximum.
    #[must_use]
    pub fn debt(&self, tat: Tat, now: u64) -> u64 {
        u64::try_from(self.nanos(self.ahead(tat, now))).unwrap_or(u64::MAX)
    }

    /// Whether the bucket is full: the state is then as good as [`Tat::FRESH`].
    #[inline]
    #[must_use]
    pub fn is_idle(&self, tat: Tat, now: u64) -> bool {
        tat.get() <= self.at(now)
    }

    /// The state under this pace of what was spent under another: the same units, also in parts of one.
    ///
    /// 3 spent of 5 are 3 spent of 8; 8 spent of 10 are 8 spent of 4, which refuses until 5 have come back at
    /// the new pace. A part that this pace cannot express is rounded up, in the denying direction.
    #[must_use]
    pub fn convert(&self, from: &Pace, tat: Tat, now: u64) -> Tat {
        if self.interval == from.interval && self.denominator == from.denominator {
            return tat;
        }
        let ahead = from.ahead(tat, now);
        let whole = divide(ahead, from.interval);
        let part = ahead - whole * u128::from(from.interval);
        // A part is below one interval, so below 2^63, and its product below 2^126.
        let part = (part * u128::from(self.interval)).div_ceil(u128::from(from.interval));
        let ahead = whole
            .saturating_mul(u128::from(self.interval))
            .saturating_add(part);
        Tat::new(self.at(now).saturating_add(ahead))
    }

    /// The state of a bucket that had this far to go until it was full, this many nanoseconds ago.
    #[cfg(feature = "persist")]
    pub(crate) fn restored(&self, ahead: u128, elapsed: u64, now: u64) -> Tat {
        let ahead = ahead.saturating_sub(product(elapsed, self.denominator));
        Tat::new(self.at(now).saturating_add(ahead))
    }

    /// An instant in the units of the theoretical arrival time.
    #[inline]
    fn at(&self, now: u64) -> u128 {
        product(now, self.denominator)
    }

    /// How far the theoretical arrival time is ahead of now: what is spent and has not come back.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn ahead(&self, tat: Tat, now: u64) -> u128 {
        tat.get().saturating_sub(self.at(now))
    }

    /// A length in whole nanoseconds, rounded up.
    #[inline]
    fn nanos(&self, length: u128) -> u128 {
        if self.denominator == 1 {
            return length;
        }
        let whole = divide(length, self.denominator);
        whole + u128::from(whole * u128::from(self.denominator) < length)
    }
}

/// A product that cannot overflow.
#[inline]
fn product(left: u64, right: u64) -> u128 {
    u128::from(left) * u128::from(right)
}

/// A division that is one instruction where the dividend allows it, and a library call where not.
#[inline]
#[must_use]
pub fn divide(dividend: u128, divisor: u64) -> u128 {
    match u64::try_from(dividend) {
        Ok(dividend) => u128::from(dividend / divisor),
        Err(_) => dividend / u128::from(divisor),
    }
}

pub(crate) fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}
