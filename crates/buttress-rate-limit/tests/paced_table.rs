//! The table of a single paced quota: what it forgets, and what a flood of keys can gain.

#![cfg(not(buttress_loom))]

use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{KeyHash, Now, Policy};
use buttress_rate_limit::algorithm::{Account, Rules, When};
use buttress_rate_limit::{Limits, Quota, RateDemand, RateLimiter};
use proptest::prelude::*;

fn limiter(quota: Quota, keys: usize, seed: u64) -> RateLimiter {
    RateLimiter::builder()
        .quota(quota)
        .keys(keys)
        .seed(seed)
        .build()
        .expect("one quota can be enforced")
}

fn spends(limiter: &RateLimiter, key: KeyHash, cost: u64, at: Instant) -> bool {
    let demand = RateDemand::new(key, cost);
    limiter.try_admit(&demand, &Now::at(at)).is_ok()
}

#[test]
fn at_rated_load_no_key_is_displaced() {
    let at = now();
    for seed in 0..5 {
        let limiter = limiter(Quota::per_hour(2), 65_536, seed);
        for round in 0..3 {
            for key in 0..65_536_u64 {
                let admits = spends(&limiter, limiter.hash(key), 1, at);
                assert_eq!(admits, round < 2, "{key} in round {round}, seed {seed}");
            }
        }
        let status = limiter.status();
        assert_eq!((status.live_keys, status.evicted), (65_536, 0));
        assert_eq!((status.admitted, status.refused), (131_072, 65_536));
    }
}

#[test]
fn even_beyond_rated_load_nearly_every_key_is_exact() {
    let at = now();
    let limiter = limiter(Quota::per_hour(1), 65_536, 11);
    // 0.9 of all slots, where two choices alone would displace every fortieth.
    for key in 0..117_964_u64 {
        spends(&limiter, limiter.hash(key), 1, at);
    }
    let displaced = limiter.status().evicted;
    assert!(
        displaced < 1_180,
        "{displaced} of 117,964, above one in a hundred"
    );
}

#[test]
fn trap_13_ten_million_random_keys_gain_a_limited_key_nothing() {
    let at = now();
    let limiter = limiter(Quota::per_hour(5), 65_536, 7);
    let limited: Vec<_> = (0..100_u64)
        .map(|key| limiter.hash(("limited", key)))
        .collect();
    for &key in &limited {
        assert!(spends(&limiter, key, 5, at));
    }
    for key in 0..10_000_000_u64 {
        assert!(
            spends(&limiter, limiter.hash(key), 1, at),
            "a newcomer is served"
        );
        if key % 1_000_000 == 0 {
            let forgiven = limited.iter().filter(|&&key| spends(&limiter, key, 1, at));
            assert_eq!(forgiven.count(), 0, "after {key} keys");
        }
    }
    let status = limiter.status();
    assert_eq!(
        status.live_keys, 131_072,
        "twice the rated keys, and no more"
    );
    assert_eq!(status.live_keys as u64 + status.evicted, 10_000_100);
}

#[test]
fn trap_13_a_key_is_forgotten_only_after_those_beside_it_have_used_up_as_much() {
    let at = now();
    let limiter = limiter(Quota::per_hour(5), 64, 3);
    let limited = limiter.hash("limited");
    assert!(spends(&limiter, limited, 5, at));
    // Whoever wants it forgotten has nothing better than to use up other keys, wherever they stand.
    let mut used_up = 0_u64;
    while !spends(&limiter, limited, 1, at) {
        used_up += 1;
        let a_little_later = at + Duration::from_nanos(used_up);
        assert!(spends(&limiter, limiter.hash(used_up), 5, a_little_later));
        assert!(used_up < 100_000, "a full table forgets who owes least");
    }
    assert!(
        used_up >= 8,
        "its own two buckets hold eight, {used_up} keys were used up"
    );
    // It gained its own capacity, once: one unit is spent above, and four are left.
    assert!(spends(&limiter, limited, 4, at));
    assert!(!spends(&limiter, limited, 1, at));
}

