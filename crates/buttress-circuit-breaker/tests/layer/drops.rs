//! What happens when a caller goes away, at every point where it can.

use std::time::Duration;

use buttress_circuit_breaker::State;
use buttress_core::as_timed_out;
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::support::{FAILS, OK, SECOND, at, by_status, refused, send, upstream};

/// Trap 8 and 9.
#[tokio::test(start_paused = true)]
async fn trap_8_a_cancelled_probe_gives_its_place_back_wherever_it_is_dropped() {
    let layer = at(1).classify(by_status);
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    // Before it is polled, and after every poll.
    for polls in 0..3 {
        let mut probe = Box::pin(service.clone().call(OK.taking(3 * SECOND)));
        for _ in 0..polls {
            assert!(poll!(probe.as_mut()).is_pending());
            advance(SECOND).await;
        }
        refused(send(&service, OK).await);
        drop(probe);
        assert_eq!(layer.breaker().metrics().probes_out, 0);
        assert_eq!(layer.breaker().state(), State::HalfOpen);
    }
    send(&service, OK).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn trap_9_a_quick_hang_up_is_neutral_and_one_after_a_slow_call_a_failure() {
    let layer = at(1).slow_call(SECOND).classify(by_status);
    let service = layer.layer(upstream());
    for (wait, state) in [
        (Duration::ZERO, State::Closed),
        (SECOND, State::Closed),
        (SECOND + Duration::from_nanos(1), State::Open),
    ] {
        let mut call = Box::pin(service.clone().call(OK.taking(60 * SECOND)));
        assert!(poll!(call.as_mut()).is_pending());
        advance(wait).await;
        drop(call);
        assert_eq!(layer.breaker().state(), state, "after {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_that_is_cancelled_reopens() {
    let layer = at(1).slow_call(SECOND).classify(by_status);
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    let mut probe = Box::pin(service.clone().call(OK.taking(60 * SECOND)));
    assert!(poll!(probe.as_mut()).is_pending());
    advance(2 * SECOND).await;
    drop(probe);
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn what_a_timeout_cuts_off_is_a_failure() {
    let layer = at(1).classify(by_status);
    let service = layer.layer(upstream());
    let mut call = Box::pin(service.clone().call(OK.taking(60 * SECOND)));
    assert!(poll!(call.as_mut()).is_pending());
    as_timed_out(|| drop(call));
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_ready_service_that_is_never_called_takes_no_probe() {
    let layer = at(1).classify(by_status);
    let mut service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    service.ready().await.unwrap();
    let idle = service.clone();
    assert_eq!(send(&service, OK).await.unwrap(), 200);
    drop(idle);
}

#[tokio::test(start_paused = true)]
async fn a_refused_future_can_be_dropped_unpolled() {
    let layer = at(1).classify(by_status);
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    drop(service.clone().call(OK));
    assert_eq!(layer.breaker().snapshot().refused, 1);
    assert_eq!(layer.breaker().state(), State::Open);
}
