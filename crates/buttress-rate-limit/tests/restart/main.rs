//! Counts that survive a restart.

#![cfg(all(feature = "persist", not(buttress_loom)))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bytes;
mod changes;
mod files;
#[cfg(feature = "calendar")]
mod model;
mod times;

use std::time::Duration;

use buttress_core::wall::{UnixNanos, WallClock};
use buttress_rate_limit::{
    PersistError, PersistentBuilder, Quota, RateLimiter, RateLimiterBuilder, Restored, Snapshot,
    SnapshotError,
};

const fn all<T: Send + Sync + Unpin + 'static>() {}
const _: () = {
    all::<Snapshot>();
    all::<Restored>();
    all::<PersistentBuilder>();
    all::<PersistError>();
    all::<SnapshotError>();
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// 2026-10-21T00:00:00Z, a Wednesday; the clocks of Berlin go back on the Sunday after it.
const START: i64 = 1_792_540_800;

fn quotas(texts: &[&str]) -> Vec<Quota> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// So many seconds after the start, from now on.
fn clock(seconds: i64) -> WallClock {
    WallClock::fixed_start(UnixNanos::from_seconds(START + seconds))
}

fn builder(quotas: &[&str], seconds: i64) -> RateLimiterBuilder {
    RateLimiter::builder()
        .quotas(self::quotas(quotas))
        .keys(64)
        .wall_clock(clock(seconds))
}

/// A limiter of a process that starts so many seconds after the start.
fn started(quotas: &[&str], seconds: i64, saved: Option<&Snapshot>) -> RateLimiter {
    builder(quotas, seconds).restore(saved).build().unwrap()
}

/// How many units of each quota are left.
fn left(limiter: &RateLimiter, key: &str) -> Vec<u64> {
    let standings = limiter.peek(key);
    standings
        .iter()
        .map(|standing| standing.remaining)
        .collect()
}

/// In how long more is left.
fn until_more(limiter: &RateLimiter, key: &str) -> Option<Duration> {
    limiter.peek(key)[0].until_more
}
