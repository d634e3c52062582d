//! Waiting for the quotas of a rate limit.

use std::time::Duration;

use buttress::core::test_util::timed;
use buttress::priority_queue::{QueueDemand, Settings};
use buttress::rate_limit::{RateDemand, RateLimiter};
use buttress::{Priority, PriorityQueue, Quota};

const SECOND: Duration = Duration::from_secs(1);

fn queue(limiter: &RateLimiter) -> PriorityQueue<RateLimiter> {
    PriorityQueue::after(Settings::new(10), limiter.clone()).expect("settings that make sense")
}

/// When it goes, and gives the place back.
async fn goes(
    queue: &PriorityQueue<RateLimiter>,
    priority: Priority,
    key: &str,
    cost: u64,
) -> u128 {
    let demand = RateDemand::new(queue.gates().hash(key), cost);
    let place = queue.acquire(QueueDemand::with_gates(priority, Some(demand)));
    let (place, took) = timed(place).await;
    assert!(place.is_ok());
    took.as_millis()
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_its_own_holds_back_its_key_and_one_for_all_holds_back_all() {
    let limiter = RateLimiter::builder()
        .quota(Quota::rolling(1, 2 * SECOND))
        .global([Quota::rolling(2, SECOND)])
        .build()
        .expect("quotas that make sense");
    let queue = queue(&limiter);
    let medium = |key| goes(&queue, Priority::Medium, key, 1);
    let times = tokio::join!(medium("a"), medium("a"), medium("b"), medium("c"));
    assert_eq!(times, (0, 2_000, 0, 1_000));
}

#[tokio::test(start_paused = true)]
async fn nobody_eats_what_somebody_ahead_saves_for() {
    let limiter = RateLimiter::new(Quota::per_second(1).burst(5));
    let queue = queue(&limiter);
    let ask = |priority, cost| goes(&queue, priority, "a", cost);
    let times = tokio::join!(
        ask(Priority::Medium, 3),
        ask(Priority::Medium, 5),
        ask(Priority::Medium, 1),
        ask(Priority::High, 1)
    );
    assert_eq!(times, (0, 4_000, 5_000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_reset_lets_go_who_waits_for_it() {
    let limiter = RateLimiter::new(Quota::per_hour(1));
    let queue = queue(&limiter);
    let reset = async {
        buttress::core::test_util::advance(SECOND).await;
        limiter.reset("a");
    };
    let medium = || goes(&queue, Priority::Medium, "a", 1);
    let times = tokio::join!(medium(), medium(), reset);
    assert_eq!((times.0, times.1), (0, 1_000));
}

#[test]
fn waits_and_places_behind_a_rate_limit_have_the_auto_traits() {
    fn shared<T: Send + Sync>() {}
    shared::<PriorityQueue<RateLimiter>>();
    shared::<buttress::priority_queue::QueueTicket<RateLimiter>>();
    shared::<buttress::priority_queue::QueueWait<RateLimiter>>();
}
