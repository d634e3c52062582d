//! Threads that spend, change and give back at the same time: never more than the capacity.

#![cfg(not(buttress_loom))]

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{Now, Policy};
use buttress_rate_limit::{Limits, Quota, RateDemand, RateLimiter};

const THREADS: u64 = 4;

/// Runs `work` on all threads at once.
fn together(work: impl Fn(u64) + Sync) {
    let barrier = Barrier::new(usize::try_from(THREADS).expect("they are few"));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                barrier.wait();
                work(thread);
            });
        }
    });
}

fn spends(limiter: &RateLimiter, key: u64, cost: u64, at: Instant) -> bool {
    let demand = RateDemand::new(limiter.hash(key), cost);
    limiter.try_admit(&demand, &Now::at(at)).is_ok()
}

fn limiter(keyed: &[&str], global: &[&str], keys: usize) -> RateLimiter {
    let parse = |text: &&str| text.parse().expect("it is a quota");
    RateLimiter::builder()
        .quotas(keyed.iter().map(parse))
        .global(global.iter().map(parse))
        .keys(keys)
        .build()
        .expect("these limits can be enforced")
}

#[test]
fn trap_11_a_key_never_gets_more_than_its_capacity() {
    let at = now();
    for quota in ["1k/hour", "1k/hour rolling"] {
        let limiter = limiter(&[quota], &[], 8);
        let spent = AtomicU64::new(0);
        together(|thread| {
            for round in 0..2_000 {
                let cost = 1 + (thread + round) % 3;
                if spends(&limiter, 7, cost, at) {
                    spent.fetch_add(cost, Ordering::Relaxed);
                }
            }
        });
        assert_eq!(spent.into_inner(), 1_000, "{quota}");
        assert_eq!(limiter.status().live_keys, 1, "it stands in one place");
    }
}

#[test]
fn trap_11_a_time_that_is_a_little_old_gains_nobody_anything() {
    let start = now();
    for quota in ["100/second", "100/second rolling"] {
        let limiter = limiter(&[quota], &[], 8);
        let spent = AtomicU64::new(0);
        together(|thread| {
            for round in 0..10_000_u64 {
                // Up to 50 ms old, as that of a thread which slept between clock and lock.
                let nanos = (round * 100_000).saturating_sub((thread * 7 + round % 5) * 2_000_000);
                let at = start + Duration::from_nanos(nanos);
                spent.fetch_add(u64::from(spends(&limiter, 7, 1, at)), Ordering::Relaxed);
            }
        });
        // A second has passed: the capacity at its beginning, and as much in its course.
        let spent = spent.into_inner();
        assert!((100..=200).contains(&spent), "{spent} under {quota}");
    }
}

#[test]
fn trap_11_the_last_unit_is_not_refused_because_a_clock_was_read_before_the_lock_was_free() {
    for (keyed, global) in [
        (&["2/hour"][..], &[][..]),
        (&["2/hour rolling"], &[]),
        (&[], &["2/hour"]),
        (&["2/hour"], &["2/hour rolling"]),
    ] {
        let limiter = limiter(keyed, global, 8);
        // Times that the clock has shown: who comes with an old one looks at the clock once more.
        let at = now();
        let demand = RateDemand::new(limiter.hash(7_u64), 1);
        assert!(spends(&limiter, 7, 1, at));
        let before = Now::at(at - Duration::from_micros(10));
        let permit = limiter.try_admit(&demand, &before).expect("a unit is left");
        assert!(!spends(&limiter, 7, 1, at));
        limiter.release(&demand, permit, &before);
        assert!(
            spends(&limiter, 7, 1, at),
            "it is found again and given back"
        );
    }
}

