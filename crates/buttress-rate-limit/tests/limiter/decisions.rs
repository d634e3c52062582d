//! What is admitted, what is refused, and what is spent.

use std::time::Duration;

use buttress_core::{Now, Permit, Policy, Reason, Ticket, When};
use buttress_rate_limit::{Quota, RateDemand, RateLimiter, Spent};

use crate::{drain, left, limiter, quotas};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_key_has_its_quota_and_a_refusal_says_when() {
    let limiter = RateLimiter::new(Quota::per_minute(5));
    assert_eq!(drain(&limiter, "a"), 5);
    let rejection = limiter.check("a", 1).unwrap_err();
    assert_eq!(rejection.reason(), Reason::RateLimit);
    assert_eq!(rejection.retry_after(), Some(12 * SECOND));
    let limit = rejection.limit().unwrap();
    assert_eq!(limit.policy, limiter.id());
    assert_eq!((limit.key, limit.quota), (limiter.hash("a"), 0));
    assert!(rejection.violates(0) && !rejection.violates(1));
    assert_eq!(drain(&limiter, "b"), 5, "another key");
    tokio::time::advance(12 * SECOND - Duration::from_nanos(1)).await;
    assert_eq!(
        limiter.check("a", 1).unwrap_err().retry_after(),
        Some(Duration::from_nanos(1))
    );
    tokio::time::advance(Duration::from_nanos(1)).await;
    limiter.check("a", 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cost_of_nothing_is_always_admitted_and_spends_nothing() {
    let limiter = limiter(&["2/minute"], &["2/hour"]);
    limiter.check("a", 2).unwrap();
    for _ in 0..10 {
        limiter.check("a", 0).unwrap();
    }
    assert_eq!(left(&limiter, "a"), [0, 0]);
    assert_eq!(limiter.status().admitted, 11);
    limiter.check("stranger", 0).unwrap();
    assert_eq!(limiter.status().live_keys, 1, "and takes no place");
}

#[tokio::test(start_paused = true)]
async fn a_cost_above_a_capacity_is_never_admitted() {
    let limiter = limiter(&["10/second", "3/minute rolling"], &["100/hour"]);
    for cost in [4, 11, 101, u64::MAX] {
        let rejection = limiter.check("a", cost).unwrap_err();
        assert_eq!(rejection.when(), When::Never);
        let beyond = |capacity| cost > capacity;
        assert_eq!(
            [0, 1, 2].map(|quota| rejection.violates(quota)),
            [beyond(10), beyond(3), beyond(100)]
        );
    }
    assert_eq!(left(&limiter, "a"), [10, 3, 100]);
}

#[tokio::test(start_paused = true)]
async fn trap_12_a_refusal_spends_nothing_anywhere() {
    let limiter = limiter(
        &["10/minute", "3/second rolling"],
        &["5/minute", "1/hour burst 50"],
    );
    limiter.check("a", 3).unwrap();
    assert_eq!(left(&limiter, "a"), [7, 0, 2, 47]);
    for _ in 0..5 {
        let rejection = limiter.check("a", 1).unwrap_err();
        assert_eq!(rejection.limit().unwrap().quota, 1);
        assert!(rejection.violates(1) && !rejection.violates(0) && !rejection.violates(2));
    }
    assert_eq!(left(&limiter, "a"), [7, 0, 2, 47], "by its own quota");
    for _ in 0..5 {
        let rejection = limiter.check("b", 3).unwrap_err();
        assert_eq!(rejection.limit().unwrap().quota, 2);
        assert_eq!(rejection.retry_after(), Some(12 * SECOND));
        assert!(rejection.violates(2) && !rejection.violates(1) && !rejection.violates(3));
    }
    assert_eq!(left(&limiter, "b"), [10, 3, 2, 47], "by that of all");
    assert_eq!(
        limiter.status().live_keys,
        1,
        "a refused stranger takes no place"
    );
}

#[tokio::test(start_paused = true)]
async fn trap_12_one_key_cannot_use_up_the_limit_of_all_with_refusals() {
    let limiter = limiter(&["1/hour"], &["10/hour"]);
    limiter.check("greedy", 1).unwrap();
    for _ in 0..1_000 {
        limiter.check("greedy", 1).unwrap_err();
    }
    let others = (0..20).filter(|key| limiter.check(key, 1).is_ok());
    assert_eq!(others.count(), 9);
}

#[tokio::test(start_paused = true)]
async fn of_several_refusals_the_longest_decides_and_all_are_named() {
    let limiter = limiter(
        &["2/second", "2/minute rolling", "9/hour"],
        &["2/10s", "2/day rolling"],
    );
    limiter.check("a", 2).unwrap();
    let rejection = limiter.check("a", 1).unwrap_err();
    assert_eq!(rejection.limit().unwrap().quota, 4);
    assert_eq!(rejection.retry_after(), Some(86_400 * SECOND));
    let violated: Vec<_> = (0..16).filter(|&quota| rejection.violates(quota)).collect();
    assert_eq!(violated, [0, 1, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn every_quota_that_refuses_tells_its_own_time() {
    let limiter = limiter(
        &["2/second", "2/minute rolling", "9/hour"],
        &["2/10s", "2/day rolling"],
    );
    let told = |cost| {
        let mut told = Vec::new();
        let demand = RateDemand::new(limiter.hash("a"), cost);
        limiter.refusals(&demand, &Now::new(), &mut |rejection| {
            told.push((rejection.limit().unwrap().quota, rejection.when()));
        });
        told
    };
    assert_eq!(told(1), []);
    limiter.check("a", 2).unwrap();
    let after = |quota, wait| (quota, When::After(wait));
    assert_eq!(
        told(1),
        [
            after(4, 86_400 * SECOND),
            after(0, SECOND / 2),
            after(1, 60 * SECOND),
            after(3, 5 * SECOND),
        ],
        "first what decides"
    );
    assert_eq!(limiter.status().refused, 0, "looks do not count");
}

#[tokio::test(start_paused = true)]
async fn looking_spends_nothing_and_says_what_spending_would_say() {
    let limiter = limiter(&["2/minute", "5/hour rolling"], &["100/hour"]);
    for _ in 0..10 {
        limiter.would_admit("a", 2).unwrap();
    }
    assert_eq!(left(&limiter, "a"), [2, 5, 100]);
    limiter.check("a", 2).unwrap();
    assert_eq!(limiter.would_admit("a", 1), limiter.check("a", 1));
    assert_eq!(limiter.would_admit("a", 6), limiter.check("a", 6));
    assert!(limiter.would_admit("a", 6).is_err());
    assert_eq!(left(&limiter, "a"), [0, 3, 98]);
    let status = limiter.status();
    assert_eq!(
        (status.admitted, status.refused),
        (1, 2),
        "looks do not count"
    );
}

#[tokio::test(start_paused = true)]
async fn trap_23_neither_units_nor_times_are_cut_off() {
    let large = 3 << 40;
    let limiter = RateLimiter::new(Quota::per_second(large));
    limiter.check("a", large - 1).unwrap();
    limiter.check("a", 1).unwrap();
    let rejection = limiter.check("a", 1).unwrap_err();
    assert_eq!(
        rejection.retry_after(),
        Some(Duration::from_nanos(1)),
        "rounded up"
    );
    let slow = RateLimiter::new(Quota::new(3, Duration::from_nanos(10)).unwrap());
    slow.check("a", 3).unwrap();
    let rejection = slow.check("a", 2).unwrap_err();
    assert_eq!(rejection.retry_after(), Some(Duration::from_nanos(7)));
}

#[tokio::test(start_paused = true)]
async fn without_a_key_there_is_one_limit_for_everybody() {
    let limiter = limiter(&["3/minute"], &[]);
    let demand = RateDemand::new(buttress_core::KeyHash::EVERYONE, 1);
    let admitted = (0..10).filter(|_| limiter.try_admit(&demand, &Now::new()).is_ok());
    assert_eq!(admitted.count(), 3);
    assert_eq!(limiter.peek_hash(demand.key)[0].remaining, 0);
    assert_eq!(left(&limiter, "a"), [3], "which is no key's");
    let status = limiter.status();
    assert_eq!(
        (status.admitted, status.refused, status.live_keys),
        (3, 7, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_override_replaces_the_quotas_of_its_key_alone() {
    let limiter = RateLimiter::builder()
        .quota(Quota::per_minute(2))
        .global(quotas(&["100/hour"]))
        .override_for("vip", quotas(&["20/minute", "30/hour"]))
        .build()
        .unwrap();
    assert_eq!((drain(&limiter, "vip"), drain(&limiter, "a")), (20, 2));
    assert_eq!(left(&limiter, "vip"), [0, 10, 78]);
    let rejection = limiter.check("vip", 79).unwrap_err();
    assert!(rejection.violates(0) && rejection.violates(1) && rejection.violates(2));
    let of_all = limiter.check("a", 79).unwrap_err();
    assert!(
        of_all.violates(1) && !of_all.violates(2),
        "it has one quota less"
    );
}

#[tokio::test(start_paused = true)]
async fn only_overrides_and_a_limit_for_all() {
    let limiter = RateLimiter::builder()
        .global(quotas(&["10/hour"]))
        .override_for("slow", quotas(&["1/hour"]))
        .build()
        .unwrap();
    assert_eq!(drain(&limiter, "slow"), 1);
    assert_eq!(drain(&limiter, "other"), 9);
    assert_eq!(left(&limiter, "slow"), [0, 0]);
    assert_eq!(left(&limiter, "other"), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_stays_spent_unless_it_was_never_used() {
    let limiter = limiter(&["5/hour", "5/hour rolling"], &["9/hour"]);
    let demand = RateDemand::new(limiter.hash("a"), 2);
    drop(limiter.try_admit(&demand, &Now::new()).unwrap());
    assert_eq!(left(&limiter, "a"), [3, 3, 7], "neither a drop");
    let permit = limiter.try_admit(&demand, &Now::new()).unwrap();
    permit.end(buttress_core::End::Released, &Now::new());
    assert_eq!(left(&limiter, "a"), [1, 1, 5], "nor an end gives it back");
    tokio::time::advance(SECOND).await;
    limiter.check("a", 1).unwrap();
    limiter.reset("b");
    let other = RateDemand::new(limiter.hash("b"), 3);
    let permit = limiter.try_admit(&other, &Now::new()).unwrap();
    assert_eq!(permit.ticket().map(Spent::cost), Some(3));
    assert_eq!(permit.ticket().and_then(Ticket::key), Some(other.key));
    limiter.release(&other, permit, &Now::new());
    assert_eq!(left(&limiter, "b"), [5, 5, 4]);
    assert_eq!(limiter.status().admitted, 3, "as if it had not been");
    limiter.release(&other, Permit::exempt(), &Now::new());
    assert_eq!(left(&limiter, "b"), [5, 5, 4]);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_nothing_is_refused_or_spent_beyond_the_limit_and_all_is_counted() {
    let limiter = RateLimiter::builder()
        .quota(Quota::per_minute(2))
        .shadow(true)
        .build()
        .unwrap();
    let demand = RateDemand::new(limiter.hash("a"), 1);
    let shadowed: Vec<_> = (0..5)
        .map(|_| limiter.try_admit(&demand, &Now::new()).unwrap())
        .map(|permit| permit.ticket().is_some_and(Ticket::shadowed))
        .collect();
    assert_eq!(shadowed, [false, false, true, true, true]);
    limiter.check("a", 100).unwrap();
    limiter.would_admit("a", 100).unwrap();
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (2, 4));
    assert!(status.shadow);
    let shadowed = limiter.try_admit(&demand, &Now::new()).unwrap();
    limiter.release(&demand, shadowed, &Now::new());
    assert_eq!(left(&limiter, "a"), [0], "it has nothing to give back");
    assert_eq!(limiter.status().admitted, 2);
    limiter.set_shadow(false);
    limiter.check("a", 1).unwrap_err();
}
