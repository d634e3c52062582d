//! One limit that several instances enforce, each its part.

#![cfg(not(buttress_loom))]

use std::time::Duration;

use buttress_rate_limit::{Limits, LimitsError, Quota, RateLimitLayer, RateLimiter, Window};
use proptest::prelude::*;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn quota(text: &str) -> Quota {
    text.parse().expect("a quota")
}

fn left(limiter: &RateLimiter, key: &str) -> Vec<u64> {
    let standings = limiter.peek(key);
    standings
        .iter()
        .map(|standing| standing.remaining)
        .collect()
}

#[test]
fn a_paced_quota_keeps_its_pace_and_others_divide_their_units() {
    for (whole, instances, part) in [
        ("30/minute", 3, "10/minute"),
        ("5/minute", 2, "5/2m burst 2"),
        ("6/minute burst 9", 4, "3/2m burst 2"),
        ("1/second", 5, "1/5s"),
        ("1/second burst 3", 5, "1/5s"),
        ("10/minute", 1, "10/minute"),
        ("100/minute rolling", 3, "33/minute rolling"),
        ("2/minute rolling", 3, "1/minute rolling"),
    ] {
        assert_eq!(
            quota(whole).share_of(instances),
            quota(part),
            "{whole} of {instances}"
        );
    }
    let named = Quota::per_minute(4).named("logins").share_of(2);
    assert_eq!((named.name(), named.units()), (Some("logins"), 2));
    let error = Quota::per_minute(4).try_share_of(0).expect_err("none");
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[cfg(feature = "calendar")]
#[test]
fn a_calendar_quota_divides_its_units() {
    let day = quota("1200/day calendar Europe/Berlin");
    assert_eq!(day.share_of(7), quota("171/day calendar Europe/Berlin"));
    assert_eq!(day.share_of(5_000), quota("1/day calendar Europe/Berlin"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn all_parts_together_are_never_more_than_the_whole(
        units in prop_oneof![1..50_u64, 1..Quota::MAX_UNITS],
        period in prop_oneof![1..1_000_u64, 1..1_u64 << 63],
        burst in prop_oneof![1..50_u64, 1..Quota::MAX_UNITS],
        instances in prop_oneof![1..20_u32, 1..u32::MAX],
        is_rolling: bool,
    ) {
        let whole = Quota::new(units, Duration::from_nanos(period)).expect("a quota");
        let whole = match is_rolling {
            true => Quota::try_rolling(units, whole.period()).expect("a quota"),
            false => whole.burst(burst),
        };
        let part = whole.share_of(instances);
        let count = u128::from(instances);
        let together = u128::from(part.capacity()) * count;
        prop_assert!(together <= u128::from(whole.capacity()) || part.capacity() == 1);
        let of_one = u128::from(part.units()) * whole.period().as_nanos();
        let of_all = u128::from(whole.units()) * part.period().as_nanos();
        match part.window() {
            // The same pace, unless there is no such slow one.
            Window::Paced { .. } if part.period() < Quota::MAX_PERIOD => {
                prop_assert_eq!(of_one.checked_mul(count), Some(of_all));
            }
            Window::Paced { .. } => {
                let together = of_one.checked_mul(count).expect("small enough");
                prop_assert!(together <= of_all || part.units() == 1);
            }
            _ => prop_assert_eq!(part.period(), whole.period()),
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn instances_together_admit_no_more_than_one_limiter_would(
        calls in prop::collection::vec((0..4_usize, 0..3_000_u64), 1..120),
        text in prop_oneof![Just("13/2s"), Just("10/second burst 21"), Just("11/second rolling")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let whole = quota(text);
        let admitted: Vec<u64> = runtime.block_on(async {
            let instance = || RateLimiter::builder().quota(whole.clone()).share_of(4).build();
            let instances: Vec<_> = (0..4).map(|_| instance().expect("limits")).collect();
            let (mut now, mut admitted) = (0, Vec::new());
            for (index, wait) in calls {
                let wait = wait / 10;
                advance(Duration::from_millis(wait)).await;
                now += wait;
                if instances[index].check("key", 1).is_ok() {
                    admitted.push(now);
                }
            }
            admitted
        });
        for (first, start) in admitted.iter().enumerate() {
            for (count, end) in (1_u128..).zip(&admitted[first..]) {
                let period = whole.period().as_millis();
                let span = u128::from(end - start);
                let most = match whole.window() {
                    Window::Paced { burst } => u128::from(*burst) + span * u128::from(whole.units()) / period,
                    _ if span < period => u128::from(whole.units()),
                    _ => u128::MAX,
                };
                prop_assert!(count <= most, "{count} in {span} ms of {text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_instances_changes_live_and_what_is_spent_stays_spent() {
    let layer = RateLimitLayer::new(Quota::rolling(12, MINUTE)).share_of(3);
    let limiter = layer.limiter();
    assert_eq!(limiter.share_of(), 3);
    limiter.check("a", 3).expect("three of four");
    assert_eq!(left(limiter, "a"), [1]);
    limiter.set_share_of(2).expect("two");
    assert_eq!(left(limiter, "a"), [3]);
    limiter.set_share_of(6).expect("six");
    assert_eq!(left(limiter, "a"), [0], "more is spent than there is now");
    assert_eq!(left(limiter, "b"), [2]);
    assert_eq!(
        limiter.limits().quotas,
        [Quota::rolling(12, MINUTE)],
        "the whole"
    );
    limiter.set_quota(Quota::rolling(60, MINUTE));
    assert_eq!(left(limiter, "a"), [7], "a sixth of the new one");
    limiter
        .set_override("vip", [Quota::rolling(600, MINUTE)])
        .expect("an override");
    assert_eq!(left(limiter, "vip"), [100]);
    assert_eq!(limiter.set_share_of(0), Err(LimitsError::NoInstances));
    assert_eq!(limiter.share_of(), 6, "nothing changed");
    limiter.set_share_of(1).expect("one");
    assert_eq!(left(limiter, "b"), [60]);
}

#[tokio::test(start_paused = true)]
async fn each_quota_takes_over_from_itself_however_alike_the_parts_are() {
    // A half of the first looks like the second.
    let quotas = [quota("5/second"), quota("5/2s")];
    let limiter = RateLimiter::builder()
        .quotas(quotas)
        .build()
        .expect("limits");
    limiter.check("a", 2).expect("two units");
    advance(SECOND / 2).await;
    assert_eq!(left(&limiter, "a"), [5, 4]);
    limiter.set_share_of(2).expect("two");
    assert_eq!(left(&limiter, "a"), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_all_is_shared_too() {
    let limiter = RateLimiter::builder()
        .quota(Quota::rolling(10, MINUTE))
        .global([Quota::rolling(30, MINUTE)])
        .share_of(5)
        .build()
        .expect("limits");
    assert_eq!(left(&limiter, "a"), [2, 6]);
    let names: Vec<_> = limiter.peek("a").into_iter().map(|s| s.name).collect();
    assert_eq!(
        names,
        ["10/minute rolling", "30/minute rolling for all"],
        "of the whole"
    );
    limiter
        .set_limits(Limits {
            quotas: vec![Quota::rolling(20, MINUTE)],
            ..limiter.limits()
        })
        .expect("limits");
    assert_eq!(left(&limiter, "a"), [4, 6]);
}

#[test]
fn no_instances_are_an_error() {
    let build = RateLimiter::builder()
        .quota(Quota::per_minute(1))
        .share_of(0)
        .build();
    let error = build.expect_err("no instances");
    assert_eq!(error, LimitsError::NoInstances);
    assert!(error.to_string().contains("`share_of`"), "{error}");
}

#[test]
#[should_panic(expected = "no instances share the limits")]
fn nor_does_a_layer_take_none() {
    let _ = RateLimitLayer::new(Quota::per_minute(1)).share_of(0);
}
