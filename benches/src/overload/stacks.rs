//! The service, and what stands in front of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::routing::get;
use axum::{BoxError, Router};
use buttress_core::time::{later, now};
use buttress_priority_queue::{Priority, PriorityField, PriorityQueueLayer, Trust};
use http::StatusCode;
use http::header::HeaderName;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_resilience_adaptive::{AdaptiveLimiterLayer, Aimd};
use tower_resilience_bulkhead::{BulkheadLayer, BulkheadServiceError};

/// How many requests the service works on at a time.
pub(crate) const WORKERS: usize = 12;
/// How long each takes.
pub(crate) const SERVICE: Duration = Duration::from_millis(50);
/// How many requests wait.
const WAITING: usize = 100;

/// The field that says how urgent a request is.
pub(crate) const PRIORITY: HeaderName = HeaderName::from_static("x-priority");

/// Makes an app.
type Make = fn() -> Router;

/// What is measured, and how it is made.
pub(crate) const ALL: [(&str, Make); 4] = [
    ("PriorityQueueLayer", priority_queue),
    ("tower: LoadShed, Buffer, ConcurrencyLimit", tower),
    ("tower-resilience: bulkhead", bulkhead),
    ("tower-resilience: adaptive, under LoadShed", adaptive),
];

/// The service alone. Who comes while all workers are busy waits there, however long that is.
pub(crate) fn service() -> Router {
    let workers = Arc::new(Semaphore::new(WORKERS));
    let work = async move || {
        let worker = workers.acquire().await;
        tokio::time::sleep_until(later(now(), SERVICE)).await;
        drop(worker);
        "done"
    };
    Router::new().route("/", get(work))
}

/// Each priority has a quarter of the queue, and rises every second.
fn priority_queue() -> Router {
    let layer = Priority::ALL.iter().fold(
        PriorityQueueLayer::new(12).capacity(WAITING),
        |layer, priority| layer.capacity_of(*priority, WAITING / Priority::ALL.len()),
    );
    let layer = layer
        .ageing(Duration::from_secs(1))
        .by(PriorityField::new(PRIORITY, Trust::everybody()));
    service().route_layer(layer.respond_http())
}

async fn refuse(_: BoxError) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

fn tower() -> Router {
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refuse))
        .load_shed()
        .buffer(WAITING)
        .concurrency_limit(WORKERS);
    service().route_layer(stack)
}

/// It waits as long as a hundred take to be served.
fn bulkhead() -> Router {
    let rounds = u32::try_from(WAITING.div_ceil(WORKERS)).unwrap_or(u32::MAX);
    let layer = BulkheadLayer::builder()
        .max_concurrent_calls(WORKERS)
        .max_wait_duration(SERVICE * rounds)
        .build()
        .expect("settings of its documentation");
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(
            async |_: BulkheadServiceError<Infallible>| StatusCode::SERVICE_UNAVAILABLE,
        ))
        .layer(layer);
    service().route_layer(stack)
}

/// Without LoadShed it would wait without bound.
fn adaptive() -> Router {
    let algorithm = Aimd::builder()
        .initial_limit(WORKERS)
        .max_limit(10 * WORKERS)
        .latency_threshold(2 * SERVICE)
        .build()
        .expect("settings of its documentation");
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refuse))
        .load_shed()
        .layer(AdaptiveLimiterLayer::new(algorithm));
    service().route_layer(stack)
}
