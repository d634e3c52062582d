//! gRPC: by service, method and code, in the head or in the trailers.

use std::convert::Infallible;

use buttress_metrics::{Ending, MetricsLayer};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Scrape, recorder};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A response with a message and trailers, or one whose status is in the head.
fn answer(code: u8, in_head: bool) -> Response<Body> {
    let status = HeaderValue::from(u16::from(code));
    if in_head {
        let mut response = Response::new(Empty::new().boxed_unsync());
        response.headers_mut().insert("grpc-status", status);
        return response;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status);
    let frames = [
        Frame::data(Bytes::from_static(b"hello")),
        Frame::trailers(trailers),
    ];
    Response::new(StreamBody::new(stream::iter(frames.map(Ok))).boxed_unsync())
}

async fn greet(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let code = |name: &str| request.headers().get(name)?.to_str().ok()?.parse().ok();
    Ok(match (code("head"), code("trailer")) {
        (Some(code), _) => answer(code, true),
        (_, code) => answer(code.unwrap_or(0), false),
    })
}

fn request(path: &str, place: &str, code: u8) -> Request<String> {
    let request = Request::post(path).header(place, u16::from(code));
    request
        .body(String::new())
        .expect("a path and a number make a request")
}

#[tokio::test]
async fn calls_are_told_by_service_method_and_code() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("rpc").grpc().recorder(recorder);
    let inner = service_fn(|request: Request<String>| greet(request.map(drop)));
    let service = layer.layer(inner);
    let sent = [
        ("trailer", 0, 3, "OK", Ending::Success),
        ("trailer", 13, 2, "INTERNAL", Ending::Failure),
        ("trailer", 8, 4, "RESOURCE_EXHAUSTED", Ending::Throttled),
        ("head", 14, 5, "UNAVAILABLE", Ending::Overloaded),
        ("head", 5, 6, "NOT_FOUND", Ending::Success),
        ("trailer", 99, 1, "other", Ending::Failure),
    ];
    for (place, code, times, _, _) in sent {
        for _ in 0..times {
            let request = request("/greeter.Greeter/Hello", place, code);
            let response = service.clone().oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
    }
    let scrape = Scrape::of(&handle);
    for (_, _, times, name, ending) in sent {
        let labels = [
            ("rpc_service", "greeter.Greeter"),
            ("rpc_method", "Hello"),
            ("rpc_response_status_code", name),
            ("outcome", ending.as_str()),
        ];
        assert_eq!(
            scrape.count("buttress_rpc_server_requests", &labels),
            times,
            "{name}"
        );
        assert_eq!(
            scrape.count("rpc_server_call_duration_count", &labels),
            times
        );
    }
    let seen = layer.metrics();
    assert_eq!((seen.requests, seen.in_flight), (21, 0));
    assert_eq!(seen.count(Ending::Success), 9);
    assert_eq!(seen.response_bytes, 10 * 5);
    assert_eq!(
        scrape
            .sum("buttress_rpc_server_active_requests", &[])
            .to_bits(),
        0
    );
}

#[tokio::test]
async fn names_that_callers_make_up_get_no_series() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("rpc").grpc().recorder(recorder);
    let inner = service_fn(|request: Request<String>| greet(request.map(drop)));
    let service = layer.layer(inner);
    for number in 0..10_000 {
        let unknown = request(&format!("/made.Up{number}/Hello"), "head", 12);
        service.clone().oneshot(unknown).await.unwrap();
    }
    for path in ["/", "/only", "/a/b/c", "//x"] {
        drop(
            service
                .clone()
                .oneshot(request(path, "head", 0))
                .await
                .unwrap(),
        );
    }
    drop(
        service
            .oneshot(request("/real.Service/Hello", "head", 0))
            .await
            .unwrap(),
    );
    let seen = layer.metrics();
    assert_eq!(
        (seen.label_sets, seen.overflowed, seen.in_flight),
        (1, 0, 0)
    );
    let scrape = Scrape::of(&handle);
    assert_eq!(scrape.series("buttress_rpc_server_requests").len(), 3);
    let unknown = [
        ("rpc_service", "other"),
        ("rpc_response_status_code", "UNIMPLEMENTED"),
    ];
    assert_eq!(
        scrape.count("buttress_rpc_server_requests", &unknown),
        10_000
    );
}
