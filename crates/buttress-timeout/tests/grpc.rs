//! Timeouts and deadlines in front of and around tonic.

#![cfg(feature = "http")]

use std::convert::Infallible;
use std::time::Duration;

use buttress_http::{CallDeadline, GRPC_TIMEOUT, TimeoutField};
use buttress_timeout::TimeoutLayer;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, Service};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);

async fn serve<S>(service: S) -> Channel
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let layer = TimeoutLayer::new(SHORT)
        .to_body_end(2 * SHORT)
        .respond_grpc();
    let server = Server::builder().layer(layer).add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("the server listens")
}

/// Never answers.
#[derive(Clone)]
struct Hanging;

impl NamedService for Hanging {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl Service<Request<Body>> for Hanging {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_is_deadline_exceeded_and_says_nothing_of_retrying() {
    let channel = serve(Hanging).await;
    let asked = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    let status = asked.expect_err("it hangs");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.message(), "The service did not answer in time.");
    assert!(!status.metadata().contains_key("grpc-retry-pushback-ms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_hangs_ends_with_a_status_after_its_messages() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let mut client = HealthClient::new(serve(health).await);
    let watched = client.watch(HealthCheckRequest::default()).await;
    let mut stream = watched.expect("a head in time").into_inner();
    assert!(stream.message().await.expect("the first message").is_some());
    let status: Status = stream.message().await.expect_err("it is cut off");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_channel_it_answers_and_tells_the_server_what_is_left() {
    let (send, mut told) = mpsc::unbounded_channel();
    let channel = serve(Hanging).await;
    let noting = tower::util::MapRequest::new(channel, move |request: Request<Body>| {
        let field = request.headers().get(GRPC_TIMEOUT).cloned();
        let _ = send.send((field, CallDeadline::of(&request)));
        request
    });
    let layer = TimeoutLayer::default()
        .deadline(LONG)
        .pass_on()
        .send(TimeoutField::grpc())
        .through_body()
        .respond_grpc();
    let mut client = HealthClient::new(layer.layer(noting));
    let status = client.check(HealthCheckRequest::default()).await;
    let status = status.expect_err("the server cuts off");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let (field, deadline) = told.recv().await.expect("a request went out");
    assert!(deadline.is_some());
    let field = field.expect("the field");
    let micros = field.to_str().ok().and_then(|text| text.strip_suffix('u'));
    let micros: u64 = micros
        .and_then(|text| text.parse().ok())
        .expect("microseconds");
    assert!((50_000_000..=60_000_000).contains(&micros), "{micros}");

    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(Duration::from_secs(1));
    let _ = client.check(request).await;
    let (field, _) = told.recv().await.expect("a request went out");
    assert_eq!(
        field.expect("the field"),
        "1000000u",
        "what the caller said stays"
    );
}
