//! Bodies that end in time or are cut off.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{End, Rejection};
use buttress_http::GRPC_STATUS;
use buttress_timeout::TimeoutLayer;
use futures_util::poll;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{MILLISECOND, SECOND, SETTLED, TIMED_OUT, data, streaming};

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_in_time_is_let_through() {
    let layer = TimeoutLayer::new(SECOND).to_body_end(5 * SECOND);
    let (below, frames, ends) = streaming(SECOND / 2);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    assert!(poll!(body.frame()).is_pending());
    frames.send(data("hello")).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    tokio::time::advance(4 * SECOND).await;
    assert!(poll!(body.frame()).is_pending());
    drop(frames);
    assert!(body.frame().await.is_none());
    assert_eq!(ends.take(), [SETTLED]);
    tokio::time::advance(5 * SECOND).await;
    drop(body);
    assert_eq!(ends.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_cut_off_at_the_instant_and_timed_out_below() {
    let layer = TimeoutLayer::new(SECOND).to_body_end(5 * SECOND);
    let (below, frames, ends) = streaming(SECOND / 2);
    let service = layer.layer(below);
    let start = now();
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(start.elapsed(), SECOND / 2);
    let mut body = Box::pin(response.into_body());
    frames.send(data("hello")).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(ends.take(), []);
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed(), 5 * SECOND, "counted from the call");
    assert_eq!(Rejection::find(&*error), Some(&Rejection::timed_out()));
    assert_eq!(
        ends.take(),
        [TIMED_OUT],
        "and at once, not when the body is dropped"
    );
    assert!(frames.is_closed());
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_cancelled_by_who_leaves_before_its_time_and_timed_out_afterwards() {
    for (after, expected) in [
        (SECOND - MILLISECOND, End::Cancelled(None)),
        (SECOND, TIMED_OUT),
    ] {
        let layer = TimeoutLayer::default().to_body_end(SECOND);
        let (below, _frames, ends) = streaming(Duration::ZERO);
        let service = layer.layer(below);
        let start = now();
        let response = service.oneshot(Request::new(())).await.unwrap();
        let mut body = Box::pin(response.into_body());
        assert!(poll!(body.frame()).is_pending());
        tokio::time::advance(after - start.elapsed()).await;
        drop(body);
        assert_eq!(ends.take(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_is_handed_on_however_late_it_is_asked_for() {
    let layer = TimeoutLayer::default().to_body_end(SECOND);
    let (below, frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    for text in ["a", "b"] {
        frames.send(data(text)).unwrap();
    }
    drop(frames);
    tokio::time::advance(60 * SECOND).await;
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().unwrap().is_data());
    }
    assert!(
        body.frame().await.is_none(),
        "the reader was slow, not the upstream"
    );
    assert_eq!(ends.take(), [SETTLED]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_body_only_if_bodies_are_watched() {
    let layer = TimeoutLayer::default().deadline(SECOND).through_body();
    let (below, _frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(Rejection::find(&*error), Some(&Rejection::past_deadline()));
    assert_eq!(ends.take(), [TIMED_OUT]);

    let service = TimeoutLayer::default()
        .deadline(SECOND)
        .layer(service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(5)))
        }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(*response.body(), 5, "the response keeps its type");
}

#[tokio::test(start_paused = true)]
async fn in_grpc_a_body_that_is_cut_off_ends_with_trailers() {
    let layer = TimeoutLayer::default().to_body_end(SECOND).respond_grpc();
    let (below, frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    frames.send(data("message")).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers[GRPC_STATUS], "4");
    assert_eq!(trailers.len(), 2, "a status and a message: {trailers:?}");
    assert!(body.frame().await.is_none());
    assert_eq!(ends.take(), [TIMED_OUT]);
}
