//! A quota: so much per so long, and how the limit moves with time.
//!
//! A [`Quota`] that exists can be enforced: at least one unit, a period that is not zero, numbers that no
//! arithmetic further in can overflow. Its text form is in `quota_text.rs`.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "calendar")]
use crate::civil::Unit;
use crate::quota_error::QuotaError;
#[cfg(feature = "calendar")]
use crate::zone::Zone;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How a quota's limit moves with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Window {
    /// A bucket that holds `burst` units, is full at rest, and refills continuously.
    Paced {
        /// The capacity of the bucket in units.
        burst: u64,
    },
    /// No more than the units of the quota in any stretch of time as long as the period: a unit comes back
    /// exactly one period after it was spent.
    Rolling,
    /// No more than the units of the quota in any period of a calendar: all are back when the next begins.
    #[cfg(feature = "calendar")]
    Calendar {
        /// The period: a civil hour, day, week or month.
        unit: Unit,
        /// Whose clocks say when it begins.
        zone: Zone,
    },
}

/// So many units per period.
///
/// ```
/// use std::time::Duration;
/// use buttress_quota::Quota;
///
/// let login = Quota::per_minute(5);
/// let steady = Quota::per_second(1).burst(5);
/// let daily = Quota::rolling(1_200, Duration::from_secs(86_400));
/// assert_eq!(login, "5/minute".parse()?);
/// assert_eq!(steady.to_string(), "1/second burst 5");
/// assert_eq!(daily.to_string(), "1200/day rolling");
/// # Ok::<(), buttress_quota::QuotaError>(())
/// ```
///
/// The constructors without `Result` are for numbers that stand in the source: they panic on one that is
/// impossible (in a `const`, at compile time). For numbers from elsewhere there are [`new`](Quota::new),
/// [`try_rolling`](Quota::try_rolling), [`try_burst`](Quota::try_burst), [`try_named`](Quota::try_named), and
/// the text form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    units: u64,
    /// In nanoseconds.
    period: u64,
    window: Window,
    name: Option<Arc<str>>,
}

impl Quota {
    /// The largest number of units, and the largest burst: 2^63 - 1.
    pub const MAX_UNITS: u64 = (1 << 63) - 1;
    /// The longest period: 2^63 nanoseconds, some 292 years.
    pub const MAX_PERIOD: Duration = Duration::from_nanos(1 << 63);
    /// The longest name in bytes.
    pub const MAX_NAME: usize = 64;

    /// `units` per second, paced, with a burst of `units`.
    ///
    /// # Panics
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    #[must_use]
    pub const fn per_second(units: u64) -> Self {
        Self::paced_in_source(units, NANOS_PER_SECOND)
    }

    /// `units` per minute, paced, with a burst of `units`.
    ///
    /// # Panics
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    #[must_use]
    pub const fn per_minute(units: u64) -> Self {
        Self::paced_in_source(units, 60 * NANOS_PER_SECOND)
    }

    /// `units` per hour, paced, with a burst of `units`.
    ///
    /// # Panics
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    #[must_use]
    pub const fn per_hour(units: u64) -> Self {
        Self::paced_in_source(units, 3_600 * NANOS_PER_SECOND)
    }

    /// `units` per 24 hours, paced, with a burst of `units`.
    ///
    /// # Panics
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    #[must_use]
    pub const fn per_day(units: u64) -> Self {
        Self::paced_in_source(units, 86_400 * NANOS_PER_SECOND)
    }

    /// One unit per `period`, paced, with a burst of one.
    ///
    /// # Panics
    ///
    /// If `period` is zero or above [`MAX_PERIOD`](Quota::MAX_PERIOD).
    #[must_use]
    pub const fn every(period: Duration) -> Self {
        Self::paced_in_source(1, nanos_in_source(period))
    }

