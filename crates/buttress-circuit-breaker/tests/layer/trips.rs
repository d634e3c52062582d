//! What trips a circuit, and how it closes.

use buttress_circuit_breaker::{CircuitBreakerLayer, Settings, State};
use buttress_core::{ByResult, Error, When};
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::support::{FAILS, OK, SECOND, answers, at, by_status, refused, send, upstream};

#[tokio::test(start_paused = true)]
async fn it_trips_refuses_probes_and_closes_and_the_upstream_sees_only_what_goes_through() {
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let layer = at(2).classify(ByResult);
    let mut service = layer.layer(mock);
    for request in 0..2 {
        let response = service.ready().await.unwrap().call(request);
        handle.next_request().await.unwrap().1.send_error("broken");
        assert!(matches!(response.await.unwrap_err(), Error::Inner(_)));
    }
    assert_eq!(layer.breaker().state(), State::Open);
    advance(SECOND).await;
    let error = service.ready().await.unwrap().call(2).await.unwrap_err();
    let Error::Rejected(rejection) = error else {
        panic!("it should be refused");
    };
    assert_eq!(rejection.retry_after(), Some(9 * SECOND));
    assert_eq!(rejection.limit().unwrap().policy, layer.breaker().id());
    assert!(poll!(Box::pin(handle.next_request())).is_pending());
    advance(9 * SECOND).await;
    let response = service.ready().await.unwrap().call(3);
    handle.next_request().await.unwrap().1.send_response(30);
    assert_eq!(response.await.unwrap(), 30);
    assert_eq!(layer.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn by_default_errors_are_failures_and_refusals_from_further_in_are_not() {
    let inner = at(1).classify(by_status);
    let outer = at(2);
    let service = outer.layer(inner.layer(upstream()));
    send(&service, FAILS).await.unwrap();
    for _ in 0..5 {
        let error = send(&service, OK).await.unwrap_err();
        assert!(matches!(error, Error::Inner(Error::Rejected(_))));
    }
    assert_eq!(outer.breaker().state(), State::Closed);
    assert_eq!(outer.breaker().metrics().consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_no_success_either_and_gives_a_probe_its_place_back() {
    let layer = at(1).classify(by_status);
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    for _ in 0..3 {
        send(&service, answers(418)).await.unwrap();
        assert_eq!(layer.breaker().state(), State::HalfOpen);
    }
    send(&service, OK).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_trip_and_a_slow_probe_reopens() {
    let settings = Settings::slow_call_rate(0.5, SECOND)
        .minimum_calls(2)
        .open_for(10 * SECOND)
        .probes(2)
        .close_after(2);
    let layer = CircuitBreakerLayer::new(settings).unwrap();
    let service = layer.layer(upstream());
    send(&service, OK.taking(SECOND)).await.unwrap();
    send(&service, OK.taking(SECOND)).await.unwrap();
    assert_eq!(layer.breaker().metrics().slow, 0);
    let slow = OK.taking(SECOND + SECOND / 1_000);
    send(&service, slow).await.unwrap();
    send(&service, slow).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Open);
    advance(10 * SECOND).await;
    send(&service, OK).await.unwrap();
    assert_eq!(layer.breaker().state(), State::HalfOpen);
    send(&service, slow).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn probes_are_bounded_and_a_refusal_at_the_bound_knows_no_time() {
    let layer = at(1).probes(2).close_after(3).classify(by_status);
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    let mut first = Box::pin(send(&service, OK.taking(SECOND)));
    let mut second = Box::pin(send(&service, OK.taking(SECOND)));
    assert!(poll!(first.as_mut()).is_pending());
    assert!(poll!(second.as_mut()).is_pending());
    assert_eq!(refused(send(&service, OK).await).when(), When::Unknown);
    assert_eq!(layer.breaker().metrics().probes_out, 2);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(layer.breaker().state(), State::HalfOpen);
    send(&service, OK).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_forgets_slice_by_slice() {
    let settings = Settings::failure_rate(0.5)
        .window(10 * SECOND)
        .minimum_calls(4);
    let layer = CircuitBreakerLayer::new(settings)
        .unwrap()
        .classify(by_status);
    let service = layer.layer(upstream());
    for _ in 0..3 {
        send(&service, FAILS).await.unwrap();
    }
    advance(10 * SECOND).await;
    send(&service, FAILS).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    assert_eq!(layer.breaker().metrics().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn exempt_calls_go_through_and_are_not_recorded() {
    let layer = at(1)
        .unless(|call: &crate::support::Call| call.host == Some("health"))
        .classify(by_status);
    let service = layer.layer(upstream());
    send(&service, FAILS.to("health")).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    send(&service, FAILS).await.unwrap();
    refused(send(&service, OK).await);
    assert_eq!(send(&service, OK.to("health")).await.unwrap(), 200);
}
