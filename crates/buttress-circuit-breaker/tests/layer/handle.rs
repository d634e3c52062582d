//! The breaker in somebody's hands.

use std::sync::{Arc, Mutex};

use buttress_circuit_breaker::{Change, CircuitBreakerLayer, KEPT_CHANGES, Settings, State};
use buttress_core::{Event, KeyHash};
use futures_util::poll;
use tokio::time::advance;
use tower::Layer;

use crate::support::{FAILS, OK, SECOND, at, by_status, refused, send, upstream};

#[tokio::test(start_paused = true)]
async fn it_can_be_told_to_be_open_closed_disabled_or_to_count() {
    let layer = at(1).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    breaker.force_open();
    assert_eq!(refused(send(&service, OK).await).retry_after(), None);
    advance(1_000 * SECOND).await;
    refused(send(&service, OK).await);
    breaker.force_closed();
    for _ in 0..3 {
        send(&service, FAILS).await.unwrap();
    }
    assert_eq!(breaker.metrics().consecutive_failures, 3);
    breaker.disable();
    send(&service, FAILS).await.unwrap();
    assert_eq!(breaker.metrics().consecutive_failures, 0);
    breaker.metrics_only();
    for _ in 0..3 {
        send(&service, FAILS).await.unwrap();
    }
    let metrics = breaker.metrics();
    assert_eq!((metrics.would_have_opened, metrics.opened), (3, 0));
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
    send(&service, FAILS).await.unwrap();
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.metrics().retry_after, Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_the_window() {
    let layer = CircuitBreakerLayer::failure_rate(0.9).classify(by_status);
    let service = layer.layer(upstream());
    for call in [OK, FAILS, FAILS, OK] {
        send(&service, call).await.unwrap();
    }
    let metrics = layer.breaker().metrics();
    assert_eq!((metrics.calls, metrics.failed), (4, 2));
    assert_eq!(metrics.failure_rate, Some(0.5));
}

#[tokio::test(start_paused = true)]
async fn changes_are_watched_in_order_and_those_unread_are_counted() {
    let layer = at(1).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    let mut changes = breaker.watch();
    let waits = poll!(Box::pin(changes.next()));
    assert!(waits.is_pending());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    send(&service, OK).await.unwrap();
    let steps = [
        (State::Closed, State::Open),
        (State::Open, State::HalfOpen),
        (State::HalfOpen, State::Closed),
    ];
    for (from, to) in steps {
        let key = KeyHash::EVERYONE;
        assert_eq!(changes.next().await, Some(Change { key, from, to }));
    }
    for _ in 0..KEPT_CHANGES {
        breaker.force_open();
        breaker.reset();
    }
    assert_eq!(changes.next().await.unwrap().to, State::ForcedOpen);
    assert_eq!(changes.missed(), KEPT_CHANGES as u64);
    drop((layer, breaker, service));
    let mut read = 1;
    while changes.next().await.is_some() {
        read += 1;
    }
    assert_eq!(read, KEPT_CHANGES);
}

/// Trap 24: an observer that looks at the breaker would deadlock under its lock.
#[tokio::test(start_paused = true)]
async fn trap_24_observers_are_told_outside_the_lock() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let layer = at(1).classify(by_status);
    let breaker = layer.breaker().clone();
    let told = Arc::clone(&seen);
    let layer = layer.observe(Arc::new(move |event: Event| {
        let state = breaker.state();
        if let Event::StateChanged { from, to, .. } = event {
            told.lock().unwrap().push((from, to, state));
        }
    }));
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    advance(10 * SECOND).await;
    send(&service, OK).await.unwrap();
    let expected = [
        ("closed", "open", State::Open),
        ("open", "half_open", State::HalfOpen),
        ("half_open", "closed", State::Closed),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_works_and_only_to_what_makes_sense() {
    let layer = at(5).classify(by_status);
    let breaker = layer.breaker().clone();
    let service = layer.layer(upstream());
    send(&service, FAILS).await.unwrap();
    let before = breaker.settings();
    assert!(breaker.set(Settings::consecutive_failures(0)).is_err());
    assert_eq!(breaker.settings(), before);
    breaker.set(before.or_consecutive_failures(2)).unwrap();
    send(&service, FAILS).await.unwrap();
    assert_eq!(breaker.state(), State::Open);
}
