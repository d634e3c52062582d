//! The paced quota in two machine words, for the table of keys.
//!
//! The same virtual scheduling as [`Pace`], with the theoretical arrival time as whole nanoseconds and a part
//! of one, so that the usual decision is an addition and a comparison of 64-bit numbers, and a key takes ten
//! bytes. It decides exactly as [`Pace`] does; quotas for which that would not fit have no short form.

use std::time::Duration;

use buttress_quota::algorithm::{Pace, Tat, Verdict};
use buttress_quota::parts::divide;

/// The most parts that a nanosecond is divided into: they are counted in 16 bits.
const MAX_DENOMINATOR: u64 = 1 << 16;

/// The longest time in which a bucket fills up, in nanoseconds: 36 years. An instant and twice this long are
/// far below the end of 64 bits.
const MAX_TOLERANCE: u128 = 1 << 60;

/// An instant or a length: whole nanoseconds, and so many parts of the pace's denominator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) nanos: u64,
    pub(crate) part: u16,
}

/// A pace that fits into two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortPace {
    /// What one unit moves the theoretical arrival time by.
    pub(crate) interval: Span,
    /// How far ahead of now the theoretical arrival time may be.
    pub(crate) tolerance: Span,
    pub(crate) denominator: u32,
    pub(crate) capacity: u64,
}

impl Span {
    /// The beginning of time, and the state of a key that never spent anything.
    pub(crate) const ZERO: Self = Self { nanos: 0, part: 0 };

    #[inline]
    pub(crate) const fn at(nanos: u64) -> Self {
        Self { nanos, part: 0 }
    }

    /// Out of parts; above the end of 64 bits it is the end.
    fn from_parts(parts: u128, denominator: u32) -> Self {
        let whole = divide(parts, denominator.into());
        match u64::try_from(whole) {
            Ok(nanos) => Self {
                nanos,
                // What is left is below the denominator, so it fits.
                part: ((parts - whole * u128::from(denominator)) & 0xffff) as u16,
            },
            Err(_) => Self::at(u64::MAX),
        }
    }

    /// In parts.
    fn parts(self, denominator: u32) -> u128 {
        u128::from(self.nanos) * u128::from(denominator) + u128::from(self.part)
    }
}

impl ShortPace {
    /// The short form of a pace, if it has one.
    pub(crate) fn new(pace: &Pace) -> Option<Self> {
        let (interval, denominator) = pace.interval();
        let tolerance = u128::from(interval) * u128::from(pace.capacity());
        if denominator > MAX_DENOMINATOR || tolerance / u128::from(denominator) > MAX_TOLERANCE {
            return None;
        }
        let denominator = u32::try_from(denominator).ok()?;
        Some(Self {
            interval: Span::from_parts(interval.into(), denominator),
            tolerance: Span::from_parts(tolerance, denominator),
            denominator,
            capacity: pace.capacity(),
        })
    }

    /// Whether `cost`, which is not 0, fits, and what the theoretical arrival time becomes if it is spent.
    #[inline]
    pub(crate) fn check(&self, tat: Span, cost: u64, now: u64) -> Verdict<Span> {
        let step = match cost {
            1 => self.interval,
            cost => self.times(cost),
        };
        let next = self.add(tat.max(Span::at(now)), step);
        let latest = Span {
            nanos: now.saturating_add(self.tolerance.nanos),
            part: self.tolerance.part,
        };
        if next <= latest {
            return Verdict::Fits(next);
        }
        if cost > self.capacity {
            return Verdict::Never;
        }
        // A part of a nanosecond is waited for as a whole one.
        let wait = next.nanos - latest.nanos + u64::from(next.part > latest.part);
        Verdict::After(Duration::from_nanos(wait))
    }

    /// The state as [`Pace`] keeps it.
    pub(crate) fn lengthen(&self, tat: Span) -> Tat {
        Tat::new(tat.parts(self.denominator))
    }

    /// The state in short; beyond the end of 64 bits it is the end, in the denying direction.
    pub(crate) fn shorten(&self, tat: Tat) -> Span {
        Span::from_parts(tat.get(), self.denominator)
    }

    #[inline]
    fn add(&self, left: Span, right: Span) -> Span {
        let part = u32::from(left.part) + u32::from(right.part);
        let carry = part >= self.denominator;
        let part = if carry { part - self.denominator } else { part };
        Span {
            nanos: left
                .nanos
                .saturating_add(right.nanos)
                .saturating_add(u64::from(carry)),
            // Below the denominator, so it fits.
            part: (part & 0xffff) as u16,
        }
    }

    #[inline(never)]
    fn times(&self, cost: u64) -> Span {
        let interval = self.interval.parts(self.denominator);
        match interval.checked_mul(u128::from(cost)) {
            Some(parts) => Span::from_parts(parts, self.denominator),
            None => Span::at(u64::MAX),
        }
    }
}
