//! tower's middleware above a rate limit.

use std::time::Duration;

use buttress::{Quota, RateLimitLayer, Reason};
use futures_util::FutureExt;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::support::{SECOND, all_ok, at_once, call, echo, rejection, slow_echo};

/// Two are admitted, then none, and later some again: refusing has broken nothing.
async fn assert_two_a_minute<S>(mut service: S)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    for _ in 0..3 {
        for expected in [true, true, false, false] {
            let ready = service.ready().await;
            let answer = ready.expect("readiness is not the limit's").call(7).await;
            match answer {
                Ok(_) => assert!(expected, "one too many"),
                Err(error) => {
                    let rejection = rejection(&error).unwrap_or_else(|| panic!("{error:?}"));
                    assert_eq!(rejection.reason(), Reason::RateLimit);
                    assert!(!expected, "refused too early: {rejection}");
                }
            }
        }
        tokio::time::advance(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_buffer_survives_refusals() {
    let limit = || RateLimitLayer::new(Quota::per_minute(2));
    let service = ServiceBuilder::new()
        .buffer(4)
        .layer(limit().as_box_error());
    assert_two_a_minute(service.service_fn(echo)).await;
    // Without a box of its own, the rejection is found inside of the buffer's.
    let service = ServiceBuilder::new().buffer(4).layer(limit());
    assert_two_a_minute(service.service_fn(echo)).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_not_shed() {
    let limit = RateLimitLayer::new(Quota::per_minute(2)).as_box_error();
    let service = ServiceBuilder::new().load_shed().layer(limit);
    assert_two_a_minute(service.service_fn(echo)).await;
    let limit = RateLimitLayer::new(Quota::per_minute(2)).as_box_error();
    let service = ServiceBuilder::new()
        .load_shed()
        .buffer(4)
        .timeout(SECOND)
        .concurrency_limit(1)
        .layer(limit);
    assert_two_a_minute(service.service_fn(echo)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_shed_is_not_spent() {
    let limit = RateLimitLayer::new(Quota::per_minute(10));
    let limiter = limit.limiter().clone();
    let service = ServiceBuilder::new()
        .load_shed()
        .layer(limit)
        .concurrency_limit(1)
        .service_fn(slow_echo);
    let answers = at_once(&service, 5).await;
    let shed = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert_eq!(shed.filter(|error| error.is::<Overloaded>()).count(), 4);
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (1, 0));
    assert!(call(&service).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_ends_a_wait_gives_its_place_back() {
    let limit = RateLimitLayer::new(Quota::per_second(1)).wait(60 * SECOND);
    let limiter = limit.limiter().clone();
    let service = ServiceBuilder::new()
        .timeout(Duration::from_millis(2500))
        .layer(limit)
        .service_fn(echo);
    let answers = at_once(&service, 6).await;
    let answered: Vec<u64> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok())
        .copied()
        .collect();
    assert_eq!(answered, [0, 1000, 2000]);
    let late = answers.into_iter().filter_map(Result::err);
    assert_eq!(late.filter(|error| error.is::<Elapsed>()).count(), 3);
    assert_eq!(limiter.status().waiting, 0);
    assert_eq!(limiter.status().admitted, 3);

    // The next comes when the fourth would have come, half a second from now.
    assert_eq!(all_ok(at_once(&service, 2).await), [500, 1500]);
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_above_lets_as_many_wait_as_it_has_places() {
    let limit = RateLimitLayer::new(Quota::per_second(1)).wait(60 * SECOND);
    let limiter = limit.limiter().clone();
    let service = ServiceBuilder::new()
        .concurrency_limit(2)
        .layer(limit)
        .service_fn(echo);
    let mut calls = Box::pin(at_once(&service, 5));
    assert!((&mut calls).now_or_never().is_none());
    assert_eq!(limiter.status().waiting, 2, "one was answered, two wait");
    assert_eq!(all_ok(calls.await), [0, 1000, 2000, 3000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_whose_caller_goes_away_forgets_the_wait() {
    let limit = RateLimitLayer::new(Quota::per_second(1)).wait(60 * SECOND);
    let limiter = limit.limiter().clone();
    let service = ServiceBuilder::new()
        .buffer(4)
        .layer(limit)
        .service_fn(echo);
    assert!(call(&service).await.is_ok());
    let mut gone = Box::pin(call(&service));
    assert!((&mut gone).now_or_never().is_none());
    tokio::task::yield_now().await;
    assert!((&mut gone).now_or_never().is_none());
    assert_eq!(
        limiter.status().waiting,
        1,
        "through the buffer, to the limit"
    );
    drop(gone);
    assert_eq!(limiter.status().waiting, 0);
    assert_eq!(
        all_ok(at_once(&service, 1).await),
        [1000],
        "nobody is before it"
    );
}
