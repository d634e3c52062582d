//! A limiter with calendar quotas goes by its wall clock.
#![cfg(feature = "calendar")]

use std::time::Duration;

use buttress_core::wall::{UnixNanos, WallClock};
use buttress_rate_limit::RateLimiter;

/// The example of the replay's page: that day has 23 hours.
#[tokio::test(start_paused = true)]
async fn a_limiter_goes_by_its_wall_clock_which_goes_by_tokios() {
    let start: jiff::Timestamp = "2026-03-08T05:00:00Z".parse().unwrap();
    let clock = WallClock::fixed_start(UnixNanos::new(start.as_nanosecond()));
    let limiter = RateLimiter::builder()
        .quota("1/day calendar America/New_York".parse().unwrap())
        .wall_clock(clock)
        .build()
        .unwrap();
    assert!(limiter.check("alice", 1).is_ok());
    tokio::time::advance(Duration::from_secs(82_799)).await;
    let refused = limiter.check("alice", 1).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(limiter.status().live_keys, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(limiter.status().live_keys, 0);
    assert!(limiter.check("alice", 1).is_ok());
    assert!(limiter.check("alice", 1).is_err());
    limiter.set_quota("3/day calendar America/New_York".parse().unwrap());
    assert_eq!(limiter.peek("alice")[0].remaining, 2);
}

/// Without a wall clock of its own a limiter has the system's, and that too is driven by a paused clock.
#[tokio::test(start_paused = true)]
async fn the_system_s_civil_time_is_driven_by_a_paused_clock() {
    let limiter = RateLimiter::new("1/day calendar UTC".parse().unwrap());
    assert!(limiter.check((), 1).is_ok());
    let wait = limiter.check((), 1).unwrap_err().retry_after().unwrap();
    assert!(wait <= Duration::from_secs(86_400));
    tokio::time::advance(wait - Duration::from_millis(1)).await;
    assert!(limiter.check((), 1).is_err());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(limiter.check((), 1).is_ok());
}
