//! HTTP over loopback with axum: what is told agrees with what a client counted.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use buttress_metrics::{Ending, MetricsHandle, MetricsLayer, RequestMetrics};
use buttress_rate_limit::{Quota, RateLimitLayer};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Scrape, recorder};

/// Tells that a handler has begun.
type Begun = Arc<Mutex<HashMap<u32, oneshot::Sender<()>>>>;

fn locked(begun: &Begun) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<()>>> {
    begun.lock().expect("nobody panics with it")
}

const CHUNK: usize = 16 * 1024;
const CHUNK_BYTES: u64 = 16 * 1024;

async fn hang(State(begun): State<Begun>, Path(id): Path<u32>) {
    if let Some(tell) = locked(&begun).remove(&id) {
        let _ = tell.send(());
    }
    std::future::pending::<()>().await;
}

fn chunks(sizes: &'static [usize]) -> Body {
    let chunks = sizes.iter().map(|size| Bytes::from(vec![b'x'; *size]));
    Body::from_stream(stream::iter(chunks.map(Ok::<_, Infallible>)))
}

fn app(layer: &MetricsLayer<buttress_metrics::Http, impl Classified>, begun: Begun) -> Router {
    let limit = RateLimitLayer::new(Quota::per_hour(100)).respond_http();
    let broken = || {
        let first = Ok(Bytes::from_static(b"first"));
        let frames = [first, Err(io::Error::other("broken off"))];
        Body::from_stream(stream::iter(frames))
    };
    let endless = || {
        let chunk = Bytes::from(vec![b'x'; CHUNK]);
        Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
    };
    Router::new()
        .route("/ok", get(async || "fine"))
        .route("/users/{id}", get(async || "someone"))
        .route("/upload", post(async |body: Bytes| body.len().to_string()))
        .route("/fail", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/limited", get(async || "let in").layer(limit))
        .route("/stream", get(async || chunks(&[10, 20, 30])))
        .route("/broken", get(async move || broken()))
        .route("/endless", get(async move || endless()))
        .route("/hang/{id}", get(hang))
        .with_state(begun)
        .layer(layer.clone())
}

/// What axum asks of a classifier.
trait Classified:
    buttress_core::Classify<Response<Body>, Infallible> + Clone + Send + Sync + 'static
{
}

impl<C> Classified for C where
    C: buttress_core::Classify<Response<Body>, Infallible> + Clone + Send + Sync + 'static
{
}

#[derive(Clone)]
struct Client {
    address: SocketAddr,
    begun: Begun,
}

impl Client {
    async fn send(&self, head: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address)
            .await
            .expect("the server listens");
        let request = format!("{head}host: test\r\nconnection: close\r\n\r\n");
        let written = connection.write_all(request.as_bytes()).await;
        written.expect("the server reads");
        connection
    }

    /// Reads all there is, and tells the status, unless even the head was lost with a body that broke off.
    async fn whole(&self, head: &str) -> Option<u16> {
        let mut connection = self.send(head).await;
        let mut answer = Vec::new();
        // A body that breaks off may end with a reset.
        let _ = connection.read_to_end(&mut answer).await;
        std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
    }

    /// Leaves when the handler has begun, before there is a head.
    async fn leave_before_the_head(&self, id: u32) {
        let (tell, told) = oneshot::channel();
        locked(&self.begun).insert(id, tell);
        let connection = self.send(&format!("GET /hang/{id} HTTP/1.1\r\n")).await;
        told.await.expect("the handler begins");
        drop(connection);
    }

    /// Leaves in the middle of the body.
    async fn leave_in_the_body(&self) {
        let mut connection = self.send("GET /endless HTTP/1.1\r\n").await;
        let mut some = vec![0; CHUNK];
        let read = connection.read_exact(&mut some).await;
        read.expect("the body has no end");
    }

    async fn one_of_many(self, number: u32) -> Option<u16> {
        let whole = async |path: String| self.whole(&format!("GET {path} HTTP/1.1\r\n")).await;
        match number % 10 {
            0 => whole("/ok".into()).await,
            1 => whole(format!("/users/{number}")).await,
            2 => whole("/limited".into()).await,
            3 => whole("/fail".into()).await,
            4 => whole(format!("/nothing/{number}")).await,
            5 => whole("/stream".into()).await,
            6 => {
                whole("/broken".into()).await;
                None
            }
            7 => {
                self.leave_before_the_head(number).await;
                None
            }
            8 => {
                self.leave_in_the_body().await;
                None
            }
            _ => {
                let request = "POST /upload HTTP/1.1\r\ncontent-length: 0\r\n";
                self.whole(request).await
            }
        }
    }
}

