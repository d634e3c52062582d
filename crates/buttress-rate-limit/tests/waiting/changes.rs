//! Leaving, and changes other than those of time: those who wait hear of them at once.

use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Now, Policy, Reason};
use buttress_rate_limit::{Limits, Quota, RateDemand, RateLimiter};

use crate::support::{LONG, SECOND, at_once, limiter, pass, poll, settle, spawn, waits};

#[tokio::test(start_paused = true)]
async fn who_leaves_gives_its_place_back_and_those_behind_move_up() {
    let (limiter, start) = (limiter(&["1/second"], &[]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let first = spawn(&limiter, "a", 1, LONG, start);
    let leaves = spawn(&limiter, "a", 1, LONG, start);
    let last = spawn(&limiter, "a", 1, LONG, start);
    pass(Duration::from_millis(100)).await;
    leaves.abort();
    settle().await;
    assert_eq!(limiter.status().waiting, 2);
    let newcomer = spawn(&limiter, "a", 1, Duration::from_millis(2_900), start);
    assert_eq!(first.await.unwrap(), (1_000, true));
    assert_eq!(last.await.unwrap(), (2_000, true));
    assert_eq!(newcomer.await.unwrap(), (3_000, true));
}

#[tokio::test(start_paused = true)]
async fn when_the_first_leaves_the_next_goes_as_soon_as_it_can() {
    let (limiter, start) = (limiter(&["1/second burst 5"], &[]), now());
    at_once(&limiter, "a", 3, LONG).unwrap();
    let big = spawn(&limiter, "a", 5, LONG, start);
    let [small, medium] = [1, 2].map(|cost| spawn(&limiter, "a", cost, LONG, start));
    pass(Duration::from_millis(500)).await;
    big.abort();
    // Two and a half units are there, and half a second later the third.
    assert_eq!(small.await.unwrap(), (500, true));
    assert_eq!(medium.await.unwrap(), (1_000, true));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_nobody_took_goes_to_the_next() {
    let (limiter, start) = (limiter(&["1/second"], &[]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let mut unclaimed = waits(&limiter, "a", 1);
    assert!(poll(&mut unclaimed).is_pending());
    let next = spawn(&limiter, "a", 1, LONG, start);
    pass(SECOND).await;
    // Somebody looks, so that the first is granted, but it does not come to take it.
    limiter.check("a", 1).unwrap_err();
    assert_eq!(limiter.status().admitted, 2);
    pass(SECOND / 2).await;
    drop(unclaimed);
    assert_eq!(next.await.unwrap(), (1_500, true));
    let status = limiter.status();
    assert_eq!((status.admitted, status.waiting), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn everything_is_given_back_when_all_leave() {
    let all_at_once = |keyed: &[&str], global: &[&str]| {
        let limiter = limiter(keyed, global);
        at_once(&limiter, "a", 2, LONG).unwrap();
        let mut waiting: Vec<_> = ["a", "b", "a", "c"]
            .iter()
            .filter_map(|key| match crate::support::admit(&limiter, key, 2, LONG) {
                buttress_core::Verdict::Later(wait) => Some(Box::pin(wait)),
                buttress_core::Verdict::Now(_) => None,
            })
            .collect();
        for wait in &mut waiting {
            assert!(poll(wait).is_pending());
        }
        (limiter, waiting)
    };
    for (keyed, global) in [
        (&["2/second"][..], &[][..]),
        (&[], &["2/second"]),
        (&["2/second"], &["2/second rolling"]),
    ] {
        let (limiter, mut waiting) = all_at_once(keyed, global);
        assert!(!waiting.is_empty());
        pass(SECOND).await;
        let _ = limiter.check("a", 1);
        while !waiting.is_empty() {
            drop(waiting.swap_remove(waiting.len() / 2));
        }
        pass(2 * SECOND).await;
        assert_eq!(limiter.status().waiting, 0);
        for standing in limiter.peek("a") {
            assert_eq!(standing.remaining, 2);
        }
        limiter.check("a", 2).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_a_reset_and_a_larger_limit_serve_those_who_wait_at_once() {
    type Change = fn(&RateLimiter);
    let changes: [Change; 5] = [
        |limiter| limiter.refund("a", 1),
        |limiter| limiter.reset("a"),
        RateLimiter::reset_all,
        |limiter| limiter.set_quota(Quota::per_hour(2)),
        |limiter| {
            limiter.set_override("a", [Quota::per_second(100)]).unwrap();
        },
    ];
    for change in changes {
        let (limiter, start) = (limiter(&["1/hour"], &[]), now());
        at_once(&limiter, "a", 1, LONG).unwrap();
        at_once(&limiter, "b", 1, LONG).unwrap();
        let first = spawn(&limiter, "a", 1, LONG, start);
        let second = spawn(&limiter, "a", 1, LONG, start);
        pass(SECOND).await;
        assert!(!first.is_finished());
        change(&limiter);
        assert_eq!(first.await.unwrap(), (1_000, true));
        second.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_admission_that_is_released_serves_the_next() {
    let (limiter, start) = (limiter(&["1/hour"], &[]), now());
    let demand = RateDemand::new(limiter.hash("a"), 1);
    let permit = limiter.try_admit(&demand, &Now::new()).unwrap();
    let next = spawn(&limiter, "a", 1, LONG, start);
    pass(SECOND).await;
    limiter.release(&demand, permit, &Now::new());
    assert_eq!(next.await.unwrap(), (1_000, true));
    assert_eq!(limiter.status().admitted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_moves_everybody_up_and_not_only_the_first() {
    let (limiter, start) = (limiter(&["1/second burst 4"], &[]), now());
    at_once(&limiter, "a", 4, LONG).unwrap();
    let tasks = [4, 1, 1].map(|cost| spawn(&limiter, "a", cost, LONG, start));
    pass(SECOND).await;
    limiter.refund("a", 2);
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.unwrap().0);
    }
    assert_eq!(times, [2_000, 3_000, 4_000]);
}

#[tokio::test(start_paused = true)]
async fn a_refund_of_one_key_lets_another_go_that_waits_for_the_limit_of_all() {
    for keyed in [&[][..], &["1/minute"]] {
        let (limiter, start) = (limiter(keyed, &["1/hour"]), now());
        at_once(&limiter, "a", 1, LONG).unwrap();
        let other = spawn(&limiter, "b", 1, LONG, start);
        pass(SECOND).await;
        limiter.refund("a", 1);
        assert_eq!(other.await.unwrap(), (1_000, true));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_held_back_others_lets_them_go_when_it_leaves() {
    let (limiter, start) = (limiter(&["1/second burst 9"], &["2/second burst 4"]), now());
    at_once(&limiter, "x", 4, LONG).unwrap();
    // It waits two seconds for the limit of all, and everybody behind it with it.
    let first = spawn(&limiter, "a", 4, LONG, start);
    let others =
        [("b", 1), ("c", 2), ("b", 1)].map(|(key, cost)| spawn(&limiter, key, cost, LONG, start));
    pass(SECOND).await;
    first.abort();
    let mut times = Vec::new();
    for task in others {
        times.push(task.await.unwrap().0);
    }
    assert_eq!(times, [1_000, 1_500, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_limit_refuses_those_who_can_never_go_or_not_in_their_time() {
    let (limiter, start) = (limiter(&["4/second"], &[]), now());
    at_once(&limiter, "a", 4, LONG).unwrap();
    let never = waits(&limiter, "a", 3);
    let too_long = spawn(&limiter, "a", 1, 2 * SECOND, start);
    let patient = spawn(&limiter, "a", 1, LONG, start);
    pass(Duration::from_millis(10)).await;
    limiter.set_quota(Quota::every(5 * SECOND).burst(2));
    let rejection = never.await.unwrap_err();
    assert_eq!(rejection.reason(), Reason::RateLimit);
    assert_eq!(rejection.when(), buttress_core::When::Never);
    let (at, admitted) = too_long.await.unwrap();
    assert_eq!((at, admitted), (2_000, false));
    assert!(patient.await.unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_for_all_that_comes_or_goes_while_they_wait_is_in_force_at_once() {
    let with = |keyed: &str, global: &[&str]| Limits {
        quotas: vec![keyed.parse().unwrap()],
        global: global.iter().map(|text| text.parse().unwrap()).collect(),
        ..Limits::default()
    };
    let (limiter, start) = (limiter(&["1/minute"], &["1/minute"]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let [b, a] = ["b", "a"].map(|key| spawn(&limiter, key, 1, LONG, start));
    pass(SECOND).await;
    limiter.set_limits(with("1/minute", &[])).unwrap();
    assert_eq!(b.await.unwrap(), (1_000, true), "nothing else held it back");
    limiter.set_limits(with("1/minute", &["1/hour"])).unwrap();
    let c = spawn(&limiter, "c", 1, LONG, start);
    pass(SECOND).await;
    assert!(c.is_finished(), "a new limit starts fresh");
    assert_eq!(a.await.unwrap(), (3_601_000, true), "and is waited for");
    limiter
        .set_limits(Limits {
            quotas: Vec::new(),
            ..with("1/minute", &["2/hour"])
        })
        .unwrap();
    assert_eq!(limiter.status().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn keys_can_come_in_while_everybody_waits_for_one_limit() {
    let (limiter, start) = (limiter(&[], &["1/minute"]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let waiting = ["b", "c"].map(|key| spawn(&limiter, key, 1, LONG, start));
    pass(SECOND).await;
    limiter
        .set_limits(Limits {
            quotas: vec![Quota::per_second(1)],
            ..limiter.limits()
        })
        .unwrap();
    let mut times = Vec::new();
    for task in waiting {
        times.push(task.await.unwrap());
    }
    assert_eq!(times, [(60_000, true), (120_000, true)]);
}
