//! The calendar quota: so many units in each hour, day, week or month of a time zone.
//!
//! A key keeps when the period began in which it spent last, and how much it has spent in it: 16 bytes. What
//! was spent is back when the period ends, at the first instant of the next.
//!
//! The periods themselves are in `civil.rs`. What is asked here is asked of a [`Moment`], an instant with the
//! period that it is in, so that no civil arithmetic is done where a period is known; [`Periods`] keeps the
//! two that were met last.
//!
//! **A clock that is set back** gives nothing back. Back over the beginning of a period, what was spent in the
//! period that has not begun again stays spent, now and when it begins again. Back by more than a period,
//! after a clock was badly wrong, what was spent counts as spent now, so that nobody waits for a year that is
//! far away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::wall::UnixNanos;

use crate::civil::{Period, Unit};
use crate::gcra::Verdict;
use crate::quota::{Quota, Window};
use crate::zone::Zone;

/// A calendar quota made ready for arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    units: u64,
    unit: Unit,
    zone: Zone,
}

/// What one key has spent under a calendar quota, and in which period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The first second of the period, in Unix seconds: also its name in a file.
    pub period_start: i64,
    /// The units spent in it.
    pub units: u64,
}

/// An instant and the period that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    now: UnixNanos,
    period: Period,
}

/// A calendar quota with the two periods that were met last: the one that is now, and the one that somebody
/// who waits looks ahead to.
#[derive(Debug)]
pub struct Periods {
    calendar: Calendar,
    /// Each a whole period in one word, so that no lock is needed.
    recent: [AtomicU64; 2],
}

// === impl Used ===

impl Used {
    /// Nothing was ever spent.
    pub const FRESH: Self = Self {
        period_start: i64::MIN,
        units: 0,
    };
}

impl Default for Used {
    fn default() -> Self {
        Self::FRESH
    }
}

// === impl Moment ===

impl Moment {
    /// The instant.
    #[must_use]
    pub const fn now(&self) -> UnixNanos {
        self.now
    }

    /// The period that it is in.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }
}

// === impl Calendar ===

impl Calendar {
    /// The parameters of a quota, if it is one by the calendar.
    #[must_use]
    pub fn from_quota(quota: &Quota) -> Option<Self> {
        match *quota.window() {
            Window::Calendar { unit, zone } => Some(Self::new(quota.units(), unit, zone)),
            _ => None,
        }
    }

    /// The units are those of a [`Quota`], so at least 1.
    pub(crate) const fn new(units: u64, unit: Unit, zone: Zone) -> Self {
        Self { units, unit, zone }
    }

