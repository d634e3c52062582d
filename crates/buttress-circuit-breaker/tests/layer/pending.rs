//! Not being ready while open.

use std::sync::Arc;
use std::task::{Wake, Waker};

use buttress_circuit_breaker::{CircuitBreakerLayer, CircuitDemand, Settings, State};
use buttress_core::{End, KeyHash, Now, Outcome, Policy};
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::support::{FAILS, OK, SECOND, at, by_status, send, upstream};

#[tokio::test(start_paused = true)]
async fn it_is_pending_while_open_and_ready_when_it_may_probe() {
    let layer = at(1).classify(by_status).pending_while_open();
    let breaker = layer.breaker().clone();
    let mut service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    let mut other = service.clone();
    {
        let mut ready = Box::pin(service.ready());
        assert!(poll!(ready.as_mut()).is_pending());
        advance(9 * SECOND).await;
        assert!(poll!(ready.as_mut()).is_pending());
        ready.await.unwrap();
    }
    // Ready, and nothing is taken yet: another is ready too, and one of them gets the probe.
    other.ready().await.unwrap();
    let probe = service.call(OK.taking(SECOND));
    {
        let mut ready = Box::pin(service.ready());
        assert!(poll!(ready.as_mut()).is_pending());
        let (ready, answer) = tokio::join!(ready, probe);
        assert_eq!(answer.unwrap(), 200);
        ready.unwrap();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_wakes_it() {
    let layer = at(1).pending_while_open().clone();
    let breaker = layer.breaker().clone();
    let mut service = layer.layer(upstream());
    breaker.force_open();
    let waits = tokio::spawn(async move { service.ready().await.is_ok() });
    advance(1_000 * SECOND).await;
    assert!(!waits.is_finished());
    breaker.reset();
    assert!(waits.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_learns_of_a_slow_probe_when_its_head_comes() {
    let settings = Settings::consecutive_failures(1)
        .slow_call(SECOND)
        .open_for(10 * SECOND);
    let layer = CircuitBreakerLayer::new(settings).unwrap();
    let layer = layer.classify(by_status).pending_while_open();
    let breaker = layer.breaker().clone();
    let mut service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    let key = KeyHash::EVERYONE;
    let mut probe = breaker
        .try_admit(&CircuitDemand { key }, &Now::new())
        .unwrap();
    let waits = tokio::spawn(async move { service.ready().await.is_ok() });
    advance(2 * SECOND).await;
    probe.head(Outcome::Success, &Now::new());
    assert_eq!(breaker.state(), State::Open);
    // The body of the probe goes on for ever.
    advance(10 * SECOND).await;
    assert!(waits.await.unwrap());
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_further_in_gives_its_place_back_however_late() {
    let layer = at(1).slow_call(SECOND).classify(by_status);
    let breaker = layer.breaker().clone();
    send(&layer.layer(upstream()), FAILS).await.unwrap();
    advance(10 * SECOND).await;
    let key = KeyHash::EVERYONE;
    let mut probe = breaker
        .try_admit(&CircuitDemand { key }, &Now::new())
        .unwrap();
    advance(2 * SECOND).await;
    probe.head(Outcome::Refused, &Now::new());
    assert_eq!(breaker.state(), State::HalfOpen);
    probe.end(End::Settled(Outcome::Refused, None), &Now::new());
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.metrics().probes_out, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_is_woken_by_a_probe_that_is_dropped() {
    let layer = at(1).classify(by_status).pending_while_open();
    let mut service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    let probe = service.call(OK.taking(SECOND));
    let waits = tokio::spawn(async move { service.ready().await.is_ok() });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    drop(probe);
    assert!(waits.await.unwrap());
}

struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

/// Bounded memory: those who asked and went away are not kept.
#[tokio::test(start_paused = true)]
async fn who_goes_away_while_it_waits_is_forgotten() {
    let layer = at(1).pending_while_open();
    layer.breaker().force_open();
    let woken = Arc::new(Quiet);
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = std::task::Context::from_waker(&waker);
    for _ in 0..100 {
        let mut service = layer.layer(upstream());
        assert!(service.poll_ready(&mut cx).is_pending());
        assert!(service.poll_ready(&mut cx).is_pending());
        assert_eq!(Arc::strong_count(&woken), 3);
    }
    assert_eq!(Arc::strong_count(&woken), 2);
}
