//! Deadlines that come with a request and go on with it.

use std::convert::Infallible;
use std::future::{Ready, ready};

use buttress_core::time::now;
use buttress_http::{CallDeadline, GRPC_TIMEOUT, TimeoutField};
use buttress_timeout::TimeoutLayer;
use http::header::HeaderName;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::SECOND;

const OWN: HeaderName = HeaderName::from_static("x-timeout-ms");

/// Answers with the request that it was sent.
fn mirror(request: Request<()>) -> Ready<Result<Response<Request<()>>, Infallible>> {
    ready(Ok(Response::new(request)))
}

async fn sent<S>(service: S, request: Request<()>) -> Option<Request<()>>
where
    S: Service<Request<()>, Response = Response<Request<()>>>,
    S::Error: std::fmt::Debug,
{
    service.oneshot(request).await.ok().map(Response::into_body)
}

fn asking(field: HeaderName, value: &'static str) -> Request<()> {
    let request = Request::builder().header(field, value);
    request.body(()).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_told_to_services_and_to_the_upstream() {
    let layer = TimeoutLayer::default()
        .deadline(5 * SECOND)
        .pass_on()
        .send(TimeoutField::grpc())
        .send(TimeoutField::millis(OWN));
    let service = layer.layer(service_fn(mirror));
    let request = sent(service.clone(), Request::new(())).await.unwrap();
    assert_eq!(CallDeadline::of(&request), Some(now() + 5 * SECOND));
    assert_eq!(request.headers()[GRPC_TIMEOUT], "5000000u");
    assert_eq!(request.headers()[OWN], "5000");
    let request = sent(service, asking(OWN, "700")).await.unwrap();
    assert_eq!(request.headers()[OWN], "700", "what says less stays");
    let deadline = CallDeadline::of(&request).unwrap();
    assert_eq!(deadline - now(), 5 * SECOND, "but it was not trusted");

    let quiet = TimeoutLayer::new(SECOND)
        .pass_on()
        .send(TimeoutField::grpc());
    let request = sent(quiet.layer(service_fn(mirror)), Request::new(()))
        .await
        .unwrap();
    assert!(
        request.headers().is_empty(),
        "the head's time is no deadline"
    );
    assert_eq!(CallDeadline::of(&request), None);

    let unsaid = TimeoutLayer::default()
        .deadline(SECOND)
        .layer(service_fn(mirror));
    let request = sent(unsaid, Request::new(())).await.unwrap();
    assert_eq!(
        CallDeadline::of(&request),
        None,
        "nobody asked to pass it on"
    );
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_taken_from_further_out_and_from_trusted_fields_only() {
    let trusting = TimeoutLayer::default()
        .deadline(9 * SECOND)
        .pass_on()
        .trust(TimeoutField::grpc())
        .trust(TimeoutField::millis(OWN));
    let trusting = trusting.layer(service_fn(mirror));
    for (field, value, expected) in [
        (GRPC_TIMEOUT, "3S", 3),
        (GRPC_TIMEOUT, "30S", 9),
        (GRPC_TIMEOUT, "three", 9),
        (OWN, "2000", 2),
    ] {
        let request = sent(trusting.clone(), asking(field, value)).await.unwrap();
        let deadline = CallDeadline::of(&request).unwrap();
        assert_eq!(deadline - now(), SECOND * expected, "{value}");
    }
    for value in ["0S", "0n"] {
        let request = sent(trusting.clone(), asking(GRPC_TIMEOUT, value)).await;
        assert!(request.is_none(), "nobody waits any more");
    }
    let doubtful = TimeoutLayer::default().deadline(9 * SECOND).pass_on();
    let doubtful = doubtful.layer(service_fn(mirror));
    let request = sent(doubtful.clone(), asking(GRPC_TIMEOUT, "3S"))
        .await
        .unwrap();
    assert_eq!(CallDeadline::of(&request).unwrap() - now(), 9 * SECOND);

    let mut inherited = Request::new(());
    CallDeadline::tighten(inherited.extensions_mut(), now() + 4 * SECOND);
    let request = sent(doubtful.clone(), inherited).await.unwrap();
    assert_eq!(CallDeadline::of(&request).unwrap() - now(), 4 * SECOND);
    let mut late = Request::new(());
    CallDeadline::tighten(late.extensions_mut(), now());
    assert!(sent(doubtful, late).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_time_to_the_end_of_the_body_is_passed_on_like_a_deadline() {
    let layer = TimeoutLayer::default().to_body_end(3 * SECOND).pass_on();
    let service = layer
        .send(TimeoutField::grpc())
        .layer(service_fn(|request: Request<()>| {
            let told = CallDeadline::of(&request);
            assert_eq!(told, Some(now() + 3 * SECOND));
            assert_eq!(request.headers()[GRPC_TIMEOUT], "3000000u");
            ready(Ok::<_, Infallible>(Response::new(
                Full::<bytes::Bytes>::default(),
            )))
        }));
    assert!(service.oneshot(Request::new(())).await.is_ok());
}
