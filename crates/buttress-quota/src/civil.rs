//! Civil time in a time zone: which hour, day, week or month an instant is in.
//!
//! **Days, weeks and months** begin at the first instant at which the zone's clocks show 00:00 of their first
//! day or anything later, and last until the next begins. So a day has 23, 24 or 25 hours; one whose midnight
//! is skipped begins where the clocks go on; and one that has begun goes on although the clocks go back over
//! its midnight. A week begins on Monday.
//!
//! **Hours, minutes and seconds** begin when the clocks begin to show another one, or the same one from its
//! start. So where the clocks go back by an hour, the hour that is shown twice is two; where they go back by
//! half an hour, the one that is shown once and a half is one of 90 minutes.
//!
//! Every instant is in one period, the first instant of a period in that one. Periods begin at whole seconds,
//! because offsets are whole seconds. Outside the years -9999 to 9999 nothing begins or ends.

use std::fmt;
use std::time::Duration;

use buttress_core::wall::UnixNanos;
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// A named length of civil time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A second of the clock.
    Second,
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day of the zone: 24 hours, and 23 or 25 where the clocks change.
    Day,
    /// Seven days, from Monday.
    Week,
    /// A month of the Gregorian calendar.
    Month,
}

/// A stretch of civil time: one hour, day, week or month, from its first instant to that of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// In Unix seconds.
    start: i64,
    /// In Unix seconds; [`i64::MAX`] if it never ends.
    end: i64,
}

/// What the clocks of a time zone show.
#[derive(Clone, Copy)]
pub(crate) struct Clocks<'a>(pub(crate) &'a TimeZone);

// === impl Unit ===

