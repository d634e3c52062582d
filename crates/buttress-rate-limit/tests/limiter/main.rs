//! The limiter without tower.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod changes;
mod decisions;
mod words;

use buttress_rate_limit::{Quota, RateLimiter};

fn quotas(texts: &[&str]) -> Vec<Quota> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn limiter(keyed: &[&str], global: &[&str]) -> RateLimiter {
    RateLimiter::builder()
        .quotas(quotas(keyed))
        .global(quotas(global))
        .build()
        .unwrap()
}

/// How many units of each quota are left.
fn left(limiter: &RateLimiter, key: &str) -> Vec<u64> {
    let standings = limiter.peek(key);
    standings
        .iter()
        .map(|standing| standing.remaining)
        .collect()
}

/// How often a key is admitted until it is refused.
fn drain(limiter: &RateLimiter, key: &str) -> u64 {
    let admitted = (0..10_000).take_while(|_| limiter.check(key, 1).is_ok());
    u64::try_from(admitted.count()).unwrap()
}
