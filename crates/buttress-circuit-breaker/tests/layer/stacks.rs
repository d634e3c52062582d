//! Clones, layers and tower's own middleware.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use buttress_circuit_breaker::State;
use buttress_core::{BoxError, ByBoxError, Outcome, Rejection};
use tokio::time::advance;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{FAILS, OK, SECOND, at, by_status, refused, send, upstream};

/// Trap 6.
#[tokio::test(start_paused = true)]
async fn trap_6_the_state_is_the_layers_whatever_is_cloned() {
    let layer = at(2).classify(by_status);
    let one = layer.layer(upstream());
    let other = layer.clone().layer(upstream());
    send(&one, FAILS).await.unwrap();
    send(&other, FAILS).await.unwrap();
    refused(send(&one, OK).await);
    refused(send(&other.clone(), OK).await);
    let mut ready = one.clone();
    ready.ready().await.unwrap();
    let mut taken = std::mem::replace(&mut ready, one.clone());
    refused(taken.call(OK).await);
}

#[derive(Clone, Copy, Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

fn is_refusal(error: &BoxError) -> bool {
    Rejection::find(error.as_ref()).is_some()
}

/// Trap 3: readiness never fails, so a buffer above an open breaker lives on.
#[tokio::test(start_paused = true)]
async fn trap_3_under_a_buffer_and_load_shed_it_trips_and_recovers() {
    let fails = Arc::new(AtomicU32::new(2));
    let upstream = {
        let fails = Arc::clone(&fails);
        service_fn(move |_: u32| {
            let left = fails.load(Ordering::Relaxed);
            fails.store(left.saturating_sub(1), Ordering::Relaxed);
            let answer = if left > 0 { Err(Broken) } else { Ok(1) };
            async move { answer }
        })
    };
    let breaker = at(2).as_box_error();
    let service = ServiceBuilder::new()
        .load_shed()
        .buffer(8)
        .layer(breaker.clone())
        .service(upstream);
    let call = || service.clone().oneshot(0);
    for _ in 0..2 {
        assert!(!is_refusal(&call().await.unwrap_err()));
    }
    for _ in 0..3 {
        assert!(is_refusal(&call().await.unwrap_err()));
    }
    advance(10 * SECOND).await;
    assert_eq!(call().await.unwrap(), 1);
    assert_eq!(breaker.breaker().state(), State::Closed);
    assert_eq!(call().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn over_boxed_errors_refusals_from_further_in_are_still_none_of_its_failures() {
    let inner = at(1).as_box_error().classify(by_status_boxed);
    let outer = at(1).as_box_error().classify(ByBoxError);
    let boxed = upstream().map_err(|error| -> BoxError { match error {} });
    let service = outer.layer(inner.layer(boxed));
    send(&service, FAILS).await.unwrap();
    assert!(is_refusal(&send(&service, OK).await.unwrap_err()));
    assert_eq!(outer.breaker().state(), State::Closed);
}

fn by_status_boxed(result: Result<&u16, &BoxError>) -> Outcome {
    match result {
        Ok(500..) | Err(_) => Outcome::Failure,
        Ok(_) => Outcome::Success,
    }
}

/// Trap 18: what a refusal holds of the service below is free at once.
#[tokio::test(start_paused = true)]
async fn trap_18_a_refused_call_keeps_no_place_of_the_service_below() {
    let layer = at(1).classify(by_status);
    let limited = ConcurrencyLimitLayer::new(1).layer(upstream());
    let mut service = layer.layer(limited.clone());
    send(&service, FAILS).await.unwrap();
    let refusal = service.ready().await.unwrap().call(OK);
    assert_eq!(send(&limited, OK).await.unwrap(), 200);
    refused(refusal.await);
}