/// Waits until everything has ended that a client has left.
async fn until_idle(handle: &MetricsHandle) {
    while handle.metrics().in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

/// How many requests of every kind are sent.
const EACH: u64 = 300;

/// Sends so many of every kind, many at once, and tells what the client counted.
async fn load(
    layer: &MetricsLayer<buttress_metrics::Http, impl Classified>,
) -> HashMap<Option<u16>, u64> {
    let begun = Begun::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let app = app(layer, Arc::clone(&begun));
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let client = Client { address, begun };
    let places = Arc::new(Semaphore::new(48));
    let mut sent = Vec::new();
    for number in 0..u32::try_from(EACH * 10).unwrap_or(u32::MAX) {
        let (client, place) = (client.clone(), Arc::clone(&places).acquire_owned().await);
        sent.push(tokio::spawn(async move {
            let answer = client.one_of_many(number).await;
            drop(place);
            answer
        }));
    }
    let mut by_status = HashMap::<Option<u16>, u64>::new();
    for sent in sent {
        *by_status
            .entry(sent.await.expect("a client does not panic"))
            .or_default() += 1;
    }
    until_idle(&layer.handle()).await;
    server.abort();
    by_status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrape_and_snapshot_agree_to_the_unit_with_what_a_client_counted() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("api").http().recorder(recorder);
    let by_status = load(&layer).await;
    assert_eq!(by_status[&Some(429)], EACH - 100, "a hundred are let in");
    assert_eq!(by_status[&Some(500)], EACH);
    assert_eq!(by_status[&Some(404)], EACH);
    assert_eq!(by_status[&None], EACH * 3);
    let seen = layer.metrics();
    assert_eq!((seen.requests, seen.in_flight), (EACH * 10, 0));
    let ended = [
        (Ending::Success, EACH * 5 + 100),
        (Ending::Failure, EACH),
        (Ending::Refused, EACH - 100),
        (Ending::Aborted, EACH),
        (Ending::BodyAborted, EACH),
        (Ending::BodyBroken, EACH),
    ];
    let scrape = Scrape::of(&handle);
    for (ending, count) in ended {
        let label = [("outcome", ending.as_str())];
        assert_eq!(seen.count(ending), count, "{ending:?}");
        assert_eq!(scrape.count("buttress_http_server_requests", &label), count);
        assert_eq!(
            scrape.count("http_server_request_duration_count", &label),
            count
        );
    }
    assert_eq!(
        scrape.count("buttress_http_server_requests", &[]),
        EACH * 10
    );
    assert_eq!(
        scrape.sum("http_server_active_requests", &[]).to_bits(),
        0.0_f64.to_bits()
    );
    assert_eq!(seen.to_body_end.count, EACH * 10);
    assert_eq!(
        seen.to_head.count,
        EACH * 9,
        "those that were aborted have no head"
    );
    agree_by_route(&seen, &scrape);
}

fn agree_by_route(seen: &RequestMetrics, scrape: &Scrape) {
    let by_route = |route: &str, class: &str| {
        let labels = [("http_route", route), ("http_response_status_class", class)];
        scrape.count("buttress_http_server_requests", &labels)
    };
    assert_eq!(by_route("/users/{id}", "2xx"), EACH);
    assert_eq!(by_route("/hang/{id}", "none"), EACH);
    assert_eq!(by_route("/limited", "4xx"), EACH - 100);
    assert_eq!(by_route("/fail", "5xx"), EACH);
    assert_eq!(
        by_route("unmatched", "4xx"),
        EACH,
        "raw paths are no labels"
    );
    let bytes = |route| {
        scrape.count(
            "buttress_http_server_response_bytes",
            &[("http_route", route)],
        )
    };
    assert_eq!(bytes("/stream"), EACH * 60);
    assert_eq!(bytes("/ok"), EACH * 4);
    assert_eq!(bytes("/broken"), EACH * 5);
    assert!(bytes("/endless") >= EACH * CHUNK_BYTES / 2);
    assert_eq!(
        seen.response_bytes,
        scrape.count("buttress_http_server_response_bytes", &[])
    );
    assert_eq!(seen.label_sets, 10);
}

#[tokio::test]
async fn a_flood_of_paths_methods_and_routes_leaves_the_series_bounded() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("flood")
        .http()
        .label_sets(50)
        .recorder(recorder);
    let app = Router::new()
        .route("/users/{id}", get(async || "someone"))
        .layer(layer.clone());
    for number in 0..5_000 {
        let paths = [format!("/users/{number}"), format!("/{number}/nothing")];
        for path in paths {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    }
    assert_eq!(layer.metrics().label_sets, 2);
    // A router that names routes badly, and clients that make methods up.
    let service = layer.layer(service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    for number in 0..90_000_u32 {
        let mut request = Request::new(Body::empty());
        let route = buttress_http::Route(format!("/{number}").into());
        request.extensions_mut().insert(route);
        *request.method_mut() = format!("M{number}").parse().unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    let seen = layer.metrics();
    assert_eq!((seen.requests, seen.in_flight), (100_000, 0));
    assert_eq!((seen.label_sets, seen.overflowed), (50, 90_000 - 48));
    let scrape = Scrape::of(&handle);
    assert!(
        scrape.len() < 1_500,
        "{} series and quantiles",
        scrape.len()
    );
    assert_eq!(scrape.series("buttress_http_server_requests").len(), 51);
    let other = [("http_route", "other")];
    assert_eq!(
        scrape.count("buttress_http_server_requests", &other),
        90_000 - 48
    );
    assert_eq!(scrape.count("buttress_labels_overflow", &[]), 90_000 - 48);
    assert_eq!(
        scrape.series("http_server_active_requests").len(),
        2,
        "GET and _OTHER"
    );
}

#[tokio::test]
async fn a_body_is_followed_wherever_it_is_dropped() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("body").http().recorder(recorder);
    let service = layer.layer(service_fn(async |request: Request<Body>| {
        let status = request
            .headers()
            .get("status")
            .map(|status| status.as_bytes().to_owned());
        let mut response = Response::new(chunks(&[1, 1, 1]));
        if let Some(status) = status {
            *response.status_mut() = StatusCode::from_bytes(&status).unwrap();
        }
        Ok::<_, Infallible>(response)
    }));
    for frames in 0..=4 {
        let request = Request::new(Body::from("four"));
        let answer = service.clone().oneshot(request).await.unwrap();
        let mut body = answer.into_body();
        for _ in 0..frames {
            body.frame().await;
        }
        assert_eq!(layer.metrics().in_flight, u64::from(frames < 4));
        drop(body);
        assert_eq!(layer.metrics().in_flight, 0);
    }
    let seen = layer.metrics();
    assert_eq!(
        (seen.count(Ending::BodyAborted), seen.count(Ending::Success)),
        (4, 1)
    );
    assert_eq!(
        (seen.request_bytes, seen.response_bytes),
        (5 * 4, 1 + 2 + 3 + 3)
    );
    // A head that is no success is final, though its body is dropped unread.
    let request = Request::get("/")
        .header("status", "503")
        .body(Body::empty())
        .unwrap();
    drop(service.oneshot(request).await.unwrap());
    assert_eq!(layer.metrics().count(Ending::Overloaded), 1);
    assert_eq!(
        Scrape::of(&handle).count("http_server_active_requests", &[]),
        0
    );
}
