//! Retries as other systems publish them.

use std::time::Duration;

use crate::backoff::{Backoff, Jitter};
use crate::layer::RetryLayer;
use crate::policy::RetryPolicy;
use crate::rule::{BudgetRule, Kind};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl RetryLayer {
    /// gRPC's retries (gRPC proposal A6) with the numbers of its own example: four attempts, 100 ms
    /// doubling to 1 s and spread by a fifth, a pushback restarts the backoff, and no retries while half
    /// of ten tokens are gone; a failure takes one, a success gives back a tenth.
    ///
    /// The proposal gives no defaults: every service sets its own.
    #[must_use]
    pub fn grpc_a6() -> Self {
        let backoff = exponential(ms(100), ms(1000)).with_jitter(Jitter::Spread(0.2));
        let backoff = backoff.unwrap_or_default();
        let policy = RetryPolicy {
            attempts: 4,
            backoff,
            hints_restart: true,
            ..RetryPolicy::default()
        };
        let budget = BudgetRule::grpc(10, 0.1).unwrap_or_default();
        Self::new(policy).budget(budget)
    }

    /// The standard mode of the AWS SDKs (retry behaviour version 2.0): three attempts, full jitter from
    /// 1 s doubling to 20 s, and their quota ([`BudgetRule::aws`]).
    #[must_use]
    pub fn aws_standard() -> Self {
        let policy = RetryPolicy {
            attempts: 3,
            backoff: exponential(ms(1000), ms(20_000)),
            ..RetryPolicy::default()
        };
        Self::new(policy).budget(BudgetRule::aws())
    }

    /// Finagle's retries: at once, as often as its budget allows ([`BudgetRule::finagle`]). Finagle spends
    /// at most a fifth of what is left on one request that it sends again by itself; here
    /// [`attempts`](Self::attempts) bounds that.
    #[must_use]
    pub fn finagle() -> Self {
        let policy = RetryPolicy {
            attempts: u32::MAX,
            backoff: Backoff::none(),
            ..RetryPolicy::default()
        };
        Self::new(policy).budget(BudgetRule::finagle())
    }

    /// Envoy's retries: one retry, full jitter from 25 ms doubling to 250 ms, and at most three retries at
    /// once.
    ///
    /// Envoy draws whole milliseconds below the interval; here the interval itself may be drawn.
    #[must_use]
    pub fn envoy() -> Self {
        let policy = RetryPolicy {
            attempts: 2,
            backoff: exponential(ms(25), ms(250)),
            ..RetryPolicy::default()
        };
        let budget = BudgetRule(Kind::InFlight { least: 3, share: 0 });
        Self::new(policy).budget(budget)
    }
}

/// Doubling, full jitter.
fn exponential(base: Duration, max: Duration) -> Backoff {
    Backoff::exponential(base, max).unwrap_or_default()
}
