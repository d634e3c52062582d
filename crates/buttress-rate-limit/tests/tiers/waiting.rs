//! Waiting for a limit in a tier.

use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Admission, Now, Verdict};
use buttress_rate_limit::{RateDemand, RateLimiter, Tier, Waiting};
use tokio::task::JoinHandle;

use crate::{SECOND, left, quotas};

/// One second a unit in no tier, half a second for `pro`.
fn limiter(global: &[&str]) -> RateLimiter {
    RateLimiter::builder()
        .quotas(quotas(&["1/second"]))
        .tier("pro", quotas(&["2/second burst 1"]))
        .global(quotas(global))
        .keys(8)
        .build()
        .unwrap()
}

/// A request on a task of its own, which tells after how many milliseconds it was admitted.
fn spawn(limiter: &RateLimiter, key: buttress_core::KeyHash) -> JoinHandle<Duration> {
    let waiting = Waiting::new(limiter.clone(), 60 * SECOND);
    let start = now();
    let verdict = waiting.admit(RateDemand::new(key, 1), &Now::new());
    tokio::spawn(async move {
        match verdict {
            Verdict::Now(answer) => drop(answer.unwrap()),
            Verdict::Later(wait) => drop(wait.await.unwrap()),
        }
        now() - start
    })
}

async fn times(waiters: Vec<JoinHandle<Duration>>) -> Vec<u128> {
    let mut times = Vec::new();
    for waiter in waiters {
        times.push(waiter.await.unwrap().as_millis());
    }
    times
}

fn pro(limiter: &RateLimiter) -> Tier {
    limiter.tier("pro").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_in_the_line_of_its_tier() {
    let limiter = limiter(&[]);
    let (slow, fast) = (limiter.hash("a"), pro(&limiter).hash("a"));
    let keys = [slow, fast, slow, fast, slow, fast];
    let waiters = keys.map(|key| spawn(&limiter, key)).into();
    assert_eq!(times(waiters).await, [0, 0, 1_000, 500, 2_000, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_all_keys_go_in_order_whatever_their_tier() {
    let limiter = limiter(&["4/second burst 1"]);
    let pro = pro(&limiter);
    let keys = [
        limiter.hash("a"),
        pro.hash("b"),
        pro.hash("c"),
        limiter.hash("d"),
        pro.hash("b"),
    ];
    let waiters: Vec<_> = keys.map(|key| spawn(&limiter, key)).into();
    tokio::task::yield_now().await;
    assert_eq!(limiter.status().waiting, 4);
    assert_eq!(times(waiters).await, [0, 250, 500, 750, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn a_refund_and_a_change_of_the_tier_wake_those_who_wait() {
    let limiter = limiter(&[]);
    let pro = pro(&limiter);
    limiter.set_tier("pro", quotas(&["1/hour"])).unwrap();
    pro.check("a", 1).unwrap();
    let waiting = Waiting::new(limiter.clone(), 7_200 * SECOND);
    let Verdict::Later(wait) = waiting.admit(RateDemand::new(pro.hash("a"), 1), &Now::new()) else {
        panic!("it waits");
    };
    let wait = tokio::spawn(wait);
    tokio::task::yield_now().await;
    limiter.refund("a", 1);
    tokio::task::yield_now().await;
    assert!(!wait.is_finished(), "another account");
    let start = now();
    pro.set_quota("2/second burst 2".parse().unwrap());
    drop(wait.await.unwrap().unwrap());
    assert_eq!(now(), start);
    assert_eq!(left(&pro, "a"), [0]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_a_tier_that_is_taken_away_gets_what_is_left() {
    let limiter = limiter(&[]);
    let pro = pro(&limiter);
    limiter.set_tier("pro", quotas(&["1/hour"])).unwrap();
    let waiters = vec![spawn(&limiter, pro.hash("a"))];
    times(waiters).await;
    let waiting = Waiting::new(limiter.clone(), 7_200 * SECOND);
    let Verdict::Later(wait) = waiting.admit(RateDemand::new(pro.hash("a"), 1), &Now::new()) else {
        panic!("it waits");
    };
    let wait = tokio::spawn(wait);
    tokio::task::yield_now().await;
    limiter.set_tier("pro", []).unwrap();
    let start = now();
    drop(wait.await.unwrap().unwrap());
    assert_eq!(now() - start, SECOND, "by the quota of those in no tier");
}
