//! A request dropped at every point where it waits leaves nothing behind.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::{AtHead, ByBoxError};
use buttress_priority_queue::{NoGate, PriorityQueue, PriorityQueueLayer, QueueAsk, QueueStatus};
use tower::{Layer, Service};
use tower_test::mock;

type Mock = mock::Mock<&'static str, &'static str>;

type Handle = mock::Handle<&'static str, &'static str>;
type OverBoxedErrors = PriorityQueueLayer<QueueAsk, NoGate, PriorityQueue, AtHead<ByBoxError>>;

fn stack(limit: u32) -> (OverBoxedErrors, Mock, Handle) {
    let (upstream, handle) = mock::pair();
    let layer = PriorityQueueLayer::new(limit)
        .max_wait(Duration::from_secs(60))
        .classify(ByBoxError);
    (layer, upstream, handle)
}

fn counts(status: &QueueStatus) -> (u32, usize) {
    (status.in_flight, status.waiting())
}

fn ready<S: Service<&'static str>>(service: &mut S) {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))));
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

type Sent = mock::SendResponse<&'static str>;

/// What the upstream was sent.
fn sent(handle: &mut Handle) -> Sent {
    match poll(&mut Box::pin(handle.next_request())) {
        Poll::Ready(Some((_, answer))) => answer,
        _ => panic!("nothing was sent"),
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_waits_for_a_place() {
    let (layer, upstream, mut handle) = stack(1);
    handle.allow(10);
    let mut service = layer.layer(upstream);
    ready(&mut service);
    let mut first = Box::pin(service.call("first"));
    assert!(poll(&mut first).is_pending());
    ready(&mut service);
    let mut second = Box::pin(service.call("second"));
    assert!(poll(&mut second).is_pending());
    assert_eq!(counts(&layer.queue().status()), (1, 1));
    drop(second);
    assert_eq!(counts(&layer.queue().status()), (1, 0));
    drop(first);
    assert_eq!(counts(&layer.queue().status()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn before_it_was_polled_at_all() {
    let (layer, upstream, mut handle) = stack(1);
    handle.allow(10);
    let mut service = layer.layer(upstream);
    ready(&mut service);
    let first = service.call("first");
    ready(&mut service);
    let second = service.call("second");
    assert_eq!(counts(&layer.queue().status()), (1, 1));
    drop(first);
    assert_eq!(
        counts(&layer.queue().status()),
        (1, 0),
        "the second has the place"
    );
    drop(second);
    assert_eq!(counts(&layer.queue().status()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn while_it_has_a_place_and_waits_for_the_inner_service() {
    let (layer, upstream, mut handle) = stack(1);
    handle.allow(2);
    let mut service = layer.layer(upstream);
    ready(&mut service);
    let mut first = Box::pin(service.call("first"));
    assert!(poll(&mut first).is_pending());
    ready(&mut service);
    let mut second = Box::pin(service.call("second"));
    assert!(poll(&mut second).is_pending());
    handle.allow(0);
    sent(&mut handle).send_response("done");
    assert!(poll(&mut first).is_ready());
    assert!(poll(&mut second).is_pending());
    assert_eq!(counts(&layer.queue().status()), (1, 0));
    drop(second);
    assert_eq!(counts(&layer.queue().status()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn while_its_call_runs() {
    let (layer, upstream, mut handle) = stack(1);
    handle.allow(10);
    let mut service = layer.layer(upstream);
    ready(&mut service);
    let mut call = Box::pin(service.call("call"));
    assert!(poll(&mut call).is_pending());
    let _answer = sent(&mut handle);
    drop(call);
    assert_eq!(counts(&layer.queue().status()), (0, 0));
}
