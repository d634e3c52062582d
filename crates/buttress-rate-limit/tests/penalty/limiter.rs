use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Error, KeyHash, LimitId, Now, Policy, Reason, Rejection, When};
use buttress_rate_limit::{Penalty, Quota, RateDemand, RateLimitLayer, RateLimiter};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// One a second; the third refusal is a wait of ten seconds.
fn limiter() -> RateLimiter {
    let penalty = Penalty::after(3).first(10 * SECOND).growing(2.0);
    RateLimiter::builder()
        .quota(Quota::per_second(1))
        .penalty(penalty.ban_after(9, HOUR))
        .build()
        .expect("limits")
}

fn refused(limiter: &RateLimiter, key: &str) -> Rejection {
    limiter.check(key, 1).expect_err("a refusal")
}

fn wait(rejection: Rejection) -> (Reason, Duration) {
    (rejection.reason(), rejection.retry_after().expect("a time"))
}

#[tokio::test(start_paused = true)]
async fn repeated_refusals_lengthen_the_wait_up_to_a_ban_that_ends() {
    let limiter = limiter();
    limiter.check("a", 1).expect("a unit");
    for _ in 0..2 {
        assert_eq!(wait(refused(&limiter, "a")), (Reason::RateLimit, SECOND));
    }
    assert_eq!(limiter.bans(), [], "so far it is only refused");
    let last = refused(&limiter, "a");
    assert_eq!(wait(last), (Reason::RateLimit, 10 * SECOND), "one too many");
    assert!(last.violates(0));
    advance(4 * SECOND).await;
    let banned = refused(&limiter, "a");
    assert_eq!(
        wait(banned),
        (Reason::Banned, 6 * SECOND),
        "its quota is full"
    );
    let limit = banned.limit().expect("a limit");
    assert_eq!(
        (limit.key, limit.quota),
        (limiter.hash("a"), LimitId::NO_QUOTA)
    );
    assert!((0..=u8::MAX).all(|quota| !banned.violates(quota)));
    limiter.check("b", 1).expect("others are not concerned");
    assert_eq!(limiter.peek("a")[0].remaining, 1, "nothing is spent");
    advance(6 * SECOND).await;
    limiter.check("a", 1).expect("at the end exactly");
    // The fifth, and the sixth, which is a step.
    assert_eq!(wait(refused(&limiter, "a")), (Reason::RateLimit, SECOND));
    assert_eq!(
        wait(refused(&limiter, "a")),
        (Reason::RateLimit, 20 * SECOND)
    );
    for _ in 0..2 {
        assert_eq!(wait(refused(&limiter, "a")), (Reason::Banned, 20 * SECOND));
    }
    assert_eq!(wait(refused(&limiter, "a")), (Reason::Banned, HOUR));
    advance(HOUR - Duration::from_nanos(1)).await;
    assert_eq!(
        refused(&limiter, "a").retry_after(),
        Some(Duration::from_nanos(1))
    );
    advance(Duration::from_nanos(1)).await;
    assert_eq!(limiter.bans(), []);
    limiter.check("a", 1).expect("the ban is over");
    assert_eq!(
        wait(refused(&limiter, "a")),
        (Reason::RateLimit, SECOND),
        "it starts anew"
    );
}

#[tokio::test(start_paused = true)]
async fn the_longer_wait_is_told_and_never_stays_never() {
    let limiter = RateLimiter::builder()
        .quota(Quota::rolling(1, HOUR))
        .penalty(Penalty::after(1).first(SECOND))
        .build()
        .expect("limits");
    limiter.check("a", 1).expect("a unit");
    assert_eq!(wait(refused(&limiter, "a")), (Reason::RateLimit, HOUR));
    let both = refused(&limiter, "a");
    assert_eq!(wait(both), (Reason::Banned, HOUR));
    assert!(both.violates(0), "its quota refuses too");
    let too_much = limiter.check("a", 2).expect_err("more than it holds");
    assert_eq!(too_much.when(), When::Never);
    limiter.check("a", 0).expect("what costs nothing");
}

