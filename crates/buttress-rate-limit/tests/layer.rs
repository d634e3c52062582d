//! The layer around a service.

#![cfg(not(buttress_loom))]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Error, Event, Reason, Rejection, Usage, When};
use buttress_rate_limit::{Quota, RateLimit, RateLimitLayer, RateLimiter};
use futures_util::poll;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct Call {
    tenant: Option<&'static str>,
    user: u32,
    pages: u64,
    is_probe: bool,
}

fn of(tenant: &'static str) -> Call {
    Call {
        tenant: Some(tenant),
        ..Call::default()
    }
}

fn serve(call: Call) -> Ready<Result<u64, Infallible>> {
    ready(Ok(call.pages))
}

async fn sends<S>(service: &S, call: Call) -> Result<S::Response, S::Error>
where
    S: Service<Call> + Clone,
{
    service.clone().oneshot(call).await
}

fn rejected<T: std::fmt::Debug>(result: Result<T, Error<Infallible>>) -> Rejection {
    match result {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("it should be rejected: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn it_admits_what_fits_and_the_inner_service_never_sees_the_rest() {
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = RateLimitLayer::new(Quota::per_minute(2)).layer(mock);
    for request in 0..2 {
        let response = service.ready().await.unwrap().call(request);
        let (received, send) = handle.next_request().await.unwrap();
        send.send_response(received + 10);
        assert_eq!(response.await.unwrap(), request + 10);
    }
    let error = service.ready().await.unwrap().call(2).await.unwrap_err();
    let Error::Rejected(rejection) = error else {
        panic!("it should be rejected");
    };
    assert_eq!(rejection.retry_after(), Some(30 * SECOND));
    assert!(poll!(Box::pin(handle.next_request())).is_pending());
    tokio::time::advance(30 * SECOND).await;
    let response = service.ready().await.unwrap().call(3);
    handle.next_request().await.unwrap().1.send_error("broken");
    let error = response.await.unwrap_err();
    assert!(matches!(error, Error::Inner(error) if error.to_string() == "broken"));
}

#[tokio::test(start_paused = true)]
async fn by_a_key_every_key_has_its_own_and_without_one_the_request_is_told_so() {
    let layer = RateLimitLayer::new(Quota::per_minute(1)).by(|call: &Call| call.tenant);
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(serve));
    for tenant in ["a", "b"] {
        sends(&service, of(tenant)).await.unwrap();
        let rejection = rejected(sends(&service, of(tenant)).await);
        assert_eq!(rejection.limit().unwrap().key, limiter.hash(tenant));
        assert_eq!(limiter.peek(tenant)[0].remaining, 0);
    }
    for _ in 0..3 {
        let missing = rejected(sends(&service, Call::default()).await);
        assert_eq!(missing.reason(), Reason::MissingKey);
        assert_eq!((missing.when(), missing.limit()), (When::Never, None));
    }
    assert_eq!(limiter.status().live_keys, 2, "there is no anonymous key");
}

#[tokio::test(start_paused = true)]
async fn by_several_keys_and_by_a_cost() {
    let layer = RateLimitLayer::new(Quota::per_minute(10))
        .by((
            |call: &Call| call.tenant,
            |call: &Call| (call.user > 0).then_some(call.user),
        ))
        .cost(|call: &Call| call.pages);
    let service = layer.layer(service_fn(serve));
    let call = |user, pages| Call {
        user,
        pages,
        ..of("a")
    };
    assert_eq!(sends(&service, call(1, 7)).await, Ok(7));
    rejected(sends(&service, call(1, 4)).await);
    assert_eq!(sends(&service, call(2, 4)).await, Ok(4));
    assert_eq!(sends(&service, call(1, 3)).await, Ok(3));
    assert_eq!(sends(&service, call(1, 0)).await, Ok(0), "free of charge");
    let never = rejected(sends(&service, call(3, 11)).await);
    assert_eq!(never.when(), When::Never);
    let missing = rejected(sends(&service, call(0, 1)).await);
    assert_eq!(missing.reason(), Reason::MissingKey);
    let fixed = RateLimitLayer::new(Quota::per_minute(10)).cost(5);
    let fixed = fixed.layer(service_fn(serve));
    for _ in 0..2 {
        sends(&fixed, of("a")).await.unwrap();
    }
    rejected(sends(&fixed, of("b")).await);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_exempt_is_not_counted() {
    let layer = RateLimitLayer::new(Quota::per_minute(1)).unless(|call: &Call| call.is_probe);
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(serve));
    let probe = Call {
        is_probe: true,
        ..of("a")
    };
    sends(&service, of("a")).await.unwrap();
    rejected(sends(&service, of("a")).await);
    for _ in 0..5 {
        sends(&service, probe.clone()).await.unwrap();
    }
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn trap_06_clones_and_all_services_of_a_layer_share_one_limit() {
    let layer = RateLimitLayer::new(Quota::per_minute(3)).by(|call: &Call| call.tenant);
    let services = [
        layer.layer(service_fn(serve)),
        layer.layer(service_fn(serve)),
        layer.clone().layer(service_fn(serve)),
    ];
    for service in &services {
        sends(service, of("a")).await.unwrap();
    }
    for service in &services {
        rejected(sends(service, of("a")).await);
        rejected(sends(&service.clone(), of("a")).await);
    }
    let shared = RateLimitLayer::from(layer.limiter().clone()).by(|call: &Call| call.tenant);
    rejected(sends(&shared.layer(service_fn(serve)), of("a")).await);
}

#[tokio::test(start_paused = true)]
async fn trap_02_a_refusal_keeps_no_place_of_a_concurrency_limit() {
    let inner = ConcurrencyLimit::new(service_fn(serve), 1);
    let layer = RateLimitLayer::new(Quota::per_minute(1));
    let mut service = layer.layer(inner);
    let mut sibling = service.clone();
    service.ready().await.unwrap().call(of("a")).await.unwrap();
    rejected(service.ready().await.unwrap().call(of("a")).await);
    layer.limiter().reset_all();
    assert!(poll!(Box::pin(sibling.ready())).is_ready());
    sibling.call(of("a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_handle_changes_a_limit_that_is_in_use() {
    let layer = RateLimitLayer::new(Quota::per_hour(5));
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(serve));
    let drain = async || {
        let mut admitted = 0;
        while sends(&service, of("a")).await.is_ok() {
            admitted += 1;
        }
        admitted
    };
    for _ in 0..3 {
        sends(&service, of("a")).await.unwrap();
    }
    limiter.set_quota(Quota::per_hour(8));
    assert_eq!(drain().await, 5, "three of five leave five of eight");
    limiter.set_quota(Quota::per_hour(4));
    let rejection = rejected(sends(&service, of("a")).await);
    assert_eq!(rejection.retry_after(), Some(5 * 900 * SECOND));
    limiter.reset_all();
    assert_eq!(drain().await, 4);
}

#[tokio::test(start_paused = true)]
async fn several_quotas_per_key_and_for_all_are_one_decision() {
    let layer = RateLimitLayer::new(Quota::per_minute(10))
        .and(Quota::rolling(3, SECOND))
        .global(Quota::per_hour(5))
        .by(|call: &Call| call.tenant);
    let service = layer.layer(service_fn(serve));
    for _ in 0..3 {
        sends(&service, of("a")).await.unwrap();
    }
    assert_eq!(
        rejected(sends(&service, of("a")).await)
            .limit()
            .unwrap()
            .quota,
        1
    );
    for _ in 0..2 {
        sends(&service, of("b")).await.unwrap();
    }
    assert_eq!(
        rejected(sends(&service, of("b")).await)
            .limit()
            .unwrap()
            .quota,
        2
    );
    let left: Vec<_> = layer
        .limiter()
        .peek("b")
        .iter()
        .map(|s| s.remaining)
        .collect();
    assert_eq!(left, [8, 1, 0], "the refused ones spent nothing");
}

#[test]
#[should_panic(expected = "17 quotas concern one request; at most 16 can")]
fn more_quotas_than_a_decision_takes_are_a_mistake_that_is_told_at_once() {
    let layer = RateLimitLayer::new(Quota::per_hour(1));
    let _ = (0..16).fold(layer, |layer, _| layer.and(Quota::per_hour(1)));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_what_the_stack_can_take() {
    let quota = Quota::per_minute(1);
    let boxed = RateLimitLayer::new(quota.clone()).as_box_error();
    let boxed = ServiceBuilder::new().layer(boxed).service_fn(serve);
    sends(&boxed, of("a")).await.unwrap();
    let error = sends(&boxed, of("a")).await.unwrap_err();
    assert_eq!(
        Rejection::find(&*error).map(Rejection::reason),
        Some(Reason::RateLimit)
    );
    let answered = RateLimitLayer::new(quota.clone()).on_reject(|rejection: Rejection| {
        Ok::<_, Infallible>(rejection.retry_after().map_or(0, |w| w.as_secs()))
    });
    let answered = answered.layer(service_fn(serve));
    assert_eq!(sends(&answered, of("a")).await, Ok(0));
    assert_eq!(
        sends(&answered, of("a")).await,
        Ok(60),
        "a response, and no error type of ours"
    );
    let own_error = RateLimitLayer::new(quota).on_reject(|_| Err::<u64, _>("too many"));
    let own_error = own_error.layer(service_fn(|_: Call| ready(Err::<u64, _>("inner"))));
    assert_eq!(sends(&own_error, of("a")).await, Err("inner"));
    assert_eq!(sends(&own_error, of("a")).await, Err("too many"));
}

#[tokio::test(start_paused = true)]
async fn it_waits_when_it_is_told_to_and_no_longer() {
    let layer = RateLimitLayer::new(Quota::per_second(1))
        .by(|call: &Call| call.tenant)
        .wait(2 * SECOND);
    let limiter = layer.limiter().clone();
    let service = layer.layer(ConcurrencyLimit::new(service_fn(serve), 1));
    let start = now();
    let send = |tenant| {
        let service = service.clone();
        tokio::spawn(async move {
            let result = sends(&service, of(tenant)).await;
            (
                result.map_err(|error| Rejection::find(&error).copied()),
                now() - start,
            )
        })
    };
    let first: Vec<_> = (0..4).map(|_| send("a")).collect();
    let other = send("b");
    assert_eq!(
        other.await.unwrap(),
        (Ok(0), Duration::ZERO),
        "it holds no place"
    );
    let mut times = Vec::new();
    for task in first {
        let (result, at) = task.await.unwrap();
        match result {
            Ok(_) => times.push(at),
            Err(rejection) => {
                let rejection = rejection.unwrap();
                assert_eq!(
                    (rejection.retry_after(), at),
                    (Some(3 * SECOND), Duration::ZERO)
                );
            }
        }
    }
    assert_eq!(times, [Duration::ZERO, SECOND, 2 * SECOND]);
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused, status.waiting), (4, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_read_from_the_request() {
    let start = now();
    let layer = RateLimitLayer::new(Quota::per_second(1))
        .deadline(move |call: &Call| (call.user > 0).then(|| start + call.user * SECOND))
        .wait(60 * SECOND);
    let service = layer.layer(service_fn(serve));
    let until = |user| Call { user, ..of("a") };
    sends(&service, until(1)).await.unwrap();
    let late = rejected(sends(&service, until(1)).await);
    assert_eq!(late.reason(), Reason::Deadline);
    sends(&service, until(2)).await.unwrap();
    assert_eq!(now() - start, SECOND);
    sends(&service, until(0)).await.unwrap();
    assert_eq!(now() - start, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_and_shadow_refuses_nothing() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let events = Arc::clone(&events);
        Arc::new(move |event: Event| events.lock().unwrap().push(event))
    };
    let layer = RateLimitLayer::new(Quota::per_minute(1)).observe(observer);
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(serve));
    sends(&service, of("a")).await.unwrap();
    let rejection = rejected(sends(&service, of("a")).await);
    limiter.set_shadow(true);
    sends(&service, of("a")).await.unwrap();
    let ended = Event::Ended(buttress_core::End::Settled(
        buttress_core::Outcome::Success,
        None::<Usage>,
    ));
    let expected = [
        Event::Admitted { shadowed: false },
        ended,
        Event::Rejected(rejection),
        Event::Admitted { shadowed: true },
        ended,
    ];
    assert_eq!(*events.lock().unwrap(), expected);
    let shadow = RateLimitLayer::from(RateLimiter::new(Quota::per_minute(1))).shadow();
    let service = shadow.layer(service_fn(serve));
    for _ in 0..5 {
        sends(&service, of("a")).await.unwrap();
    }
    let status = shadow.limiter().status();
    assert_eq!((status.admitted, status.refused), (1, 4));
}

#[test]
fn the_service_can_be_sent_shared_and_cloned() {
    type Inner = tower::util::ServiceFn<fn(Call) -> Ready<Result<u64, Infallible>>>;
    const fn all<T: Send + Sync + Clone + Unpin + 'static>() {}
    const { all::<RateLimit<Inner>>() };
    const { all::<RateLimitLayer>() };
    let layer = RateLimitLayer::new(Quota::per_minute(1)).by(|call: &Call| call.tenant);
    assert!(format!("{layer:?}").starts_with("RateLimitLayer"));
}
