//! Tiers on several threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use buttress_core::time::now;
use buttress_core::{Now, Policy};
use buttress_rate_limit::{Quota, RateDemand, RateLimiter};

use crate::quotas;

#[test]
fn tiers_that_come_go_and_change_lose_and_gain_nothing() {
    let at = now();
    let limiter = RateLimiter::builder()
        .quotas(quotas(&["300/hour"]))
        .tier("pro", quotas(&["1k/hour"]))
        .global(quotas(&["100k/hour"]))
        .keys(64)
        .build()
        .unwrap();
    let pro = limiter.tier("pro").unwrap();
    let spent = [const { AtomicU64::new(0) }; 2];
    let keys = [limiter.hash(7_u64), pro.hash(7_u64)];
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (limiter, spent) = (&limiter, &spent);
            scope.spawn(move || {
                for round in 0..500_usize {
                    if thread == 0 {
                        let units = u64::try_from(200 + round % 300).unwrap();
                        let more = vec![Quota::per_hour(units), Quota::per_hour(2 * units)];
                        let name = if round % 3 == 0 { "team" } else { "pro" };
                        let count = 1 + round % 2;
                        let quotas = more.into_iter().take(count);
                        limiter.set_tier(name, quotas).unwrap();
                        continue;
                    }
                    let which = (thread + round) % 2;
                    let demand = RateDemand::new(keys[which], 1);
                    if let Ok(permit) = limiter.try_admit(&demand, &Now::at(at)) {
                        match round % 5 {
                            0 => limiter.release(&demand, permit, &Now::at(at)),
                            _ => drop(spent[which].fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                }
            });
        }
    });
    let spent = spent.map(AtomicU64::into_inner);
    limiter.set_quota(Quota::per_hour(5_000));
    pro.set_quota(Quota::per_hour(6_000));
    assert_eq!(spent[0], 300);
    assert!((200..1_000).contains(&spent[1]), "{spent:?}");
    let left = |key| limiter.peek_hash(key).into_iter().map(|s| s.remaining);
    let global = 100_000 - spent[0] - spent[1];
    assert!(left(keys[0]).eq([5_000 - spent[0], global]));
    assert!(left(keys[1]).eq([6_000 - spent[1], global]));
}
