//! Changing a limiter while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use buttress_core::{Now, Policy, When};
use buttress_rate_limit::{Limits, LimitsError, Quota, RateDemand, RateLimiter};

use crate::{drain, left, limiter, quotas};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_refund_gives_back_and_never_more_than_the_capacity() {
    let limiter = limiter(&["5/hour", "4/hour rolling"], &["9/hour"]);
    limiter.check("a", 4).unwrap();
    limiter.refund("a", 1);
    assert_eq!(left(&limiter, "a"), [2, 1, 6]);
    limiter.refund("a", 1_000);
    assert_eq!(left(&limiter, "a"), [5, 4, 9]);
    limiter.refund("never seen", u64::MAX);
    assert_eq!(left(&limiter, "never seen"), [5, 4, 9]);
    limiter.refund("a", 0);
    assert_eq!(limiter.status().live_keys, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgives_a_key_and_not_what_is_kept_for_all() {
    let limiter = limiter(&["2/hour"], &["9/hour"]);
    for key in ["a", "b"] {
        limiter.check(key, 2).unwrap();
    }
    limiter.reset("a");
    assert_eq!(left(&limiter, "a"), [2, 5]);
    assert_eq!(left(&limiter, "b"), [0, 5]);
    limiter.reset_all();
    for key in ["a", "b"] {
        assert_eq!(left(&limiter, key), [2, 9]);
    }
    assert_eq!(limiter.status().admitted, 2, "counts stay");
}

#[tokio::test(start_paused = true)]
async fn a_changed_quota_keeps_what_was_spent_in_units() {
    let limiter = limiter(&["5/hour"], &[]);
    limiter.check("a", 3).unwrap();
    limiter.set_quota(Quota::per_hour(8));
    assert_eq!(left(&limiter, "a"), [5]);
    limiter.check("a", 5).unwrap();
    limiter.set_quota(Quota::per_hour(4));
    let rejection = limiter.check("a", 1).unwrap_err();
    // Five of the eight have to come back, one every quarter of an hour.
    assert_eq!(rejection.retry_after(), Some(5 * 900 * SECOND));
    assert_eq!(drain(&limiter, "b"), 4);
    tokio::time::advance(5 * 900 * SECOND).await;
    assert_eq!(drain(&limiter, "a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_and_its_reverse_cost_nobody_a_unit() {
    let limiter = limiter(&["7/hour", "7/hour rolling"], &["70/hour"]);
    for key in 0..7_u64 {
        limiter.check(key, key).unwrap();
    }
    for units in [9, 3, 1_000, 1, 7] {
        limiter
            .set_limits(Limits {
                quotas: vec![
                    Quota::per_hour(units),
                    Quota::rolling(units, 3_600 * SECOND),
                ],
                global: vec![Quota::per_hour(units * 10)],
                ..limiter.limits()
            })
            .unwrap();
        for key in 0..7_u64 {
            let standings = limiter.peek(key).into_iter().map(|s| s.remaining);
            let expected = [
                units.saturating_sub(key),
                units.saturating_sub(key),
                (units * 10).saturating_sub(21),
            ];
            assert!(standings.eq(expected), "{key} spent under {units}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_for_all_keys_and_overrides_come_and_go_live() {
    let limiter = limiter(&["5/hour"], &[]);
    limiter.check("a", 2).unwrap();
    let with_global = Limits {
        global: quotas(&["4/hour"]),
        ..limiter.limits()
    };
    limiter.set_limits(with_global).unwrap();
    assert_eq!(left(&limiter, "a"), [3, 4], "it starts fresh");
    limiter.check("a", 3).unwrap();
    assert_eq!(limiter.check("b", 2).unwrap_err().limit().unwrap().quota, 1);
    limiter.set_override("a", quotas(&["9/hour"])).unwrap();
    assert_eq!(left(&limiter, "a"), [4, 1], "five of nine are spent");
    limiter.check("a", 1).unwrap();
    limiter
        .set_limits(Limits {
            global: Vec::new(),
            ..limiter.limits()
        })
        .unwrap();
    assert_eq!(drain(&limiter, "a"), 3);
    limiter.set_override("a", []).unwrap();
    assert!(limiter.limits().overrides.is_empty());
    let rejection = limiter.check("a", 1).unwrap_err();
    assert_eq!(
        rejection.retry_after(),
        Some(5 * 720 * SECOND),
        "nine are spent of five"
    );
    limiter
        .set_override("never seen", quotas(&["1/hour"]))
        .unwrap();
    assert_eq!(drain(&limiter, "never seen"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_for_all_can_become_one_for_each_and_back() {
    let limiter = limiter(&[], &["3/hour"]);
    assert_eq!(drain(&limiter, "a"), 3);
    limiter
        .set_limits(Limits {
            quotas: quotas(&["2/hour"]),
            ..Limits::default()
        })
        .unwrap();
    assert_eq!((drain(&limiter, "a"), drain(&limiter, "b")), (2, 2));
    limiter
        .set_limits(Limits {
            global: quotas(&["5/hour"]),
            ..Limits::default()
        })
        .unwrap();
    assert_eq!(drain(&limiter, "c"), 5);
    assert_eq!(limiter.status().admitted, 12);
}

#[test]
fn limits_that_cannot_be_enforced_change_nothing() {
    let limiter = limiter(&["5/hour"], &["6/hour"]);
    let before = limiter.limits();
    let many = |count| vec![Quota::per_hour(1); count];
    let key = limiter.hash("a");
    let wrong = [
        (Limits::default(), LimitsError::Nothing),
        (
            Limits {
                quotas: many(16),
                ..before.clone()
            },
            LimitsError::TooMany { count: 17 },
        ),
        (
            Limits {
                overrides: [(key, many(16))].into(),
                ..before.clone()
            },
            LimitsError::TooMany { count: 17 },
        ),
        (
            Limits {
                overrides: [(key, Vec::new())].into(),
                ..before.clone()
            },
            LimitsError::EmptyOverride,
        ),
    ];
    for (limits, error) in wrong {
        assert!(!error.to_string().is_empty());
        assert_eq!(limiter.set_limits(limits), Err(error));
    }
    let too_many = limiter.set_override("a", many(16));
    assert_eq!(too_many, Err(LimitsError::TooMany { count: 17 }));
    assert_eq!(limiter.limits(), before);
    limiter
        .set_limits(Limits {
            quotas: many(15),
            ..before
        })
        .unwrap();
    let nothing = RateLimiter::builder().build().map(drop);
    assert_eq!(nothing, Err(LimitsError::Nothing));
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn whoever_subscribes_is_woken_once_by_whatever_frees_room_but_time() {
    let limiter = limiter(&["5/hour"], &["9/hour"]);
    let demand = RateDemand::new(limiter.hash("a"), 1);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let changes: [&dyn Fn(); 7] = [
        &|| limiter.refund("a", 1),
        &|| limiter.reset("a"),
        &|| limiter.reset_all(),
        &|| limiter.set_quota(Quota::per_hour(7)),
        &|| limiter.set_shadow(false),
        &|| limiter.set_override("a", [Quota::per_hour(8)]).unwrap(),
        &|| {
            let permit = limiter.try_admit(&demand, &Now::new()).unwrap();
            limiter.release(&demand, permit, &Now::new());
        },
    ];
    for (round, change) in (1..).zip(changes) {
        limiter.subscribe(&waker);
        limiter.subscribe(&waker);
        limiter.check("a", 1).unwrap();
        limiter.would_admit("a", 1).unwrap();
        assert_eq!(
            woken.0.load(Ordering::SeqCst),
            round - 1,
            "spending frees nothing"
        );
        change();
        change();
        assert_eq!(woken.0.load(Ordering::SeqCst), round);
    }
}

#[test]
fn changes_at_the_same_time_are_not_lost() {
    let limiter = limiter(&["5/hour"], &[]);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let limiter = limiter.clone();
            scope.spawn(move || {
                for key in 0..50 {
                    let key = thread * 1_000 + key;
                    limiter.set_override(key, [Quota::per_hour(9)]).unwrap();
                    limiter.set_shadow(key % 2 == 0);
                }
            });
        }
    });
    assert_eq!(limiter.limits().overrides.len(), 200);
    limiter.set_shadow(true);
    limiter.set_quota(Quota::per_hour(1));
    assert!(limiter.status().shadow, "other limits keep the mode");
}

#[test]
fn a_limit_is_needed_by_its_key_or_if_it_is_kept_for_all_by_everybody() {
    let limiter = limiter(&["1/hour"], &["2/hour"]);
    let other = RateLimiter::new(Quota::per_hour(1));
    let [a, b] = ["a", "b"].map(|key| RateDemand::new(limiter.hash(key), 1));
    limiter.check("a", 1).unwrap();
    let of_key = limiter.check("a", 1).unwrap_err().limit().unwrap();
    assert!(limiter.touches(&a, of_key) && !limiter.touches(&b, of_key));
    assert!(!other.touches(&a, of_key), "another limiter's");
    limiter.check("b", 1).unwrap();
    let of_all = limiter.check("c", 1).unwrap_err().limit().unwrap();
    assert_eq!(of_all.quota, 1);
    assert!(limiter.touches(&a, of_all) && limiter.touches(&b, of_all));
    let free = RateDemand { cost: 0, ..a };
    assert!(!limiter.touches(&free, of_key) && !limiter.touches(&free, of_all));
}

#[test]
fn a_cost_that_fits_no_more_is_told_never_after_a_change() {
    let limiter = limiter(&["5/hour"], &[]);
    limiter.check("a", 5).unwrap();
    assert!(matches!(
        limiter.check("a", 5).unwrap_err().when(),
        When::After(_)
    ));
    limiter.set_quota(Quota::per_hour(4));
    assert_eq!(limiter.check("a", 5).unwrap_err().when(), When::Never);
}
