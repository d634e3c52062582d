//! One limit that several instances enforce, each its part, without a store between them.

use crate::gcra::greatest_common_divisor;
use crate::layer::RateLimitLayer;
use crate::limiter::RateLimiter;
use crate::limits::LimitsError;
use crate::quota::{Quota, Window};
use crate::quota_error::QuotaError;

/// The longest period of a quota, in nanoseconds.
const LONGEST: u64 = 1 << 63;

impl Quota {
    /// The part of one of so many instances, which is the whole divided by them.
    ///
    /// A paced quota keeps its pace to the nanosecond: of `5/minute` each of 2 instances has 5 in 2 minutes; its
    /// burst is rounded down. Of rolling and calendar quotas the units are divided and rounded down. At least 1
    /// is left of all of them, so where there are more instances than units they have more together than the
    /// whole.
    ///
    /// ```
    /// use buttress_rate_limit::Quota;
    ///
    /// assert_eq!(Quota::per_minute(30).share_of(3), Quota::per_minute(10));
    /// assert_eq!(Quota::per_minute(5).share_of(2).to_string(), "5/2m burst 2");
    /// ```
    ///
    /// # Panics
    ///
    /// If there are no instances.
    #[must_use]
    pub fn share_of(&self, instances: u32) -> Self {
        match self.try_share_of(instances) {
            Ok(share) => share,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`share_of`](Self::share_of).
    ///
    /// # Errors
    ///
    /// If there are no instances.
    pub fn try_share_of(&self, instances: u32) -> Result<Self, QuotaError> {
        if instances == 0 {
            let reason = "is not a number of instances; write at least 1";
            return Err(QuotaError::new(&self.to_string(), "share", "0", reason));
        }
        Ok(self.share(instances))
    }

    /// As [`share_of`](Self::share_of); none is one.
    pub(crate) fn share(&self, instances: u32) -> Self {
        let instances = u64::from(instances.max(1));
        let part = |units: u64| (units / instances).max(1);
        let Window::Paced { burst } = *self.window() else {
            return self.with(part(self.units()), self.period_nanos(), *self.window());
        };
        let common = greatest_common_divisor(self.units(), instances);
        let window = Window::Paced { burst: part(burst) };
        match self.period_nanos().checked_mul(instances / common) {
            Some(period) if period <= LONGEST => self.with(self.units() / common, period, window),
            // Beyond the longest period there is no such pace; the next slower one that there is.
            _ => {
                let whole = u128::from(self.units()) * u128::from(LONGEST);
                let parts = u128::from(self.period_nanos()) * u128::from(instances);
                let units = u64::try_from(whole / parts).unwrap_or(u64::MAX);
                self.with(units.max(1), LONGEST, window)
            }
        }
    }
}

impl RateLimiter {
    /// Of how many instances this one enforces its part; 1 if nothing was said.
    #[must_use]
    pub fn share_of(&self) -> u32 {
        self.shared.current.lock().instances
    }

    /// Enforces the part of one of so many instances from now on: say it again whenever their number changes.
    /// What was spent stays spent, in units. What this means: [`RateLimitLayer::share_of`].
    ///
    /// # Errors
    ///
    /// If there are no instances; then nothing changes.
    pub fn set_share_of(&self, instances: u32) -> Result<(), LimitsError> {
        if instances == 0 {
            return Err(LimitsError::NoInstances);
        }
        self.change(|_, held| *held = instances)
    }
}

impl<Q, A, C, R> RateLimitLayer<Q, A, C, R> {
    /// Enforces one `instances`-th of every quota ([`Quota::share_of`]), so that several instances without a
    /// store between them keep one limit together. Quotas, overrides and
    /// [`limits`](RateLimiter::limits) stay those of all; standings and response fields are those of this
    /// instance. [`RateLimiter::set_share_of`] changes it live.
    ///
    /// What it guarantees: as long as no more than so many instances run, each with this number, and none of
    /// them restarts, they never admit more together than the quotas say, with these exceptions:
    ///
    /// - a part is never less than 1 unit, so a quota of 3 on 5 instances admits 5;
    /// - when the number changes, what an instance spent of a larger part was spent, and a new instance starts
    ///   with its whole part, so until one period (of paced quotas the time in which a burst comes back) is over,
    ///   up to one part for each new instance may be admitted on top; during a rolling deployment old and new
    ///   processes count as instances alike.
    ///
    /// What it does not: that a client gets all of its quota. Whose requests are not spread evenly is refused
    /// early, down to one part of the quota where all go to the same instance (sticky sessions, one long
    /// connection); and units are lost to rounding. Where that matters the instances need a store.
    ///
    /// # Panics
    ///
    /// If there are no instances.
    #[must_use]
    pub fn share_of(self, instances: u32) -> Self {
        if let Err(error) = self.limiter.set_share_of(instances) {
            panic!("{error}");
        }
        self
    }
}
