//! A concurrency limit without a queue, and the traps of others that it does not fall into. Each test says
//! what tower's own limit does there.

use std::time::Duration;

use buttress_core::test_util::{Reply, Scripted, timed};
use buttress_core::{Error, Reason};
use buttress_priority_queue::{ConcurrencyLimit, ConcurrencyLimitLayer};
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn slow() -> Scripted<u32, u32, std::io::Error> {
    Scripted::new(|call| Reply::ok(call).after(SECOND))
}

fn is_shed<T: std::fmt::Debug>(answer: Result<T, Error<std::io::Error>>) -> bool {
    matches!(answer, Err(Error::Rejected(rejection)) if rejection.reason() == Reason::Overloaded)
}

// tower takes the place when it is ready, so that one idle clone keeps all others out.
#[tokio::test(start_paused = true)]
async fn trap_spending_in_poll_ready_lets_idle_clones_keep_places() {
    let layer = ConcurrencyLimitLayer::new(1);
    let mut idle = vec![layer.layer(slow()); 5];
    for service in &mut idle {
        service.ready().await.unwrap();
    }
    assert_eq!(layer.limit().in_flight(), 0);
    let (answer, took) = timed(layer.layer(slow()).oneshot(1)).await;
    assert!(answer.is_ok() && took == SECOND);
    let mut ready = idle.pop().unwrap();
    let running = ready.call(1);
    assert_eq!(layer.limit().in_flight(), 1, "the call has it");
    drop((ready, idle));
    assert_eq!(layer.limit().in_flight(), 1, "and no service");
    drop(running);
    assert_eq!(layer.limit().in_flight(), 0);
}

// Under tower's LoadShed the limit that was shed stays in line, and swallows the next place that comes free:
// nothing is in flight, and everybody is shed.
#[tokio::test(start_paused = true)]
async fn trap_a_shed_waiter_swallows_the_next_place() {
    let layer = ConcurrencyLimitLayer::new(1);
    let service = layer.layer(slow());
    // This clone is kept after it was shed.
    let mut shed = service.clone();
    let first = service.clone().oneshot(1);
    let second = async { shed.ready().await.unwrap().call(2).await };
    let (running, refused) = tokio::join!(first, second);
    assert!(running.is_ok() && is_shed(refused));
    assert_eq!(layer.limit().in_flight(), 0);
    for _ in 0..3 {
        assert!(service.clone().oneshot(3).await.is_ok());
    }
    assert!(shed.ready().await.unwrap().call(4).await.is_ok());
}

// Whoever has no place holds nothing of what is behind the limit either: of tower's limit below, neither the
// idle clones nor those who were shed keep anything once their calls have ended.
#[tokio::test(start_paused = true)]
async fn trap_a_refusal_keeps_the_readiness_of_the_inner_service() {
    let inner = tower::limit::ConcurrencyLimitLayer::new(1).layer(slow());
    let layer = ConcurrencyLimitLayer::new(1);
    let service = layer.layer(inner.clone());
    let mut shed = service.clone();
    // Nobody who is refused waits for the inner service.
    let held = ConcurrencyLimit::clone(layer.limit());
    let place = buttress_core::Policy::try_admit(&held, &(), &buttress_core::Now::new());
    let refused = shed.ready().await.unwrap().call(1).await;
    assert!(is_shed(refused));
    drop((place, shed));
    let (direct, took) = timed(inner.oneshot(2)).await;
    assert!(direct.is_ok() && took == SECOND);
    assert!(service.oneshot(3).await.is_ok());
}

// tower's limit waits, without bound; sheds only together with LoadShed.
#[tokio::test(start_paused = true)]
async fn trap_a_limit_queues_what_it_should_refuse() {
    let layer = ConcurrencyLimitLayer::new(2);
    let service = layer.layer(slow());
    let calls = (0..5).map(|call| timed(service.clone().oneshot(call)));
    let answers = futures_util::future::join_all(calls).await;
    for (number, (answer, took)) in answers.into_iter().enumerate() {
        match number < 2 {
            true => assert!(answer.is_ok() && took == SECOND),
            false => assert!(is_shed(answer) && took == Duration::ZERO),
        }
    }
}

// A place that is taken in one service is missing in the others.
#[tokio::test(start_paused = true)]
async fn trap_every_service_of_a_layer_has_a_limit_of_its_own() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (one, other) = (layer.layer(slow()), layer.clone().layer(slow()));
    let (first, second) = tokio::join!(one.oneshot(1), other.oneshot(2));
    assert!(first.is_ok() && is_shed(second));
}
