//! Layers that the queue asks before it hands out a place.

use std::time::Duration;

use buttress::core::Gate;
use buttress::core::test_util::{Reply, Scripted, advance, timed};
use buttress::{
    CircuitBreakerLayer, Error, Priority, PriorityQueueLayer, Quota, RateLimitLayer, Reason,
};
use tower::{Layer, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Call {
    priority: Priority,
    key: u32,
}

fn call(priority: Priority) -> Call {
    Call { priority, key: 0 }
}

type Upstream = Scripted<Call, u32, std::io::Error>;

fn slow(latency: Duration) -> Upstream {
    Scripted::new(move |call: Call| Reply::ok(call.key).after(latency))
}

fn reason<E: std::fmt::Debug>(error: Error<E>) -> Reason {
    match error {
        Error::Rejected(rejection) => rejection.reason(),
        Error::Inner(error) => panic!("{error:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn gates_are_one_decision_and_what_a_breaker_refuses_is_refused_at_once() {
    let breaker = CircuitBreakerLayer::consecutive_failures(1).open_for(10 * SECOND);
    let rate = RateLimitLayer::new(Quota::per_second(1)).by(|call: &Call| Some(call.key));
    let handle = (breaker.breaker().clone(), rate.limiter().clone());
    let upstream = slow(Duration::ZERO);
    let layer = PriorityQueueLayer::new(10)
        .by(|call: &Call| call.priority)
        .after((breaker, rate));
    let service = layer.layer(upstream.clone());
    let send = |key| {
        timed(service.clone().oneshot(Call {
            key,
            ..call(Priority::Low)
        }))
    };
    let (a, b, c) = tokio::join!(send(1), send(1), send(2));
    assert_eq!((a.1, b.1, c.1), (Duration::ZERO, SECOND, Duration::ZERO));
    handle.0.force_open();
    let (refused, took) = send(3).await;
    assert_eq!(
        (reason(refused.unwrap_err()), took),
        (Reason::CircuitOpen, Duration::ZERO)
    );
    assert!(handle.1.check(3, 1).is_ok(), "nothing was spent");
    assert_eq!(upstream.calls(), 3);
    assert_eq!(layer.queue().status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn gates_hear_how_calls_went() {
    let breaker = CircuitBreakerLayer::consecutive_failures(2).open_for(10 * SECOND);
    let upstream: Upstream = Scripted::new(|_| Reply::error(std::io::Error::other("down")));
    let service = PriorityQueueLayer::new(1)
        .after(breaker)
        .layer(upstream.clone());
    for _ in 0..2 {
        let failed = service.clone().oneshot(call(Priority::Low)).await;
        assert!(matches!(failed, Err(Error::Inner(_))));
    }
    let refused = service
        .clone()
        .oneshot(call(Priority::Low))
        .await
        .unwrap_err();
    assert_eq!(reason(refused), Reason::CircuitOpen);
    let (probe, took) = timed(async {
        advance(10 * SECOND).await;
        service.clone().oneshot(call(Priority::Low)).await
    })
    .await;
    assert!(matches!(probe, Err(Error::Inner(_))) && took == 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_trips_refuses_who_is_held_back_by_a_quota() {
    let breaker = CircuitBreakerLayer::consecutive_failures(1).open_for(60 * SECOND);
    let rate = RateLimitLayer::new(Quota::per_hour(1)).by(|call: &Call| Some(call.key));
    let upstream: Upstream = Scripted::new(|call: Call| match call.key {
        1 => Reply::ok(1),
        _ => Reply::error(std::io::Error::other("down")).after(SECOND),
    });
    let service = PriorityQueueLayer::new(4)
        .after((breaker, rate))
        .layer(upstream);
    let send = |key| {
        timed(service.clone().oneshot(Call {
            key,
            ..call(Priority::Low)
        }))
    };
    // The first of key 1 goes, the second waits for its quota when key 2 fails a second later.
    let (first, held, failed) = tokio::join!(send(1), send(1), send(2));
    assert!(first.0.is_ok() && failed.0.is_err());
    assert_eq!(reason(held.0.unwrap_err()), Reason::CircuitOpen);
    assert_eq!(held.1, SECOND);
}

#[test]
fn a_layer_is_a_gate() {
    fn gate<T: Gate>(gate: T) -> T::Policy {
        gate.into_parts().1
    }
    let layer = RateLimitLayer::new(Quota::per_second(1)).by(|call: &u32| Some(*call));
    let limiter = gate(layer);
    assert!(limiter.check(1, 1).is_ok());
}
