//! The table of keys: exact while there is room, and when there is none, the least indebted goes.

#![cfg(not(buttress_loom))]

use std::collections::HashMap;
use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{KeyHash, Now, Policy};
use buttress_rate_limit::{Quota, RateDemand, RateLimiter};
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
fn while_fewer_keys_are_live_than_the_table_is_rated_for_every_one_is_exact() {
    let at = now();
    for seed in 0..3 {
        let limiter = limiter(Quota::per_day(2), 65_536, seed);
        for round in 0..3 {
            for key in 0..60_000_u64 {
                let admits = spends(&limiter, limiter.hash(key), 1, at);
                assert_eq!(admits, round < 2, "{key} in round {round}, seed {seed}");
            }
        }
        let status = limiter.status();
        assert_eq!((status.live_keys, status.evicted), (60_000, 0));
        assert_eq!((status.admitted, status.refused), (120_000, 60_000));
    }
}

#[test]
fn a_full_table_makes_room_as_units_come_back_and_is_never_swept() {
    let limiter = limiter(Quota::per_second(1), 1_024, 1);
    let (start, second) = (now(), Duration::from_secs(1));
    for generation in 0..20_u32 {
        let at = start + generation * second;
        for key in 0..1_024_u32 {
            assert!(spends(&limiter, limiter.hash((generation, key)), 1, at));
            assert!(!spends(&limiter, limiter.hash((generation, key)), 1, at));
        }
    }
    assert_eq!(limiter.status().evicted, 0);
}

#[test]
fn trap_13_a_flood_of_keys_does_not_forgive_a_debt_or_grow_the_table() {
    let at = now();
    let limiter = limiter(Quota::per_hour(5), 1_024, 7);
    let heavy: Vec<_> = ["a", "b", "c", "d"].map(|key| limiter.hash(key)).into();
    for &key in &heavy {
        assert!(spends(&limiter, key, 5, at));
    }
    for key in 0..1_000_000_u64 {
        assert!(
            spends(&limiter, limiter.hash(key), 1, at),
            "a newcomer is served"
        );
        if key % 1_000 == 0 {
            let forgiven = heavy.iter().find(|&&key| spends(&limiter, key, 1, at));
            assert_eq!(forgiven, None, "after {key} keys");
        }
    }
    let status = limiter.status();
    assert_eq!(status.live_keys, 2_048, "twice the rated keys, and no more");
    assert_eq!(status.live_keys as u64 + status.evicted, 1_000_000 + 4);
    assert_eq!(status.admitted, 1_000_000 + 4);
}

#[test]
fn trap_13_refused_strangers_and_looks_displace_nobody() {
    let at = now();
    let limiter = limiter(Quota::per_hour(5), 8, 3);
    let mut key = 0_u64;
    while limiter.status().live_keys < 16 {
        spends(&limiter, limiter.hash(key), 1, at);
        key += 1;
    }
    let evicted = limiter.status().evicted;
    for stranger in 1_000_000..1_002_000_u64 {
        let key = limiter.hash(stranger);
        assert!(!spends(&limiter, key, 6, at), "it is above the capacity");
        assert!(spends(&limiter, key, 0, at));
        assert_eq!(limiter.peek_hash(key)[0].remaining, 5);
        limiter.refund(stranger, 3);
        limiter.reset(stranger);
    }
    assert_eq!(limiter.status().evicted, evicted);
}

#[test]
fn tables_of_any_size_work() {
    let at = now();
    for keys in [0, 1, 2, 7, 8, 9, 100] {
        let limiter = limiter(Quota::per_hour(1), keys, 5);
        assert!(spends(&limiter, limiter.hash("a"), 1, at));
        assert!(!spends(&limiter, limiter.hash("a"), 1, at), "{keys} keys");
        for key in 0..1_000_u64 {
            assert!(spends(&limiter, limiter.hash(key), 1, at));
        }
        let status = limiter.status();
        assert_eq!(status.live_keys as u64 + status.evicted, 1_001);
    }
}

/// What a key may still spend, if nobody is ever forgotten: a bucket a key, in thousandths of a unit.
#[derive(Default)]
struct Exact {
    spent: HashMap<u64, Vec<(u64, u64)>>,
}

impl Exact {
    /// Two units a second, and at most four.
    fn spends(&mut self, key: u64, cost: u64, milli: u64) -> bool {
        let spent = self.spent.entry(key).or_default();
        let (mut level, mut last) = (4_000_u64, 0);
        for &(at, cost) in &*spent {
            level = (level + 2 * (at - last)).min(4_000) - cost * 1_000;
            last = at;
        }
        level = (level + 2 * (milli - last)).min(4_000);
        let fits = level >= cost * 1_000;
        if fits {
            spent.push((milli, cost));
        }
        fits
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_decision_is_that_of_an_unbounded_table(
        seed: u64,
        requests in proptest::collection::vec((0..200_u64, 0..6_u64, 0..40_u64), 1..600),
    ) {
        let limiter = limiter(Quota::per_second(2).burst(4), 256, seed);
        let start = now();
        let mut exact = Exact::default();
        let mut milli = 0;
        for (key, cost, gap) in requests {
            milli += gap;
            let at = start + Duration::from_millis(milli);
            let expected = exact.spends(key, cost, milli);
            prop_assert_eq!(spends(&limiter, limiter.hash(key), cost, at), expected);
        }
        prop_assert_eq!(limiter.status().evicted, 0);
    }
}
