//! Stacks of tower's layers in an axum router.

use std::time::Duration;

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::routing::get;
use axum::{BoxError, Router};
use buttress::{Quota, RateLimitLayer, Rejection};
use http::{Request, StatusCode};
use tower::util::option_layer;
use tower::{ServiceBuilder, ServiceExt};

async fn ask(app: &Router) -> StatusCode {
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let response = app.clone().oneshot(request).await;
    response.expect("axum never fails").status()
}

async fn handle(error: BoxError) -> StatusCode {
    match Rejection::find(&*error) {
        Some(_) => StatusCode::TOO_MANY_REQUESTS,
        None if error.is::<tower::timeout::error::Elapsed>() => StatusCode::GATEWAY_TIMEOUT,
        None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn app() -> Router {
    Router::new().route("/", get(async || "yes"))
}

#[tokio::test(start_paused = true)]
async fn boxed_errors_under_a_buffer_reach_the_error_handler() {
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(handle))
        .buffer(16)
        .timeout(Duration::from_secs(10))
        .layer(RateLimitLayer::new(Quota::per_minute(2)).as_box_error());
    let app = app().layer(stack);
    for status in [200, 200, 429, 429] {
        assert_eq!(ask(&app).await, status);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ask(&app).await, 200);
}

#[tokio::test(start_paused = true)]
async fn responses_need_no_error_handler_even_among_layers_that_fail() {
    let stack = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_minute(3)).respond_http())
        .layer(HandleErrorLayer::new(handle))
        .load_shed()
        .timeout(Duration::from_secs(10))
        .concurrency_limit(5)
        .layer(RateLimitLayer::new(Quota::per_minute(2)).respond_http());
    let app = app().layer(stack);
    for status in [200, 200, 429, 429] {
        assert_eq!(ask(&app).await, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_switched_on_by_configuration() {
    for on in [true, false] {
        let limit = on.then(|| RateLimitLayer::new(Quota::per_minute(1)).respond_http());
        let app = app().layer(option_layer(limit));
        assert_eq!(ask(&app).await, 200);
        assert_eq!(ask(&app).await, if on { 429 } else { 200 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_limit_answers_late_or_with_a_response() {
    let limit = RateLimitLayer::new(Quota::per_second(1)).wait(Duration::from_secs(2));
    let app = app().layer(limit.respond_http());
    let begin = buttress::core::time::now();
    let answers = futures_util::future::join_all((0..5).map(|_| ask(&app))).await;
    assert_eq!(answers, [200, 200, 200, 429, 429]);
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
}