#[test]
fn what_was_spent_goes_along_to_every_other_kind_of_limit_and_key() {
    let at = now();
    let limiter = limiter(Quota::per_hour(10), 1_024, 5);
    for key in 0..900_u64 {
        assert!(spends(&limiter, limiter.hash(key), key % 10 + 1, at));
    }
    limiter.set_quota(Quota::per_hour(20));
    let left = |key: u64| limiter.peek(key)[0].remaining;
    assert!((0..900).all(|key| left(key) == 20 - (key % 10 + 1)));
    limiter
        .set_override(3_u64, [Quota::per_hour(40)])
        .expect("one quota");
    assert!((0..900).all(|key| left(key) == if key == 3 { 36 } else { 20 - (key % 10 + 1) }));
    let quotas = ["12/hour rolling", "3/minute"];
    let limits = Limits {
        quotas: quotas.map(|text| text.parse().expect("a quota")).into(),
        ..limiter.limits()
    };
    limiter.set_limits(limits).expect("they can be enforced");
    assert!((0..900).all(|key| key == 3 || left(key) == 12 - (key % 10 + 1)));
    assert_eq!(left(3), 36);
    // Back to one paced quota, and without the other one for a single key.
    let limits = Limits {
        quotas: vec![Quota::per_hour(30)],
        ..Limits::default()
    };
    limiter.set_limits(limits).expect("they can be enforced");
    assert!((0..900).all(|key| left(key) == 30 - (key % 10 + 1)));
    assert_eq!(limiter.status().live_keys, 900);
    assert_eq!(limiter.status().admitted, 900);
    limiter.reset_all();
    assert_eq!(limiter.status().live_keys, 0);
}

fn paced() -> impl Strategy<Value = Quota> {
    let period = prop_oneof![
        Just(Duration::from_secs(1)),
        Just(Duration::from_secs(60)),
        Just(Duration::from_secs(3_600)),
        (1..90_000_000_000_u64).prop_map(Duration::from_nanos),
    ];
    let units = prop_oneof![1..10_u64, 1..70_000_u64, 1..=u64::MAX >> 1];
    (
        units,
        period,
        prop::option::of(prop_oneof![1..20_u64, 1..1_u64 << 40]),
    )
        .prop_filter_map("a quota", |(units, period, burst)| {
            let quota = Quota::new(units, period).ok()?;
            match burst {
                Some(burst) => quota.try_burst(burst).ok(),
                None => Some(quota),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Two words or more: every answer is that of the quota's own arithmetic, to the nanosecond.
    #[test]
    fn every_decision_is_that_of_the_exact_bucket(
        quota in paced(),
        other in paced(),
        requests in prop::collection::vec((0..3_u64, 0..6_u64, 0..8_u32, any::<u64>()), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of this thread");
        let _inside = runtime.enter();
        let limiter = limiter(quota.clone(), 16, 1);
        let start = now();
        let mut rules = Rules::new(std::slice::from_ref(&quota));
        let mut accounts = [const { None::<Account> }; 3].map(Option::unwrap_or_default);
        for (index, (key, cost, shift, gap)) in requests.into_iter().enumerate() {
            let gap = Duration::from_nanos(gap >> (63 - 6 * shift));
            runtime.block_on(tokio::time::advance(gap));
            let nanos = u64::try_from((now() - start).as_nanos()).expect("not centuries");
            if index == 40 {
                limiter.set_quota(other.clone());
                let new = Rules::new(std::slice::from_ref(&other));
                accounts.iter_mut().for_each(|account| account.convert(&rules, &new, nanos));
                rules = new;
            }
            let account = &mut accounts[usize::try_from(key).unwrap_or(0)];
            let expected = account.admit(&rules, cost, nanos).map_err(|refusal| refusal.when);
            let demand = RateDemand::new(limiter.hash(key), cost);
            let found = limiter.try_admit(&demand, &Now::new());
            prop_assert_eq!(found.is_ok(), expected.is_ok());
            if let (Err(found), Err(expected)) = (found, expected) {
                let wait = match expected {
                    When::After(wait) => Some(wait),
                    When::Never => None,
                };
                prop_assert_eq!(found.retry_after(), wait);
            }
        }
    }
}