    /// The most units in a period.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.units
    }

    /// An instant with the period that it is in.
    #[must_use]
    pub fn moment(&self, now: UnixNanos) -> Moment {
        Moment {
            now,
            period: self.zone.period(self.unit, now),
        }
    }

    /// Whether `cost` fits. Nothing is spent here.
    ///
    /// A cost of 0 always fits. In a period that never ends, what does not fit never will.
    #[inline]
    #[must_use]
    pub fn check(&self, used: Used, cost: u64, at: Moment) -> Verdict {
        if cost == 0 {
            return Verdict::Fits(());
        }
        if cost > self.units {
            return Verdict::Never;
        }
        let Some(period) = self.spent_in(used, at) else {
            return Verdict::Fits(());
        };
        if used.units <= self.units - cost {
            return Verdict::Fits(());
        }
        match period.end() {
            Some(end) => Verdict::After(at.now.until(end)),
            None => Verdict::Never,
        }
    }

    /// Spends `cost` whether it fits or not.
    #[inline]
    #[must_use]
    pub fn spend(&self, used: Used, cost: u64, at: Moment) -> Used {
        if cost == 0 {
            return used;
        }
        let (period, spent) = match self.spent_in(used, at) {
            Some(period) => (period, used.units),
            None => (at.period, 0),
        };
        Used {
            period_start: period.seconds().0,
            units: spent.saturating_add(cost),
        }
    }

    /// The units spent in this period.
    #[must_use]
    pub fn spent(&self, used: Used, at: Moment) -> u64 {
        self.spent_in(used, at).map_or(0, |_| used.units)
    }

    /// The units that can be spent now.
    #[must_use]
    pub fn remaining(&self, used: Used, at: Moment) -> u64 {
        self.units.saturating_sub(self.spent(used, at))
    }

    /// How long until [`remaining`](Calendar::remaining) next grows: until the next period begins. `None` if
    /// nothing is spent, or if none begins any more.
    #[must_use]
    pub fn until_more(&self, used: Used, at: Moment) -> Option<Duration> {
        let end = self.spent_in(used, at)?.end()?;
        Some(at.now.until(end))
    }

    /// The units below zero: what was spent unasked in this period.
    #[must_use]
    pub fn overdrawn(&self, used: Used, at: Moment) -> u64 {
        self.spent(used, at).saturating_sub(self.units)
    }

    /// Gives back `cost` of what was spent in this period.
    #[must_use]
    pub fn refund(&self, used: Used, cost: u64, at: Moment) -> Used {
        match self.spent_in(used, at) {
            Some(_) => Used {
                units: used.units.saturating_sub(cost),
                ..used
            },
            None => used,
        }
    }

    /// Gives back `cost` that was spent at the instant `spent_at`; nothing if the period that was then is
    /// over.
    #[must_use]
    pub fn refund_at(&self, used: Used, cost: u64, spent_at: UnixNanos, at: Moment) -> Used {
        match self.spent_in(used, at) {
            Some(period) if period.contains(spent_at) => self.refund(used, cost, at),
            _ => used,
        }
    }

    /// How long until nothing is spent, in nanoseconds; [`u64::MAX`] if never.
    #[must_use]
    pub fn debt(&self, used: Used, at: Moment) -> u64 {
        match self.spent_in(used, at).map(|period| period.end()) {
            None => 0,
            Some(None) => u64::MAX,
            Some(Some(end)) => u64::try_from(at.now.until(end).as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Whether nothing is spent: the state is then as good as [`Used::FRESH`].
    #[inline]
    #[must_use]
    pub fn is_idle(&self, used: Used, at: Moment) -> bool {
        self.spent_in(used, at).is_none()
    }

    /// The state in which `units` are spent now.
    #[must_use]
    pub fn owing(&self, units: u64, at: Moment) -> Used {
        self.spend(Used::FRESH, units, at)
    }

    /// The state under this quota of what was spent under another: what was spent in the period that `from`
    /// is in at `from_at` is spent in the one that this is in at `at`.
    ///
    /// With another unit or zone what was spent in the period that is now, however long ago, counts as spent
    /// now: nothing else is known of it, and it is the denying direction.
    #[must_use]
    pub fn convert(&self, from: &Self, used: Used, from_at: Moment, at: Moment) -> Used {
        match from.spent_in(used, from_at) {
            None => Used::FRESH,
            Some(_) if (self.unit, self.zone) == (from.unit, from.zone) => used,
            Some(_) => self.owing(used.units, at),
        }
    }

    /// The state by the clock that is now, after a restart or after a clock that was badly wrong: in its own
    /// period if that is now or next, else in this one; nothing if it is over.
    #[must_use]
    pub fn by_clock(&self, used: Used, at: Moment) -> Used {
        match self.spent_in(used, at) {
            Some(period) => Used {
                period_start: period.seconds().0,
                ..used
            },
            None => Used::FRESH,
        }
    }

    /// The period in which a state's units count, if there are any and it is not over.
    #[inline]
    fn spent_in(&self, used: Used, at: Moment) -> Option<Period> {
        let (start, end) = at.period.seconds();
        if used.units == 0 || used.period_start < start {
            return None;
        }
        if used.period_start == end {
            return Some(self.next(at.period));
        }
        Some(at.period)
    }

    /// The period after one that has an end.
    #[cold]
    fn next(&self, period: Period) -> Period {
        let start = UnixNanos::from_seconds(period.seconds().1);
        self.zone.period(self.unit, start)
    }
}

// === impl Periods ===

impl Periods {
    /// Nothing was met yet.
    #[must_use]
    pub const fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            recent: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// The quota.
    #[must_use]
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// An instant with the period that it is in: the same as [`Calendar::moment`], which is asked if the
    /// period is another than the last two.
    #[inline]
    #[must_use]
    pub fn moment(&self, now: UnixNanos) -> Moment {
        for word in &self.recent {
            let period = unpacked(word.load(Ordering::Relaxed));
            if period.contains(now) {
                return Moment { now, period };
            }
        }
        self.meet(now)
    }

    /// Keeps a period in the place of the one that is further away from it.
    #[cold]
    fn meet(&self, now: UnixNanos) -> Moment {
        let moment = self.calendar.moment(now);
        let start = moment.period.seconds().0;
        if let Some(packed) = packed(moment.period) {
            let distance = |word: &&AtomicU64| {
                let held = unpacked(word.load(Ordering::Relaxed));
                held.seconds().0.abs_diff(start)
            };
            if let Some(furthest) = self.recent.iter().max_by_key(distance) {
                furthest.store(packed, Ordering::Relaxed);
            }
        }
        moment
    }
}

impl Clone for Periods {
    fn clone(&self) -> Self {
        Self::new(self.calendar)
    }
}

impl PartialEq for Periods {
    fn eq(&self, other: &Self) -> bool {
        self.calendar == other.calendar
    }
}

impl Eq for Periods {}

/// The lower bits hold a period's length in seconds, the others its start.
const LENGTH_BITS: u32 = 24;
/// What makes a start positive: more seconds than there are in 9,999 years.
const START_BIAS: i64 = 1 << 39;

/// A period in one word, which is never 0; `None` for those that have no beginning or no end.
fn packed(period: Period) -> Option<u64> {
    let (start, end) = period.seconds();
    let length = u64::try_from(end.checked_sub(start)?).ok()?;
    let start = u64::try_from(start.checked_add(START_BIAS)?).ok()?;
    let fits = length >> LENGTH_BITS == 0 && start >> (64 - LENGTH_BITS) == 0;
    fits.then_some(start << LENGTH_BITS | length)
}

/// The period in a word; of 0 an empty one, in which nothing is.
fn unpacked(word: u64) -> Period {
    let start = (word >> LENGTH_BITS).cast_signed() - START_BIAS;
    let length = (word & ((1 << LENGTH_BITS) - 1)).cast_signed();
    Period::from_seconds(start, start + length)
}
