//! Bodies that are sent twice, as a server reads them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::put;
use buttress::RetryLayer;
use buttress::http::ReplayBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{client, listen, serve_without_addresses};

const MS: Duration = Duration::from_millis(1);

/// What came of each attempt: its length as the head says it, its bytes, its trailers.
type Seen = Arc<Mutex<Vec<(Option<String>, Bytes, Option<HeaderMap>)>>>;

/// Reads the whole body, and fails the first so many times.
fn app(failures: usize, seen: &Seen) -> Router {
    async fn store(
        State((failures, seen)): State<(usize, Seen)>,
        request: Request<Body>,
    ) -> StatusCode {
        let length = request.headers().get("content-length");
        let length = length.map(|value| value.to_str().expect("digits").to_owned());
        let Ok(body) = request.into_body().collect().await else {
            return StatusCode::BAD_REQUEST;
        };
        let trailers = body.trailers().cloned();
        let mut seen = seen.lock().expect("no other thread panicked");
        seen.push((length, body.to_bytes(), trailers));
        match seen.len() <= failures {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::CREATED,
        }
    }
    Router::new()
        .route("/", put(store).post(store))
        .with_state((failures, Arc::clone(seen)))
}

fn retry() -> RetryLayer {
    RetryLayer::exponential(MS..=10 * MS)
}

