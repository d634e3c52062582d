//! Timeouts and deadlines over HTTP.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::get as on_get;
use buttress::TimeoutLayer;
use buttress::core::time::now;
use buttress::core::{Classify, Outcome};
use buttress::http::{ByStatus, CallDeadline, TimeoutField};
use futures_util::StreamExt;
use http::HeaderName;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{client, get, get_with, listen, serve};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);
const FIELD: HeaderName = HeaderName::from_static("x-timeout-ms");

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_hangs_is_answered_with_504() {
    let (told, mut dropped) = mpsc::unbounded_channel();
    let hangs = async move || {
        let _told = ToldWhenDropped(told.clone());
        std::future::pending::<&'static str>().await
    };
    let app = Router::new()
        .route("/hangs", on_get(hangs))
        .route("/works", on_get(async || "works"))
        .layer(TimeoutLayer::new(SHORT).respond_http());
    let address = serve(app).await;
    let answer = get(address, "/hangs").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.field("content-type"), "application/problem+json");
    assert_eq!(answer.lines("retry-after").len(), 0);
    assert_eq!(answer.json()["status"], 504);
    assert_eq!(get(address, "/works").await.body, "works");
    assert_eq!(
        dropped.recv().await,
        Some(()),
        "nobody works on it any more"
    );
}

/// Lives as long as what holds it.
struct ToldWhenDropped(mpsc::UnboundedSender<()>);

impl Drop for ToldWhenDropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A body that sends one chunk and then nothing for ever.
fn endless(told: mpsc::UnboundedSender<()>) -> Body {
    let held = ToldWhenDropped(told);
    let first = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"first"))]);
    let rest = futures_util::stream::poll_fn(move |_| {
        let _ = &held;
        std::task::Poll::Pending
    });
    Body::from_stream(first.chain(rest))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_hangs_is_cut_off_after_what_was_sent_of_it() {
    let (told, mut dropped) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/", on_get(async move || endless(told.clone())))
        .layer(TimeoutLayer::new(LONG).to_body_end(SHORT).respond_http());
    let address = serve(app).await;
    let mut response = client()
        .get(format!("http://{address}/"))
        .send()
        .await
        .expect("a head");
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.expect("what was sent");
    assert_eq!(first.as_deref(), Some(&b"first"[..]));
    assert!(response.chunk().await.is_err(), "the connection breaks off");
    assert_eq!(dropped.recv().await, Some(()), "nobody waits for the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_client_a_server_that_never_answers_is_timed_out_and_its_connection_closed() {
    let (listener, address) = listen().await;
    let closed = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut all = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all).await
    });
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(SHORT).respond_http_any_body())
        .service(Client::builder(TokioExecutor::new()).build_http::<Body>());
    let request = Request::get(format!("http://{address}/"));
    let request = request.body(Body::empty()).expect("a request");
    let answer = service.oneshot(request).await;
    assert_eq!(
        answer.as_ref().map(|answer| answer.status().as_u16()).ok(),
        Some(504)
    );
    assert_eq!(
        ByStatus::default().classify(answer.as_ref()),
        Outcome::TimedOut
    );
    let read = closed.await.expect("the server runs to its end");
    assert!(read.is_ok_and(|bytes| bytes > 0), "the client closed");
}

/// Tells how many milliseconds are left.
async fn left(request: Request) -> String {
    match CallDeadline::of(&request) {
        Some(deadline) => (deadline - now()).as_millis().to_string(),
        None => "for ever".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_goes_from_a_client_through_a_server_that_trusts_it() {
    let trusting = TimeoutLayer::default()
        .pass_on()
        .trust(TimeoutField::millis(FIELD));
    let app = Router::new()
        .route("/trusts", on_get(left).layer(trusting.respond_http()))
        .route(
            "/doubts",
            on_get(left).layer(TimeoutLayer::default().pass_on().respond_http()),
        );
    let address = serve(app).await;
    let client = TimeoutLayer::default()
        .deadline(LONG)
        .pass_on()
        .send(TimeoutField::millis(FIELD))
        .layer(Client::builder(TokioExecutor::new()).build_http::<Body>());
    for (path, known) in [("trusts", true), ("doubts", false)] {
        let request = Request::get(format!("http://{address}/{path}"));
        let request = request.body(Body::empty()).expect("a request");
        let response = client.clone().oneshot(request).await.expect("a response");
        let body = Body::new(response.into_body());
        let text = axum::body::to_bytes(body, 100).await.expect("a text");
        let text = String::from_utf8_lossy(&text).into_owned();
        match known {
            true => assert!((1..=60_000).contains(&text.parse::<u32>().expect("a number"))),
            false => assert_eq!(text, "for ever"),
        }
    }
    let late = get_with(address, "/trusts", FIELD.as_str(), "0").await;
    assert_eq!(late.status, 504);
    assert_eq!(
        late.json()["detail"],
        "The answer would have come too late to be of use."
    );
}
