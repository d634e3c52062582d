//! Not being ready while open.

use buttress_circuit_breaker::State;
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