#[tokio::test(flavor = "multi_thread")]
async fn hypers_client_sends_the_same_bytes_length_and_trailers_again() {
    let seen = Seen::default();
    let address = serve_without_addresses(app(2, &seen)).await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(retry().http()).service(client);

    let sized = http_body_util::Full::new(Bytes::from(vec![7; 40_000]));
    let uri = format!("http://{address}/");
    let request = Request::put(&uri).body(sized).expect("a request");
    let response = service.oneshot(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::CREATED);
    for (length, body, _) in &*seen.lock().expect("no thread panicked") {
        assert_eq!((length.as_deref(), body.len()), (Some("40000"), 40_000));
    }
    assert_eq!(seen.lock().expect("no thread panicked").len(), 3);

    let seen = Seen::default();
    let address = serve_without_addresses(app(2, &seen)).await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(retry().http()).service(client);
    let mut checksum = HeaderMap::new();
    checksum.insert("checksum", HeaderValue::from_static("abc"));
    let frames = [
        Frame::data(Bytes::from_static(b"hello ")),
        Frame::data(Bytes::from_static(b"world")),
        Frame::trailers(checksum.clone()),
    ];
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    let streamed = StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::put(format!("http://{address}/")).header("trailer", "checksum");
    let request = request.body(streamed).expect("a request");
    let response = service.oneshot(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::CREATED);
    let seen = seen.lock().expect("no thread panicked");
    assert_eq!(seen.len(), 3);
    for (_, body, trailers) in &*seen {
        assert_eq!(
            (&**body, trailers.as_ref()),
            (&b"hello world"[..], Some(&checksum))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_cap_and_a_post_are_sent_once_and_whole() {
    for (method, bytes, attempts) in [("PUT", 65_536, 2), ("PUT", 65_537, 1), ("POST", 10, 1)] {
        let seen = Seen::default();
        let address = serve_without_addresses(app(1, &seen)).await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let service = ServiceBuilder::new().layer(retry().http()).service(client);
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}/"));
        let request = request.body(Body::from(vec![7; bytes])).expect("a request");
        let response = service.oneshot(request).await.expect("no error");
        let expected = if attempts == 2 { 201 } else { 503 };
        assert_eq!(response.status().as_u16(), expected, "{method} {bytes}");
        let seen = seen.lock().expect("no thread panicked");
        assert_eq!(seen.len(), attempts);
        assert!(seen.iter().all(|(_, body, _)| body.len() == bytes));
    }
}

/// A server that answers before it has read the body, which the client still sends.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_to_a_half_sent_body_is_retried_with_all_of_it() {
    let seen = Seen::default();
    let calls = Arc::new(Mutex::new(0));
    let whole = app(0, &seen);
    let counted = Arc::clone(&calls);
    let early = service_fn(move |request: Request<Body>| {
        let whole = whole.clone();
        let is_first = {
            let mut calls = counted.lock().expect("no other thread panicked");
            *calls += 1;
            *calls == 1
        };
        async move {
            match is_first {
                true => Ok(http::Response::builder()
                    .status(503)
                    .body(Body::empty())
                    .expect("503")),
                false => whole.oneshot(request).await,
            }
        }
    });
    let address = serve_without_addresses(Router::new().fallback_service(early)).await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(retry().http()).service(client);
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<&'static [u8]>();
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(piece))),
            receiver,
        ))
    });
    sender.send(b"first half, ").expect("somebody reads");
    let request =
        Request::put(format!("http://{address}/")).body(StreamBody::new(Box::pin(stream)));
    let call = tokio::spawn(service.oneshot(request.expect("a request")));
    while *calls.lock().expect("no other thread panicked") < 2 {
        tokio::task::yield_now().await;
    }
    sender.send(b"second half").expect("somebody reads");
    drop(sender);
    let response = call.await.expect("no panic").expect("a response");
    assert_eq!(response.status(), StatusCode::CREATED);
    let seen = seen.lock().expect("no thread panicked");
    assert_eq!(seen[0].1, &b"first half, second half"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reqwest_keeps_its_own_request_and_body() {
    let seen = Seen::default();
    let address = serve_without_addresses(app(2, &seen)).await;
    let url = format!("http://{address}/");
    let failed = |result: Result<&reqwest::Response, &reqwest::Error>| match result {
        Ok(response) => response.status().is_server_error(),
        Err(_) => true,
    };
    let mut service = retry()
        .copy_with(|request: &reqwest::Request| request.try_clone())
        .retry_if(failed)
        .layer(client());
    let request = client().put(&url).body("hello").build().expect("a request");
    let response = service.ready().await.expect("ready").call(request).await;
    assert_eq!(response.expect("a response").status().as_u16(), 201);
    assert_eq!(seen.lock().expect("no thread panicked").len(), 3);

    // As a service of `http::Request<reqwest::Body>`, whose body type stays.
    seen.lock().expect("no thread panicked").clear();
    let http = service_fn(move |request: Request<reqwest::Body>| {
        let client = client();
        async move {
            let response = client.execute(request.try_into()?).await?;
            Ok::<http::Response<reqwest::Body>, reqwest::Error>(response.into())
        }
    });
    let wrap = |body: ReplayBody<reqwest::Body>| reqwest::Body::wrap(body);
    let service = retry().http().wrap_bodies(wrap).layer(http);
    let request = Request::put(&url).body(reqwest::Body::from("hello"));
    let response = service.oneshot(request.expect("a request")).await;
    assert_eq!(response.expect("a response").status().as_u16(), 201);
    let seen = seen.lock().expect("no thread panicked");
    assert!(seen.len() == 3 && seen.iter().all(|(_, body, _)| body == "hello"));
}

/// Nobody listens at first: a `POST` was never sent, so it may be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_refused_is_tried_again_with_a_post() {
    let (listener, address) = listen().await;
    drop(listener);
    let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Body>>();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&attempts);
    let inner = service_fn(move |request: Request<ReplayBody<Body>>| {
        let attempt = request.extensions().get::<buttress::retry::Attempt>();
        let attempt = attempt.expect("it is told").number;
        counted
            .lock()
            .expect("no other thread panicked")
            .push(attempt);
        client.request(request)
    });
    let service = retry().http().layer(inner);
    let request = Request::post(format!("http://{address}/")).body(Body::from("an order"));
    let error = service
        .oneshot(request.expect("a request"))
        .await
        .expect_err("nobody is there");
    let buttress::Error::Inner(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.is_connect());
    assert_eq!(*attempts.lock().expect("no thread panicked"), [1, 2, 3]);
}
