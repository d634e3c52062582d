//! What the layers do, and the traps of others that they do not fall into.

use std::time::Duration;

use buttress_core::test_util::{Reply, Scripted, timed};
use buttress_core::{Error, Reason};
use buttress_priority_queue::{Priority, PriorityQueueLayer};
use tower::{Layer, Service, ServiceExt};

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

const SECOND: Duration = Duration::from_secs(1);

fn reason<E: std::fmt::Debug>(error: Error<E>) -> Reason {
    match error {
        Error::Rejected(rejection) => rejection.reason(),
        Error::Inner(error) => panic!("{error:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_at_once_and_the_urgent_first() {
    let upstream = slow(SECOND);
    let layer = PriorityQueueLayer::new(1).by(|call: &Call| call.priority);
    let service = layer.layer(upstream.clone());
    let send = |priority| timed(service.clone().oneshot(call(priority)));
    let (first, low, urgent) = tokio::join!(
        send(Priority::Medium),
        send(Priority::Low),
        send(Priority::Critical)
    );
    assert_eq!((first.1, urgent.1, low.1), (SECOND, 2 * SECOND, 3 * SECOND));
    assert_eq!(upstream.most_in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn any_ordered_type_is_a_priority() {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Tier {
        Bronze,
        Gold,
    }
    let layer = PriorityQueueLayer::new(1).by_order([Tier::Gold, Tier::Bronze], |call: &Call| {
        match call.key {
            0 => Tier::Bronze,
            _ => Tier::Gold,
        }
    });
    let service = layer.layer(slow(SECOND));
    let send = |key| {
        timed(service.clone().oneshot(Call {
            key,
            ..call(Priority::Low)
        }))
    };
    let (_, bronze, gold) = tokio::join!(send(0), send(0), send(1));
    assert_eq!((gold.1, bronze.1), (2 * SECOND, 3 * SECOND));
    assert_eq!(layer.queue().status().depth.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_exempt_takes_no_place() {
    let layer = PriorityQueueLayer::new(1)
        .capacity(0)
        .unless(|call: &Call| call.key == 9);
    let service = layer.layer(slow(SECOND));
    let send = |key| {
        service.clone().oneshot(Call {
            key,
            ..call(Priority::Low)
        })
    };
    let (first, exempt, refused) = tokio::join!(send(1), send(9), send(2));
    assert!(first.is_ok() && exempt.is_ok());
    assert_eq!(reason(refused.unwrap_err()), Reason::QueueFull);
}

#[tokio::test(start_paused = true)]
async fn trap_waiting_while_holding_the_inner_readiness() {
    // Behind the queue are two places of tower's own limit; whoever waits at the queue holds none of them.
    let inner = tower::limit::ConcurrencyLimitLayer::new(2).layer(slow(SECOND));
    let queue = PriorityQueueLayer::new(1);
    let service = queue.layer(inner.clone());
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut service = service.clone();
        waiting.push(service.ready().await.unwrap().call(call(Priority::Low)));
    }
    let (direct, took) = timed(async {
        let direct = inner.oneshot(call(Priority::Low));
        let others = futures_util::future::join_all(waiting);
        tokio::join!(timed(direct), others).0
    })
    .await;
    assert!(direct.0.is_ok() && direct.1 == SECOND && took == 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn trap_a_clone_is_as_ready_as_what_it_was_cloned_from() {
    // The upstream insists on readiness of the very clone that is called.
    let service = PriorityQueueLayer::new(1).layer(slow(SECOND));
    let mut ready = service.clone();
    ready.ready().await.unwrap();
    let mut copy = ready.clone();
    let first = ready.call(call(Priority::Low));
    let second = copy.ready().await.unwrap().call(call(Priority::Low));
    let third = ready.ready().await.unwrap().call(call(Priority::Low));
    let (first, second, third) = tokio::join!(first, second, third);
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
}

#[tokio::test(start_paused = true)]
async fn trap_an_error_of_readiness_is_final() {
    let queue = PriorityQueueLayer::new(1).capacity(0);
    let service = queue.layer(slow(SECOND));
    let mut running = Box::pin(service.clone().oneshot(call(Priority::Low)));
    assert!(futures_util::poll!(&mut running).is_pending());
    let mut full = service.clone();
    assert!(
        full.ready().await.is_ok(),
        "a full queue is an answer of the call"
    );
    assert!(full.call(call(Priority::Low)).await.is_err());
    assert!(full.ready().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn under_buffer_refusals_are_boxed_and_the_buffer_lives_on() {
    let queue = PriorityQueueLayer::new(1).capacity(0).as_box_error();
    let service = tower::buffer::BufferLayer::new(8).layer(queue.layer(slow(SECOND)));
    let send = || service.clone().oneshot(call(Priority::Low));
    let (first, refused) = tokio::join!(send(), send());
    assert!(first.is_ok());
    let refused = refused.unwrap_err();
    let rejection = buttress_core::Rejection::find(refused.as_ref()).unwrap();
    assert_eq!(rejection.reason(), Reason::QueueFull);
    assert!(send().await.is_ok());
}