#[tokio::test(start_paused = true)]
async fn bans_are_listed_lifted_and_imposed_by_hand() {
    let limiter = RateLimiter::new(Quota::per_second(100));
    assert!(!limiter.lift("a") && limiter.bans().is_empty());
    advance(SECOND).await;
    let start = now();
    limiter.ban("a", 60 * SECOND);
    limiter.ban("b", 30 * SECOND);
    limiter.ban_hash(KeyHash::EVERYONE, HOUR);
    advance(SECOND).await;
    assert_eq!(wait(refused(&limiter, "a")), (Reason::Banned, 59 * SECOND));
    let bans = limiter.bans();
    let list: Vec<_> = bans.iter().map(|ban| (ban.key, ban.refusals)).collect();
    assert_eq!(list, [(limiter.hash("b"), 0), (limiter.hash("a"), 1)]);
    assert_eq!((bans[1].since, bans[1].until), (start, start + 60 * SECOND));
    assert_eq!(bans[1].remaining(), 59 * SECOND);
    let line = format!("key {} for 59s more, refused 1 times", limiter.hash("a"));
    assert_eq!(bans[1].to_string(), line);
    let hex = bans[1].key.to_string();
    let hash = KeyHash::from_hex(&hex).expect("what was listed");
    assert!(limiter.lift_hash(hash));
    assert!(!limiter.lift("a"), "it is lifted already");
    limiter.check("a", 1).expect("it was lifted");
    limiter.ban("b", 5 * SECOND);
    assert_eq!(
        refused(&limiter, "b").retry_after(),
        Some(5 * SECOND),
        "instead"
    );
    limiter.lift_all();
    limiter.check("b", 1).expect("all were lifted");
    assert_eq!(limiter.status().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_used_up_for_all_is_the_fault_of_none() {
    let limiter = RateLimiter::builder()
        .quota(Quota::per_second(5))
        .global([Quota::per_hour(1)])
        .penalty(Penalty::after(1).first(HOUR))
        .build()
        .expect("limits");
    limiter.check("a", 1).expect("a unit");
    for _ in 0..5 {
        assert_eq!(refused(&limiter, "b").reason(), Reason::RateLimit);
    }
    assert_eq!(limiter.bans(), []);
    let everyone = RateDemand::new(KeyHash::EVERYONE, 9);
    limiter
        .try_admit(&everyone, &Now::new())
        .expect_err("more than it holds");
    assert_eq!(limiter.bans(), [], "nobody is everybody");
    limiter.check("b", 6).expect_err("more than its own quota");
    assert_eq!(limiter.bans().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_may_ask_without_counting_and_hears_of_a_lift() {
    let limiter = limiter();
    limiter.ban("a", 10 * SECOND);
    let demand = RateDemand::new(limiter.hash("a"), 1);
    for _ in 0..20 {
        let rejection = limiter.would_admit("a", 1).expect_err("banned");
        assert_eq!(wait(rejection), (Reason::Banned, 10 * SECOND));
        let limit = rejection.limit().expect("a limit");
        assert!(limiter.touches(&demand, limit));
        let other = RateDemand::new(limiter.hash("b"), 1);
        assert!(!limiter.touches(&other, limit), "it holds nobody else back");
    }
    assert_eq!(limiter.bans()[0].refusals, 0);
    let (waker, woken) = futures_counter();
    limiter.subscribe(&waker);
    limiter.lift("a");
    assert_eq!(Arc::strong_count(&woken), 2, "the subscription is used up");
    limiter.would_admit("a", 1).expect("it was lifted");
}

fn futures_counter() -> (std::task::Waker, Arc<Counter>) {
    let counter = Arc::new(Counter);
    (Arc::clone(&counter).into(), counter)
}

struct Counter;

impl std::task::Wake for Counter {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_nobody_is_refused_but_the_list_tells_who_would_be() {
    let limiter = limiter();
    limiter.set_shadow(true);
    for _ in 0..10 {
        limiter.check("a", 1).expect("shadow");
    }
    assert_eq!(limiter.bans()[0].refusals, 9);
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (1, 9));
    limiter.would_admit("a", 1).expect("shadow");
    limiter.set_shadow(false);
    assert_eq!(refused(&limiter, "a").reason(), Reason::Banned);
}

#[tokio::test(start_paused = true)]
async fn through_the_layer_the_exempt_are_never_penalised_nor_do_others_wait() {
    let layer = RateLimitLayer::new(Quota::per_second(1))
        .by(|key: &u32| Some(*key))
        .unless(|key: &u32| *key == 0)
        .penalty(Penalty::after(2).first(60 * SECOND))
        .wait(SECOND / 2);
    let limiter = layer.limiter().clone();
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let service = layer.layer(service_fn(move |_: u32| {
        *count.lock().expect("a count") += 1;
        async { Ok::<_, Infallible>(()) }
    }));
    let send = |key: u32| service.clone().oneshot(key);
    send(1).await.expect("a unit");
    for reason in [Reason::RateLimit, Reason::RateLimit, Reason::Banned] {
        let Err(Error::Rejected(rejection)) = send(1).await else {
            panic!("it should be refused");
        };
        assert_eq!(
            rejection.reason(),
            reason,
            "who would wait too long is refused too"
        );
    }
    for _ in 0..10 {
        send(0).await.expect("exempt");
    }
    send(2).await.expect("another key");
    assert_eq!(*seen.lock().expect("a count"), 12);
    assert_eq!(limiter.bans().len(), 1);
    assert_eq!(
        limiter.penalty(),
        Some(Penalty::after(2).first(60 * SECOND))
    );
    limiter.set_penalty(None);
    advance(60 * SECOND).await;
    for _ in 0..5 {
        let _ = send(1).await;
    }
    assert_eq!(limiter.bans(), []);
}

#[tokio::test(start_paused = true)]
async fn more_offenders_than_are_kept_in_mind_are_counted() {
    let penalty = Penalty::after(1).first(SECOND).growing(1.0);
    let limiter = RateLimiter::builder()
        .quota(Quota::per_hour(1))
        .penalty(penalty.offenders(10))
        .build()
        .expect("limits");
    for round in 0..2 {
        for key in 0..50 {
            assert_eq!(limiter.check(key, 1).is_ok(), round == 0);
        }
    }
    assert_eq!(
        (limiter.bans().len(), limiter.offenders_evicted()),
        (10, 40)
    );
}

#[test]
fn many_threads_count_every_refusal() {
    let limiter = RateLimiter::builder()
        .quota(Quota::per_day(1))
        .penalty(Penalty::after(100).first(HOUR).ban_after(1_000, HOUR))
        .build()
        .expect("limits");
    limiter.check("a", 1).expect("a unit");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    limiter.check("a", 1).expect_err("used up");
                    limiter.check("b", 0).expect("free");
                }
            });
        }
    });
    let bans = limiter.bans();
    assert_eq!((bans.len(), bans[0].refusals), (1, 2_000));
    assert_eq!(limiter.status().refused, 2_000);
}

#[test]
fn no_debug_text_shows_a_key_or_grows_with_them() {
    let limiter = RateLimiter::new(Quota::per_second(1));
    limiter.ban("secret-key", HOUR);
    let _ = limiter.check("secret-key", 1);
    let text = format!("{limiter:?} {:?} {:?}", limiter.bans(), limiter.limits());
    assert!(!text.contains("secret"), "{text}");
}
