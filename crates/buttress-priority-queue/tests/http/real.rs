//! An axum server behind a queue, and a client that reads bodies or does not.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::routing::get;
use buttress_priority_queue::{
    ConcurrencyLimitLayer, Priority, PriorityField, PriorityQueueLayer, Trust,
};
use bytes::Bytes;
use http::header::HeaderName;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

type Frames = mpsc::UnboundedReceiver<&'static str>;

/// A body of what is sent into a channel, until its other end is gone.
struct Channel(Frames);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let text = self.0.poll_recv(cx);
        text.map(|text| text.map(|text| Ok(Frame::data(Bytes::from(text)))))
    }
}

/// A server whose bodies come from these channels, one a request.
async fn serve<L>(layer: L, bodies: Vec<Frames>) -> SocketAddr
where
    L: tower::Layer<axum::routing::Route> + Clone + Send + Sync + 'static,
    L::Service: tower::Service<Request<axum::body::Body>, Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    <L::Service as tower::Service<Request<axum::body::Body>>>::Response:
        axum::response::IntoResponse + 'static,
    <L::Service as tower::Service<Request<axum::body::Body>>>::Future: Send + 'static,
{
    let bodies = Arc::new(Mutex::new(bodies));
    let handler = get(move || async move {
        let body = Channel(bodies.lock().await.remove(0));
        Response::new(axum::body::Body::new(body))
    });
    let app = Router::new().route("/", handler).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn request(address: SocketAddr, priority: &str) -> Request<Empty<Bytes>> {
    let builder = Request::get(format!("http://{address}/")).header("x-priority", priority);
    builder.body(Empty::new()).unwrap()
}

/// Waits for what other tasks bring about, without a clock.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

fn by_field() -> PriorityField {
    PriorityField::new(HeaderName::from_static("x-priority"), Trust::everybody())
}

#[tokio::test]
async fn a_place_is_held_until_the_body_has_ended_and_the_urgent_go_first() {
    let layer = PriorityQueueLayer::new(1)
        .capacity(2)
        .by(by_field())
        .respond_http();
    let queue = layer.queue().clone();
    let (senders, bodies): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::unbounded_channel()).unzip();
    let mut senders = senders.into_iter();
    let address = serve(layer, bodies).await;
    let client = client();
    let first = client.request(request(address, "low")).await.unwrap();
    let sender = senders.next().unwrap();
    assert_eq!(queue.status().in_flight, 1, "its body is still to come");

    let send = |priority| tokio::spawn(client.request(request(address, priority)));
    let low = send("low");
    until(|| queue.depth(Priority::Low) == 1).await;
    let urgent = send("critical");
    until(|| queue.depth(Priority::Critical) == 1).await;
    let refused = client.request(request(address, "low")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );

    sender.send("some").unwrap();
    drop(sender);
    assert_eq!(
        first.into_body().collect().await.unwrap().to_bytes(),
        "some"
    );
    let urgent = urgent.await.unwrap().unwrap();
    assert!(urgent.status().is_success() && !low.is_finished());
    drop(senders.next());
    urgent.into_body().collect().await.unwrap();
    let low = low.await.unwrap().unwrap();
    drop(senders.next());
    low.into_body().collect().await.unwrap();
    until(|| queue.status().in_flight == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_back() {
    let layer = PriorityQueueLayer::new(1).respond_http();
    let queue = layer.queue().clone();
    let (sender, body) = mpsc::unbounded_channel();
    let address = serve(layer, vec![body]).await;
    let response = client().request(request(address, "low")).await.unwrap();
    assert_eq!(queue.status().in_flight, 1);
    drop(response);
    // A server notices when it writes.
    until(|| {
        let _ = sender.send("more");
        queue.status().in_flight == 0
    })
    .await;
}

#[tokio::test]
async fn a_limit_without_a_queue_answers_503_at_once() {
    let layer = ConcurrencyLimitLayer::new(1).respond_http();
    let limit = layer.limit().clone();
    let (sender, body) = mpsc::unbounded_channel();
    let address = serve(layer, vec![body]).await;
    let client = client();
    let first = client.request(request(address, "low")).await.unwrap();
    let refused = client.request(request(address, "low")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(sender);
    first.into_body().collect().await.unwrap();
    until(|| limit.in_flight() == 0).await;
}
