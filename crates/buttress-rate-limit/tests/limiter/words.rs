//! What a limiter tells of itself.

use std::time::Duration;

use buttress_core::{Describe, Now};
use buttress_rate_limit::{Quota, RateLimiter, RateLimiterStatus};

use crate::{limiter, quotas};

const SECOND: Duration = Duration::from_secs(1);

const fn all<T: Send + Sync + Clone + Unpin + 'static>() {}
const _: () = all::<RateLimiter>();

fn names(limiter: &RateLimiter, key: &str) -> Vec<String> {
    limiter.peek(key).into_iter().map(|s| s.name).collect()
}

#[tokio::test(start_paused = true)]
async fn standings_say_what_is_left_and_when_it_grows() {
    let limiter = limiter(&["5/minute burst 8", "3/second rolling"], &["10/hour"]);
    limiter.check("a", 2).unwrap();
    tokio::time::advance(SECOND / 2).await;
    let mut standings = Vec::new();
    limiter.standings(limiter.hash("a"), &Now::new(), &mut |standing| {
        standings.push((
            standing.quota,
            standing.capacity,
            standing.window,
            standing.remaining,
            standing.until_more,
        ));
    });
    let expected = [
        (0, 8, 96 * SECOND, 6, Some(Duration::from_millis(11_500))),
        (1, 3, SECOND, 1, Some(SECOND / 2)),
        (
            2,
            10,
            3_600 * SECOND,
            8,
            Some(Duration::from_millis(359_500)),
        ),
    ];
    assert_eq!(standings, expected);
    let fresh = limiter.peek("fresh");
    assert_eq!(fresh[0].remaining, 8);
    assert_eq!((fresh[0].until_more, fresh[1].until_more), (None, None));
    assert_eq!(fresh[2].remaining, 8, "that of all is everybody's");
}

#[test]
fn a_quota_is_called_as_it_was_named_or_default_or_by_its_text() {
    let only = limiter(&["5/minute"], &[]);
    assert_eq!(names(&only, "a"), ["default"]);
    let only_for_all = limiter(&[], &["5/minute"]);
    assert_eq!(names(&only_for_all, "a"), ["default"]);
    let several = limiter(&["5/minute", "9/hour rolling"], &["5/minute"]);
    assert_eq!(
        names(&several, "a"),
        ["5/minute", "9/hour rolling", "5/minute for all"]
    );
    let named = RateLimiter::builder()
        .quota(Quota::per_minute(5).named("burst"))
        .quota(Quota::per_hour(5))
        .override_for("vip", [Quota::per_hour(9)])
        .build()
        .unwrap();
    assert_eq!(names(&named, "a"), ["burst", "5/hour"]);
    assert_eq!(names(&named, "vip"), ["default"]);
}

#[tokio::test(start_paused = true)]
async fn the_status_counts_to_the_unit() {
    let limiter = RateLimiter::builder()
        .quotas(quotas(&["2/minute"]))
        .global(quotas(&["1k/hour"]))
        .keys(64)
        .build()
        .unwrap();
    let empty = limiter.status();
    assert_eq!((empty.live_keys, empty.admitted, empty.refused), (0, 0, 0));
    for key in 0..30_u32 {
        for _ in 0..5 {
            let _ = limiter.check(key, 1);
        }
    }
    let expected = RateLimiterStatus {
        quotas: quotas(&["2/minute"]),
        global: quotas(&["1k/hour"]),
        shadow: false,
        live_keys: 30,
        waiting: 0,
        admitted: 60,
        refused: 90,
        evicted: 0,
        tiers: [].into(),
        unknown_tiers: 0,
    };
    assert_eq!(limiter.status(), expected);
    tokio::time::advance(60 * SECOND).await;
    let later = limiter.status();
    assert_eq!(
        (later.live_keys, later.admitted),
        (0, 60),
        "all has come back"
    );
    let of_all = crate::limiter(&[], &["2/minute"]);
    for key in 0..5_u32 {
        let _ = of_all.check(key, 1);
    }
    let status = of_all.status();
    assert_eq!((status.admitted, status.refused), (2, 3));
}

#[test]
fn a_seed_makes_hashes_repeat_and_limiters_differ_without_one() {
    let seeded = |seed| {
        let limiter = RateLimiter::builder().quota(Quota::per_hour(1)).seed(seed);
        limiter.build().unwrap()
    };
    assert_eq!(seeded(1).hash("a"), seeded(1).hash("a"));
    assert_ne!(seeded(1).hash("a"), seeded(2).hash("a"));
    let differ = seeded(1).hash("a").get() ^ seeded(1).seed().hash("a").get();
    assert_eq!(differ & !(63 << 26), 0, "six bits are for the tier");
    let [first, second] = [(); 2].map(|()| RateLimiter::new(Quota::per_hour(1)));
    assert_ne!(first.hash("a"), second.hash("a"));
    assert_ne!(first.id(), second.id());
}

#[test]
fn clones_share_everything() {
    let limiter = limiter(&["2/hour"], &[]);
    let clone = limiter.clone();
    limiter.check("a", 2).unwrap();
    clone.check("a", 1).unwrap_err();
    clone.set_quota(Quota::per_hour(3));
    limiter.check("a", 1).unwrap();
    assert_eq!(clone.status(), limiter.status());
    assert_eq!(clone.id(), limiter.id());
    let debug = format!("{limiter:?}");
    assert!(
        debug.contains("quotas") && debug.contains("global"),
        "{debug}"
    );
}
