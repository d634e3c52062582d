//! One limit that several instances enforce, each its part, without a store between them.

use crate::layer::RateLimitLayer;
use crate::limiter::RateLimiter;
use crate::limits::LimitsError;

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
    /// Enforces one `instances`-th of every quota ([`Quota::share_of`](buttress_quota::Quota::share_of)), so that several instances without a
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
