//! Tiers: keys that have other quotas than the rest, by name.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod changes;
mod concurrency;
mod decisions;
mod layer;
#[cfg(feature = "persist")]
mod restart;
mod waiting;

use std::time::Duration;

use buttress_rate_limit::{ByTier, Quota, RateLimiter, RateLimiterBuilder, Tier, UnknownTier};

const fn all<T: Send + Sync + Unpin + 'static>() {}
const _: () = {
    all::<Tier>();
    all::<ByTier<()>>();
    all::<UnknownTier>();
};

const SECOND: Duration = Duration::from_secs(1);

fn quotas(texts: &[&str]) -> Vec<Quota> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Two an hour in no tier, five for `pro`, and nine and twenty a day for `team`.
fn builder() -> RateLimiterBuilder {
    RateLimiter::builder()
        .quotas(quotas(&["2/hour"]))
        .tier("pro", quotas(&["5/hour"]))
        .tier("team", quotas(&["9/hour", "20/day rolling"]))
        .keys(64)
}

fn limiter() -> RateLimiter {
    builder().build().unwrap()
}

/// How many units of each quota are left.
fn left(tier: &Tier, key: &str) -> Vec<u64> {
    let standings = tier.peek(key).into_iter();
    standings.map(|standing| standing.remaining).collect()
}

/// How often a key is admitted until it is refused.
fn drain(tier: &Tier, key: &str) -> u64 {
    let admitted = (0..10_000).take_while(|_| tier.check(key, 1).is_ok());
    u64::try_from(admitted.count()).unwrap()
}
