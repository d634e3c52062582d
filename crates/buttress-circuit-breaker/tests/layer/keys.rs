//! One circuit per key.

use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, Settings, State};
use buttress_core::{Error, Policy, Reason};
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, Service};

use crate::support::{Call, FAILS, OK, SECOND, at, by_status, refused, send, upstream};

fn host(call: &Call) -> Option<&'static str> {
    call.host
}

#[tokio::test(start_paused = true)]
async fn every_key_has_its_own_circuit_and_without_one_the_call_is_told_so() {
    let layer = at(1).by(host).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    send(&service, FAILS.to("a")).await.unwrap();
    let rejection = refused(send(&service, OK.to("a")).await);
    assert_eq!(rejection.limit().unwrap().key, breaker.hash("a"));
    assert_eq!(send(&service, OK.to("b")).await.unwrap(), 200);
    let Err(Error::Rejected(missing)) = send(&service, OK).await else {
        panic!("it should be refused");
    };
    assert_eq!(missing.reason(), Reason::MissingKey);
    assert_eq!(breaker.key("a").state(), State::Open);
    assert_eq!(breaker.key("b").state(), State::Closed);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.keys, snapshot.open), (2, 1));
    breaker.key("a").reset();
    assert_eq!(send(&service, OK.to("a")).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_key_can_be_told_and_all_of_them() {
    let layer = at(1).by(host).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    assert!(breaker.key("a").force_open());
    refused(send(&service, OK.to("a")).await);
    send(&service, OK.to("b")).await.unwrap();
    breaker.force_open();
    for host in ["a", "b", "new"] {
        refused(send(&service, OK.to(host)).await);
    }
    breaker.reset();
    for host in ["a", "b", "new"] {
        send(&service, OK.to(host)).await.unwrap();
    }
}

fn small(keys: usize) -> CircuitBreakerLayer {
    let settings = Settings::consecutive_failures(1).open_for(10 * SECOND);
    let breaker = CircuitBreaker::builder(settings).keys(keys).seed(1).build();
    CircuitBreakerLayer::from(breaker.unwrap())
}

const HOSTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Trap 13: forgetting must not be a way around.
#[tokio::test(start_paused = true)]
async fn trap_13_a_full_table_forgets_closed_circuits_and_never_an_open_one() {
    let layer = small(2).by(host).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    send(&service, FAILS.to("a")).await.unwrap();
    for host in HOSTS {
        let _ = send(&service, OK.to(host)).await;
    }
    assert_eq!(breaker.key("a").state(), State::Open);
    assert_eq!(breaker.snapshot().keys, 2);
    assert_eq!(breaker.snapshot().unwatched, 0);
    // With both places open, others go through unwatched.
    send(&service, FAILS.to("b")).await.unwrap();
    for _ in 0..2 {
        send(&service, FAILS.to("c")).await.unwrap();
    }
    assert_eq!(breaker.snapshot().unwatched, 2);
    for host in ["a", "b"] {
        refused(send(&service, OK.to(host)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn forced_open_it_refuses_keys_for_which_there_is_no_room() {
    let layer = small(1).by(host).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    assert!(breaker.key("a").disable());
    assert!(!breaker.key("b").disable());
    assert_eq!(breaker.snapshot().unwatched, 0);
    breaker.force_open();
    assert!(breaker.key("a").disable());
    for host in HOSTS {
        let answer = send(&service, OK.to(host)).await;
        assert_eq!(answer.is_ok(), host == "a", "{host}");
    }
    assert_eq!(breaker.snapshot().refused, 5);
    assert_eq!(breaker.snapshot().unwatched, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_table_forgets_circuits_in_whatever_state_all_were_told() {
    let layer = small(1).by(host).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    breaker.metrics_only();
    for host in HOSTS {
        send(&service, OK.to(host)).await.unwrap();
    }
    assert_eq!(breaker.snapshot().unwatched, 0);
    assert_eq!(breaker.key("f").metrics().unwrap().calls, 0);
    // One that was told something else stays.
    breaker.reset();
    assert!(breaker.key("a").disable());
    send(&service, OK.to("b")).await.unwrap();
    assert_eq!(breaker.key("a").state(), State::Disabled);
    assert_eq!(breaker.snapshot().unwatched, 1);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_with_a_call_in_flight_is_not_forgotten() {
    let layer = small(1).by(host).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    let mut flying = Box::pin(service.clone().call(FAILS.taking(SECOND).to("a")));
    assert!(poll!(flying.as_mut()).is_pending());
    send(&service, OK.to("b")).await.unwrap();
    flying.await.unwrap();
    assert_eq!(breaker.key("a").state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_key_touches_its_own_limit_only() {
    let breaker = small(8).breaker().clone();
    let demand = |key| buttress_circuit_breaker::CircuitDemand {
        key: breaker.hash(key),
    };
    breaker.key("a").force_open();
    let now = buttress_core::Now::new();
    let limit = breaker
        .would_admit(&demand("a"), &now)
        .unwrap_err()
        .limit()
        .unwrap();
    assert!(breaker.touches(&demand("a"), limit));
    assert!(!breaker.touches(&demand("b"), limit));
    advance(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn looking_at_a_key_that_has_no_circuit_makes_none() {
    let breaker = small(8).breaker().clone();
    let demand = buttress_circuit_breaker::CircuitDemand {
        key: breaker.hash("new"),
    };
    let now = buttress_core::Now::new();
    assert!(breaker.would_admit(&demand, &now).is_ok());
    breaker.force_open();
    assert!(breaker.would_admit(&demand, &now).is_err());
    assert_eq!(breaker.key("new").state(), State::ForcedOpen);
    assert_eq!(breaker.snapshot().keys, 0);
}
