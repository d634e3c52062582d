//! What a real server says about when to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use buttress::core::time::now;
use buttress::{Quota, RateLimitLayer, RetryLayer};
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Layer, ServiceExt};

use crate::support::serve_without_addresses;

const SECOND: Duration = Duration::from_secs(1);

fn request(address: std::net::SocketAddr) -> Request<Body> {
    let request = Request::get(format!("http://{address}/")).body(Body::empty());
    request.expect("a request")
}

/// The limit of this workspace refuses with `Retry-After`, and the client of this workspace obeys.
#[tokio::test(flavor = "multi_thread")]
async fn the_wait_that_a_limit_asks_for_is_waited() {
    let limit = RateLimitLayer::new(Quota::per_second(1)).respond_http();
    let limiter = limit.limiter().clone();
    let app = Router::new()
        .route("/", get(async || "yes"))
        .route_layer(limit);
    let address = serve_without_addresses(app).await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let pauses = Duration::from_millis(1)..=Duration::from_millis(1);
    let service = RetryLayer::exponential(pauses).http().layer(client);
    let start = now();
    for _ in 0..2 {
        let response = service.clone().oneshot(request(address)).await;
        assert_eq!(response.expect("a response").status(), 200);
    }
    assert!(
        start.elapsed() >= SECOND,
        "a millisecond would have been too early"
    );
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.admitted, snapshot.refused), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_read_against_the_servers_own_and_a_long_wait_is_the_end() {
    for (after, calls) in [
        ("Sun, 01 Mar 2026 12:00:00 GMT", 2),
        ("Sun, 01 Mar 2026 13:00:00 GMT", 1),
        ("3600", 1),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let handler = move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let response = Response::builder()
                .status(if number == 0 { 503 } else { 200 })
                .header("date", "Sun, 01 Mar 2026 12:00:00 GMT")
                .header("retry-after", after);
            std::future::ready(response.body(Body::empty()).expect("a response"))
        };
        let address = serve_without_addresses(Router::new().route("/", get(handler))).await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let service = RetryLayer::exponential(SECOND..=SECOND)
            .http()
            .layer(client);
        let start = now();
        let response = service.oneshot(request(address)).await.expect("a response");
        assert_eq!(
            response.status().as_u16(),
            if calls == 2 { 200 } else { 503 }
        );
        assert_eq!(count.load(Ordering::SeqCst), calls, "{after}");
        assert!(
            start.elapsed() < SECOND,
            "neither waits for its own backoff"
        );
    }
}
