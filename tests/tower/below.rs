//! tower's middleware below a rate limit.

use std::convert::Infallible;
use std::time::Duration;

use buttress::{Error, Quota, RateLimitLayer};
use futures_util::FutureExt;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{SECOND, all_ok, at_once, call, echo, slow_echo};

/// A service with one place, which all its clones share.
fn one_place() -> BoxCloneService<u32, u32, Infallible> {
    let place = GlobalConcurrencyLimitLayer::new(1);
    BoxCloneService::new(ServiceBuilder::new().layer(place).service_fn(echo))
}

#[tokio::test(start_paused = true)]
async fn being_ready_spends_nothing() {
    let limit = RateLimitLayer::new(Quota::per_minute(2));
    let limiter = limit.limiter().clone();
    let service = ServiceBuilder::new().layer(limit).service_fn(echo);
    let mut idle = vec![service.clone(); 5];
    for service in &mut idle {
        service.ready().await.unwrap();
    }
    assert_eq!(limiter.status().admitted, 0);
    assert!(call(&service).await.is_ok());
    assert!(call(&service).await.is_ok());
    assert!(call(&service).await.is_err());
    drop(idle);
    assert_eq!(limiter.status().admitted, 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_holds_no_place_of_what_is_below() {
    let inner = one_place();
    let limit = RateLimitLayer::new(Quota::per_second(1)).wait(60 * SECOND);
    let service = limit.layer(inner.clone());
    assert!(call(&service).await.is_ok());

    let mut waiting = service.clone();
    let waiter = waiting.ready().await.unwrap().call(7);
    let mut waiter = Box::pin(waiter);
    assert!((&mut waiter).now_or_never().is_none());
    let other = call(&inner).now_or_never();
    assert!(
        other.is_some(),
        "the place is free while another waits for the limit"
    );
    assert!(waiter.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_holds_no_place_of_what_is_below() {
    let inner = one_place();
    let service = RateLimitLayer::new(Quota::per_minute(1)).layer(inner.clone());
    assert!(call(&service).await.is_ok());

    let mut kept = service.clone();
    let refused = kept.ready().await.unwrap().call(7);
    assert!(call(&inner).now_or_never().is_some(), "before it is polled");
    assert!(matches!(refused.await, Err(Error::Rejected(_))));
    assert!(
        call(&inner).now_or_never().is_some(),
        "while its service is kept"
    );
    drop(kept);
}

#[tokio::test(start_paused = true)]
async fn refusals_leave_no_reservation_in_a_buffer() {
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_minute(1)).as_box_error())
        .buffer(1)
        .service_fn(echo);
    assert!(call(&service).await.is_ok());
    // Each is ready, which in a buffer of one is the one slot.
    let mut kept = vec![service.clone(); 3];
    for service in &mut kept {
        let ready = service.ready().now_or_never().expect("the slot is free");
        assert!(ready.unwrap().call(7).await.is_err());
    }
    tokio::time::advance(60 * SECOND).await;
    assert!(call(&service).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_does_not_count_the_wait() {
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_second(1)).wait(60 * SECOND))
        .timeout(Duration::from_millis(1100))
        .service_fn(slow_echo);
    assert_eq!(all_ok(at_once(&service, 4).await), [1000, 2000, 3000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_below_is_spent_and_keeps_its_error() {
    let limit = RateLimitLayer::new(Quota::per_minute(3));
    let limiter = limit.limiter().clone();
    let service = ServiceBuilder::new()
        .layer(limit)
        .load_shed()
        .concurrency_limit(1)
        .timeout(SECOND / 2)
        .service_fn(slow_echo);
    let answers = at_once(&service, 5).await;
    let of = |is: fn(&BoxError) -> bool| {
        let errors = answers.iter().filter_map(|answer| match answer {
            Err(Error::Inner(error)) => Some(error),
            _ => None,
        });
        errors.filter(|error| is(error)).count()
    };
    assert_eq!(of(|error| error.is::<Elapsed>()), 1);
    assert_eq!(of(|error| error.is::<Overloaded>()), 2);
    let rejected = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Error::Rejected(_))));
    assert_eq!(rejected.count(), 2);
    assert_eq!(limiter.status().admitted, 3);
}

#[tokio::test(start_paused = true)]
async fn places_and_pace_together_are_both_kept() {
    // Each call takes a second, three at once can: no more than the pace of two a second.
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_second(2).burst(1)).wait(60 * SECOND))
        .concurrency_limit(3)
        .service_fn(slow_echo);
    assert_eq!(
        all_ok(at_once(&service, 5).await),
        [1000, 1500, 2000, 2500, 3000]
    );

    // Where places are scarcer than the pace, they decide.
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_second(2).burst(1)).wait(60 * SECOND))
        .concurrency_limit(1)
        .service_fn(slow_echo);
    let mut answered = all_ok(at_once(&service, 4).await);
    answered.sort_unstable();
    assert_eq!(answered, [1000, 2000, 3000, 4000]);
}
