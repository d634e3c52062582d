//! What a refusal looks like, and what counts as a failure.

use std::convert::Infallible;
use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreakerLayer, State};
use buttress_core::Rejection;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = Full<Bytes>;
type Streamed = UnsyncBoxBody<Bytes, &'static str>;

async fn by_path(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let status: u16 = request.uri().path()[1..].parse().unwrap();
    let mut response = Response::new(Full::from("body"));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

fn to(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn at(failures: u32) -> CircuitBreakerLayer {
    CircuitBreakerLayer::consecutive_failures(failures).open_for(Duration::from_secs(10))
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_503_that_says_when_to_come_back() {
    let layer = at(1).respond_http();
    let service = layer.layer(service_fn(by_path));
    let send = |path| service.clone().oneshot(to(path));
    drop(send("/500").await.unwrap());
    advance(Duration::from_millis(8_500)).await;
    let response = send("/200").await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(response.extensions().get::<Rejection>().is_some());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("failed too often"));
}

#[tokio::test(start_paused = true)]
async fn a_5xx_counts_a_4xx_does_not_and_a_429_counts_for_the_rate() {
    let layer = at(2).or_failure_rate(0.7).minimum_calls(4).respond_http();
    let breaker = layer.breaker().clone();
    let service = layer.layer(service_fn(by_path));
    let send = async |path| {
        let response = service.clone().oneshot(to(path)).await.unwrap();
        response.into_body().collect().await.unwrap();
    };
    for path in ["/404", "/500", "/429"] {
        send(path).await;
    }
    let metrics = breaker.metrics();
    assert_eq!((metrics.failed, metrics.consecutive_failures), (2, 1));
    send("/503").await;
    assert_eq!(breaker.state(), State::Open);
}

/// Core's ninth lesson: a retry drops the 503 unread, and that is no cancellation.
#[tokio::test(start_paused = true)]
async fn a_failed_head_counts_though_its_body_is_dropped_unread() {
    let layer = at(2).respond_http();
    let service = layer.layer(service_fn(by_path));
    for _ in 0..2 {
        drop(service.clone().oneshot(to("/503")).await.unwrap());
    }
    assert_eq!(layer.breaker().state(), State::Open);
}

fn streamed(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> Response<Streamed> {
    Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_a_failure_when_it_breaks() {
    let broken = service_fn(|_: Request<()>| async {
        let frames = vec![Ok(Frame::data(Bytes::from("half"))), Err("reset")];
        Ok::<_, Infallible>(streamed(frames))
    });
    let layer = at(1).respond_http_any_body();
    let mut service = layer.layer(broken);
    let mut response = service.ready().await.unwrap().call(to("/")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    response.body_mut().frame().await.unwrap().unwrap_err();
    assert_eq!(layer.breaker().state(), State::Open);
    let refused = service.ready().await.unwrap().call(to("/")).await.unwrap();
    assert_eq!(refused.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn until_the_head_bodies_are_left_alone() {
    let layer = at(1).respond_http().until_head();
    let service = layer.layer(service_fn(by_path));
    let response: Response<Body> = service.oneshot(to("/200")).await.unwrap();
    drop(response);
    assert_eq!(layer.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_in_the_trailers_counts() {
    let serve = service_fn(|request: Request<()>| async move {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", request.uri().path()[1..].parse().unwrap());
        let frames = vec![
            Ok(Frame::data(Bytes::from("message"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(stream::iter(frames));
        Ok::<_, Infallible>(Response::new(Wrapped(body.boxed_unsync())))
    });
    let layer = at(2).respond_grpc();
    let service = layer.layer(serve);
    for status in ["/5", "/14", "/13"] {
        let response = service.clone().oneshot(to(status)).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(layer.breaker().state(), State::Open);
    let refused = service.clone().oneshot(to("/0")).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "14");
    assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "10000");
}

/// A body that has an empty form, as tonic's has.
struct Wrapped(Streamed);

impl Default for Wrapped {
    fn default() -> Self {
        let frames: Vec<Result<Frame<Bytes>, &'static str>> = Vec::new();
        Self(StreamBody::new(stream::iter(frames)).boxed_unsync())
    }
}

impl http_body::Body for Wrapped {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }
}