impl Unit {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
    ];

    /// The unit of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// Its name: `second`, `minute`, `hour`, `day`, `week` or `month`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// How long it is where no clocks change; of a month, the longest: 31 days.
    #[must_use]
    pub const fn nominal(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 31 * 86_400,
        })
    }

    /// The first day of the one that a day is in, of a unit of whole days.
    fn first_day(self, day: Date) -> Date {
        let since_monday = i64::from(day.weekday().to_monday_zero_offset());
        match self {
            Self::Month => day.first_of_month(),
            // All days that are asked for have a Monday before them.
            Self::Week => day.checked_sub(since_monday.days()).unwrap_or(day),
            _ => day,
        }
    }

    /// The first day of the next one.
    fn next_first_day(self, first: Date) -> Option<Date> {
        let length = match self {
            Self::Month => 1.month(),
            Self::Week => 1.week(),
            _ => 1.day(),
        };
        first.checked_add(length).ok()
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Period ===

impl Period {
    /// Its first instant.
    #[must_use]
    pub const fn start(&self) -> UnixNanos {
        UnixNanos::from_seconds(self.start)
    }

    /// The first instant after it, which is that of the next; `None` if it never ends.
    #[must_use]
    pub fn end(&self) -> Option<UnixNanos> {
        (self.end < i64::MAX).then(|| UnixNanos::from_seconds(self.end))
    }

    /// Whether an instant is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, at: UnixNanos) -> bool {
        let is_over = at >= UnixNanos::from_seconds(self.end) && self.end < i64::MAX;
        let has_begun = at >= UnixNanos::from_seconds(self.start) || self.start == i64::MIN;
        has_begun && !is_over
    }

    pub(crate) const fn from_seconds(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    /// Its first second and the first after it.
    pub(crate) const fn seconds(&self) -> (i64, i64) {
        (self.start, self.end)
    }
}

// === impl Clocks ===

impl Clocks<'_> {
    /// The period that an instant is in.
    pub(crate) fn period(&self, unit: Unit, at: UnixNanos) -> Period {
        let second = at.seconds();
        let (first, end) = known();
        if second < first {
            return Period {
                start: i64::MIN,
                end: first,
            };
        }
        if second >= end {
            return Period {
                start: end,
                end: i64::MAX,
            };
        }
        let (began, ends) = match unit {
            Unit::Second | Unit::Minute | Unit::Hour => {
                let length = unit.nominal().as_secs().cast_signed();
                (self.began(length, second), self.ends(length, second))
            }
            Unit::Day | Unit::Week | Unit::Month => self.days(unit, second),
        };
        Period {
            start: began.max(first),
            end: ends.min(end),
        }
    }

    /// The bounds of a unit of whole days.
    fn days(&self, unit: Unit, second: i64) -> (i64, i64) {
        let (known, unknown) = known();
        let shown = self.0.to_datetime(timestamp(second)).date();
        let mut first = unit.first_day(shown);
        let mut start = self.day_begins(first);
        loop {
            let next = unit.next_first_day(first);
            let end = next.and_then(|next| self.day_begins(next));
            match (next, end) {
                // It has begun, and then the clocks went back over its midnight.
                (Some(next), Some(begun)) if begun <= second => (first, start) = (next, end),
                _ => return (start.unwrap_or(known), end.unwrap_or(unknown)),
            }
        }
    }

    /// The first second in which the clocks show the first instant of a day, or anything later.
    fn day_begins(&self, day: Date) -> Option<i64> {
        let midnight = day.to_datetime(Time::midnight());
        let shown_with = |offset: Offset| {
            let timestamp = offset.to_timestamp(midnight).ok()?;
            Some(timestamp.as_second())
        };
        match self.0.to_ambiguous_timestamp(midnight).offset() {
            AmbiguousOffset::Unambiguous { offset } => shown_with(offset),
            AmbiguousOffset::Fold { before, .. } => shown_with(before),
            AmbiguousOffset::Gap { before, after } => {
                // The clocks are set forward after the first of these and no later than at the second.
                let (mut earlier, mut later) = (shown_with(after)?, shown_with(before)?);
                while later - earlier > 1 {
                    let middle = earlier + (later - earlier) / 2;
                    match self.0.to_datetime(timestamp(middle)) < midnight {
                        true => earlier = middle,
                        false => later = middle,
                    }
                }
                Some(later)
            }
        }
    }

    /// When the hour, minute or second began that is shown in this second.
    fn began(&self, length: i64, mut second: i64) -> i64 {
        loop {
            let shown_since = second - self.shown(second).rem_euclid(length);
            let change = self.0.preceding(timestamp(second + 1)).next();
            match change.map(|change| change.timestamp().as_second()) {
                Some(change) if change > shown_since => {
                    if self.is_another(length, change) {
                        return change;
                    }
                    second = change - 1;
                }
                _ => return shown_since,
            }
        }
    }

    /// When the hour, minute or second ends that is shown in this second.
    fn ends(&self, length: i64, mut second: i64) -> i64 {
        loop {
            let shown_until = second - self.shown(second).rem_euclid(length) + length;
            let change = self.0.following(timestamp(second)).next();
            match change.map(|change| change.timestamp().as_second()) {
                Some(change) if change <= shown_until => {
                    if self.is_another(length, change) {
                        return change;
                    }
                    second = change;
                }
                _ => return shown_until,
            }
        }
    }

    /// Whether an hour, minute or second begins where the clocks are changed.
    fn is_another(&self, length: i64, change: i64) -> bool {
        let (before, after) = (self.shown(change - 1), self.shown(change));
        after.rem_euclid(length) == 0 || before.div_euclid(length) != after.div_euclid(length)
    }

    /// What the clocks show in a second, as the seconds since they showed the beginning of 1970.
    fn shown(&self, second: i64) -> i64 {
        second + i64::from(self.0.to_offset(timestamp(second)).seconds())
    }
}

/// The first second in which something is known of periods, and the first in which nothing is any more.
fn known() -> (i64, i64) {
    // The first days there are do not begin with a Monday.
    const DAYS: i64 = 8 * 86_400;
    (
        Timestamp::MIN.as_second() + DAYS,
        Timestamp::MAX.as_second() + 1,
    )
}

/// A second as a timestamp, or the nearest that there is.
fn timestamp(second: i64) -> Timestamp {
    let nearest = if second < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(second).unwrap_or(nearest)
}
