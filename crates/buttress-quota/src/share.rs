//! The part of a quota that one of several instances enforces, without a store between them.

use crate::gcra::greatest_common_divisor;
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
    /// use buttress_quota::Quota;
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
