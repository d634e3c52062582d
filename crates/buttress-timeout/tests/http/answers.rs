//! What a call that was cut off is answered with.

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::{AdmitLayer, AsError, Path, Reason, Rejection};
use buttress_http::GRPC_STATUS;
use buttress_timeout::TimeoutLayer;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Ends, SECOND, TIMED_OUT};

fn never(_: Request<()>) -> std::future::Pending<Result<Response<Full<bytes::Bytes>>, Infallible>> {
    std::future::pending()
}

#[tokio::test(start_paused = true)]
async fn it_answers_504_in_http_and_deadline_exceeded_in_grpc_and_says_nothing_of_retrying() {
    let http = TimeoutLayer::new(SECOND)
        .respond_http()
        .layer(service_fn(never));
    let answer = http.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers().get(RETRY_AFTER), None);
    assert_eq!(answer.extensions().get(), Some(&Rejection::timed_out()));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["detail"], "The service did not answer in time.");

    let watched = TimeoutLayer::default()
        .deadline(SECOND)
        .through_body()
        .respond_http();
    let watched = watched.layer(service_fn(never));
    let answer = watched.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(
        !answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );

    let any = TimeoutLayer::new(SECOND).respond_http_any_body();
    let any = any.layer(service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<bytes::Bytes>>, Infallible>>()
    }));
    let answer = any.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);

    for layer in [
        TimeoutLayer::new(SECOND).respond_grpc(),
        TimeoutLayer::default().deadline(SECOND).respond_grpc(),
        TimeoutLayer::default()
            .deadline(Duration::ZERO)
            .respond_grpc(),
    ] {
        let answer = layer
            .layer(service_fn(never))
            .oneshot(Request::new(()))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[GRPC_STATUS], "4");
        assert!(!answer.headers().contains_key("grpc-retry-pushback-ms"));
        assert!(answer.extensions().get::<Rejection>().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_above_hears_of_what_was_cut_off() {
    let ends = Ends::default();
    let service = ServiceBuilder::new()
        .layer(AdmitLayer::from_path(Path {
            ask: (),
            admission: ends.clone(),
            settle: buttress_core::AtHead(buttress_http::ByStatus::default()),
            on_reject: AsError,
        }))
        .layer(TimeoutLayer::new(SECOND).respond_http())
        .service(service_fn(never));
    let answer = service.oneshot(Request::new(())).await;
    assert_eq!(
        answer.map(|answer| answer.status()).ok(),
        Some(StatusCode::GATEWAY_TIMEOUT)
    );
    assert_eq!(ends.take(), [TIMED_OUT]);
    assert_eq!(Rejection::timed_out().reason(), Reason::AttemptTimeout);
}