    /// Exactly `units` in any rolling `period`: neither more nor fewer.
    ///
    /// # Panics
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS), or `period` is zero or above
    /// [`MAX_PERIOD`](Quota::MAX_PERIOD).
    #[must_use]
    pub const fn rolling(units: u64, period: Duration) -> Self {
        Self::in_source(units, nanos_in_source(period), Window::Rolling)
    }

    /// So many `units` in each hour, day, week or month of a time zone.
    ///
    /// ```
    /// use buttress_quota::{Quota, Unit, Zone};
    ///
    /// let daily = Quota::calendar(1_200, Unit::Day, Zone::new("Europe/Berlin")?);
    /// assert_eq!(daily, "1200/day calendar Europe/Berlin".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    #[cfg(feature = "calendar")]
    #[must_use]
    pub const fn calendar(units: u64, unit: Unit, zone: Zone) -> Self {
        let period = nanos_in_source(unit.nominal());
        Self::in_source(units, period, Window::Calendar { unit, zone })
    }

    /// The same quota with a bucket of `burst` units.
    ///
    /// # Panics
    ///
    /// If the quota is not paced, or `burst` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    #[must_use]
    pub const fn burst(mut self, burst: u64) -> Self {
        assert!(burst >= 1, "the burst of a quota is at least 1");
        assert!(
            burst <= Self::MAX_UNITS,
            "the burst of a quota is at most 2^63 - 1"
        );
        match self.window {
            Window::Paced { .. } => self.window = Window::Paced { burst },
            _ => panic!("only a paced quota has a burst; any other has its units alone"),
        }
        self
    }

    /// The same quota with a name, by which response fields and metrics call it.
    ///
    /// # Panics
    ///
    /// Where [`try_named`](Quota::try_named) gives an error.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        match self.try_named(name) {
            Ok(quota) => quota,
            Err(error) => panic!("{error}"),
        }
    }

    /// `units` per `period`, paced, with a burst of `units`.
    ///
    /// # Errors
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS), or `period` is zero or above
    /// [`MAX_PERIOD`](Quota::MAX_PERIOD).
    pub fn new(units: u64, period: Duration) -> Result<Self, QuotaError> {
        let text = || {
            format!(
                "{units}/{}",
                buttress_core::duration::format_duration(period)
            )
        };
        if !is_amount(units) {
            return Err(QuotaError::new(
                &text(),
                "number",
                &units.to_string(),
                AMOUNT,
            ));
        }
        let Some(nanos) = period_nanos(period) else {
            let part = buttress_core::duration::format_duration(period);
            return Err(QuotaError::new(&text(), "period", &part, PERIOD_RANGE));
        };
        Ok(Self {
            units,
            period: nanos,
            window: Window::Paced { burst: units },
            name: None,
        })
    }

    /// Exactly `units` in any rolling `period`: neither more nor fewer.
    ///
    /// # Errors
    ///
    /// As [`new`](Quota::new).
    pub fn try_rolling(units: u64, period: Duration) -> Result<Self, QuotaError> {
        Self::new(units, period).map(|quota| Self {
            window: Window::Rolling,
            ..quota
        })
    }

    /// So many `units` in each hour, day, week or month of the time zone of this name.
    ///
    /// # Errors
    ///
    /// If `units` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS), or the zone is unknown.
    #[cfg(feature = "calendar")]
    pub fn try_calendar(units: u64, unit: Unit, zone: &str) -> Result<Self, QuotaError> {
        let text = || format!("{units}/{unit} calendar {zone}");
        if !is_amount(units) {
            let part = units.to_string();
            return Err(QuotaError::new(&text(), "number", &part, AMOUNT));
        }
        match Zone::new(zone) {
            Ok(zone) => Ok(Self::calendar(units, unit, zone)),
            Err(error) => Err(QuotaError::new(&text(), "zone", zone, error.reason())),
        }
    }

    /// The same quota with a bucket of `burst` units.
    ///
    /// # Errors
    ///
    /// If the quota is not paced, or `burst` is 0 or above [`MAX_UNITS`](Quota::MAX_UNITS).
    pub fn try_burst(self, burst: u64) -> Result<Self, QuotaError> {
        if !matches!(self.window, Window::Paced { .. }) {
            let window = match self.window {
                Window::Rolling => "rolling",
                _ => "calendar",
            };
            let reason = format!(
                "does not go with {window}, which has no capacity but its number; leave one of them out"
            );
            return Err(QuotaError::new(
                &self.to_string(),
                "burst",
                &burst.to_string(),
                reason,
            ));
        }
        if !is_amount(burst) {
            return Err(QuotaError::new(
                &self.to_string(),
                "burst",
                &burst.to_string(),
                AMOUNT,
            ));
        }
        Ok(Self {
            window: Window::Paced { burst },
            ..self
        })
    }

    /// The same quota with a name, by which response fields and metrics call it.
    ///
    /// The name is no part of the text form.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than [`MAX_NAME`](Quota::MAX_NAME) bytes, or not printable ASCII: it goes
    /// into a structured field of HTTP.
    pub fn try_named(self, name: &str) -> Result<Self, QuotaError> {
        let printable = name.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        if name.is_empty() || name.len() > Self::MAX_NAME || !printable {
            let reason = "is not a name; write 1 to 64 characters of printable ASCII";
            return Err(QuotaError::new(&self.to_string(), "name", name, reason));
        }
        Ok(Self {
            name: Some(name.into()),
            ..self
        })
    }

    /// The units per period.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// The period; of a calendar its length where no clocks change, and of a month 31 days.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }

    /// The most units that can be spent at one instant: the burst of a paced quota, else its units.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        match self.window {
            Window::Paced { burst } => burst,
            _ => self.units,
        }
    }

    /// How the limit moves with time.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// The name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The period in nanoseconds.
    #[doc(hidden)]
    #[must_use]
    pub const fn period_nanos(&self) -> u64 {
        self.period
    }

    /// Another amount under the same name.
    pub(crate) fn with(&self, units: u64, period: u64, window: Window) -> Self {
        Self {
            name: self.name.clone(),
            ..Self::in_source(units, period, window)
        }
    }

    const fn paced_in_source(units: u64, period: u64) -> Self {
        Self::in_source(units, period, Window::Paced { burst: units })
    }

    const fn in_source(units: u64, period: u64, window: Window) -> Self {
        assert!(units >= 1, "a quota is at least 1 per period");
        assert!(
            units <= Self::MAX_UNITS,
            "a quota is at most 2^63 - 1 per period"
        );
        Self {
            units,
            period,
            window,
            name: None,
        }
    }
}

const AMOUNT: &str = "is out of range; write an integer from 1 to 9223372036854775807";
pub(crate) const PERIOD_RANGE: &str =
    "is out of range; a period is longer than zero and at most 2^63 nanoseconds (292 years)";

const fn is_amount(amount: u64) -> bool {
    amount >= 1 && amount <= Quota::MAX_UNITS
}

/// A period in nanoseconds, if it can be one.
const fn period_nanos(period: Duration) -> Option<u64> {
    let Some(nanos) = period.as_secs().checked_mul(NANOS_PER_SECOND) else {
        return None;
    };
    match nanos.checked_add(period.subsec_nanos() as u64) {
        Some(nanos) if nanos >= 1 && nanos <= 1 << 63 => Some(nanos),
        _ => None,
    }
}

const fn nanos_in_source(period: Duration) -> u64 {
    match period_nanos(period) {
        Some(nanos) => nanos,
        None => panic!(
            "the period of a quota is longer than zero and at most 2^63 nanoseconds (292 years)"
        ),
    }
}
