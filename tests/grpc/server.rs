//! Limits in front of tonic's servers.

use buttress::{ClientIp, Quota, RateLimitLayer};
use http_body::Body as _;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tower::{Layer, ServiceExt};

use crate::echo::{Echo, EchoClient};
use crate::support::{assert_used_up, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_limited_as_a_whole() {
    let limit = RateLimitLayer::new(Quota::per_hour(2))
        .by(ClientIp::peer())
        .respond_grpc();
    let limiter = limit.limiter().clone();
    let router = Server::builder().layer(limit).add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let mut client = EchoClient::new(server.channel.clone());

    assert_eq!(client.one("a").await.unwrap(), "a");
    assert_eq!(client.join(&["b", "c"]).await.unwrap(), "b c");
    assert_used_up(&client.one("d").await.unwrap_err(), 2);
    assert_used_up(&client.words("d").await.unwrap_err(), 2);
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (2, 2));
    assert_eq!(status.live_keys, 1, "both connections are one peer's");
}

/// Another service of the same server.
#[derive(Clone, Debug)]
struct Other(Echo);

impl NamedService for Other {
    const NAME: &'static str = "tests.Other";
}

impl tower::Service<http::Request<Body>> for Other {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = <Echo as tower::Service<http::Request<Body>>>::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        tower::Service::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        tower::Service::call(&mut self.0, request)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_service_is_limited_and_keeps_its_name() {
    fn name<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }

    let limit = RateLimitLayer::new(Quota::per_hour(1)).respond_grpc();
    let limited = limit.layer(Echo);
    assert_eq!(name(&limited), "tests.Echo");
    let router = Server::builder()
        .add_service(limited)
        .add_service(Other(Echo));
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    let mut client = EchoClient::new(server.channel.clone());
    assert_eq!(client.one("a").await.unwrap(), "a");
    assert_used_up(&client.one("b").await.unwrap_err(), 1);
    let other = other(&server.channel).await;
    assert_eq!(
        other.code(),
        Code::Unimplemented,
        "it is reached: {other:?}"
    );
}

/// What the other service answers.
async fn other(channel: &tonic::transport::Channel) -> Status {
    let request = http::Request::post("http://server/tests.Other/One");
    let response = channel
        .clone()
        .oneshot(request.body(Body::empty()).expect("a request"));
    let response = response.await.expect("a response");
    Status::from_header_map(response.headers()).expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_head_and_nothing_else() {
    let limit = RateLimitLayer::new(Quota::per_hour(1)).respond_grpc();
    let router = Server::builder().layer(limit).add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    EchoClient::new(server.channel.clone())
        .one("a")
        .await
        .unwrap();

    let request = http::Request::post("http://server/tests.Echo/One");
    let request = request.header("content-type", "application/grpc");
    let response = server.channel.clone();
    let response = response.oneshot(request.body(Body::empty()).unwrap()).await;
    let (head, body) = response.unwrap().into_parts();
    assert_eq!(head.status, 200, "the failure is gRPC's, not HTTP's");
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["grpc-status"], "8");
    assert!(head.headers.contains_key("grpc-message"));
    assert!(head.headers.contains_key("grpc-retry-pushback-ms"));
    assert!(head.headers.contains_key("grpc-status-details-bin"));
    assert!(!head.headers.contains_key("ratelimit"), "not asked for");
    assert!(!head.headers.contains_key("retry-after"), "not gRPC's");
    assert!(body.is_end_stream(), "the head ended the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_tell_tenants_apart() {
    let limit = RateLimitLayer::new(Quota::per_hour(1))
        .by(buttress::http::header("x-tenant"))
        .respond_grpc()
        .headers();
    let router = Server::builder().layer(limit).add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let mut client = EchoClient::new(server.channel.clone());
    let of = |tenant: &'static str| {
        let mut request = Request::new("a".to_owned());
        request
            .metadata_mut()
            .insert("x-tenant", tenant.parse().unwrap());
        request
    };

    assert_eq!(client.one_with(of("a")).await.unwrap(), "a");
    assert_used_up(&client.one_with(of("a")).await.unwrap_err(), 1);
    assert_eq!(client.one_with(of("b")).await.unwrap(), "a");
    let missing = client.one("a").await.unwrap_err();
    assert_eq!(missing.code(), Code::Internal);
    assert!(missing.message().contains("`x-tenant`"), "{missing:?}");
    let pushback = missing.metadata().get("grpc-retry-pushback-ms").unwrap();
    assert_eq!(pushback, "-1", "asking again does not help");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_limiter_serves_two_services_of_a_server() {
    let limit = RateLimitLayer::new(Quota::per_hour(2)).respond_grpc();
    let router = Server::builder()
        .add_service(limit.layer(Echo))
        .add_service(limit.layer(Other(Echo)));
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    EchoClient::new(server.channel.clone())
        .one("a")
        .await
        .unwrap();
    assert_eq!(other(&server.channel).await.code(), Code::Unimplemented);
    let spent = other(&server.channel).await;
    assert_used_up(&spent, 2);
}