#[test]
fn trap_12_several_limits_are_spent_together_or_not_at_all() {
    let at = now();
    let limiter = limiter(&["50/hour", "60/hour rolling"], &["300/hour"], 64);
    let admitted: Vec<_> = (0..20).map(|_| AtomicU64::new(0)).collect();
    together(|thread| {
        for round in 0..3_000_u64 {
            let key = (round * (thread + 1)) % 20;
            let admits = spends(&limiter, key, 1, at);
            admitted[usize::try_from(key).expect("it is small")]
                .fetch_add(u64::from(admits), Ordering::Relaxed);
        }
    });
    let by_key = admitted
        .iter()
        .map(|admitted| admitted.load(Ordering::Relaxed));
    assert!(by_key.clone().all(|admitted| admitted <= 50));
    assert_eq!(by_key.clone().sum::<u64>(), 300);
    for (key, admitted) in (0..20_u64).zip(by_key) {
        let standings = limiter.peek(key);
        assert_eq!(
            standings[0].remaining,
            50 - admitted,
            "no refusal was spent"
        );
        assert_eq!(standings[1].remaining, 60 - admitted);
    }
    let status = limiter.status();
    assert_eq!(status.admitted + status.refused, 4 * 3_000);
}

#[test]
fn one_limit_for_all_keys_holds_over_all_threads() {
    let at = now();
    let limiter = limiter(&[], &["500/hour"], 8);
    let spent = AtomicU64::new(0);
    together(|thread| {
        for round in 0..2_000 {
            let admits = spends(&limiter, thread * 10_000 + round, 1, at);
            spent.fetch_add(u64::from(admits), Ordering::Relaxed);
        }
    });
    assert_eq!(spent.into_inner(), 500);
}

#[test]
fn fresh_keys_that_come_from_all_threads_at_once_have_one_account_each() {
    let at = now();
    let limiter = limiter(&["1/hour"], &[], 8_192);
    let admitted = AtomicU64::new(0);
    together(|thread| {
        for round in 0..4_000_u64 {
            // All threads go through the same keys, half of them from the other end.
            let key = if thread % 2 == 0 {
                round
            } else {
                3_999 - round
            };
            admitted.fetch_add(u64::from(spends(&limiter, key, 1, at)), Ordering::Relaxed);
        }
    });
    let status = limiter.status();
    assert_eq!(admitted.into_inner(), 4_000);
    assert_eq!((status.live_keys, status.evicted), (4_000, 0));
    assert_eq!(status.admitted + status.refused, 4 * 4_000);
}

#[test]
fn changing_limits_while_others_spend_loses_and_gains_nothing() {
    let at = now();
    let limiter = limiter(&["1k/hour"], &[], 64);
    let spent = AtomicU64::new(0);
    together(|thread| {
        for round in 0..500_u64 {
            if thread == 0 {
                // Never more than the capacity at the end.
                let quotas = vec![Quota::per_hour(200 + round % 300)];
                let global = match round % 2 {
                    0 => Vec::new(),
                    _ => vec![Quota::per_hour(1 << 40)],
                };
                let limits = Limits {
                    quotas,
                    global,
                    ..Limits::default()
                };
                limiter.set_limits(limits).expect("they can be enforced");
            } else {
                let admits = spends(&limiter, 7, 1, at);
                spent.fetch_add(u64::from(admits), Ordering::Relaxed);
            }
        }
    });
    limiter.set_quota(Quota::per_hour(2_000));
    let spent = spent.into_inner();
    assert!((200..=1_000).contains(&spent), "{spent}");
    assert_eq!(limiter.peek(7_u64)[0].remaining, 2_000 - spent);
}

#[test]
fn what_is_given_back_by_some_is_spent_by_others_and_all_of_it_adds_up() {
    let at = now();
    for (keyed, global) in [(&["100/hour"][..], &[][..]), (&[], &["100/hour"])] {
        let limiter = limiter(keyed, global, 8);
        let kept = AtomicU64::new(0);
        together(|_| {
            let demand = RateDemand::new(limiter.hash(7_u64), 1);
            for round in 0..3_000_u64 {
                let Ok(permit) = limiter.try_admit(&demand, &Now::at(at)) else {
                    continue;
                };
                match round % 3 {
                    0 => {
                        kept.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => limiter.release(&demand, permit, &Now::at(at)),
                }
            }
        });
        let kept = kept.into_inner();
        assert!(kept <= 100);
        assert_eq!(limiter.peek(7_u64)[0].remaining, 100 - kept);
        assert_eq!(limiter.status().admitted, kept);
    }
}
