//! Limits around tonic's servers and channels, over TCP.

use std::time::Duration;

use buttress_core::{End, Outcome};
use buttress_http::{AtBodyEnd, ByGrpcStatus, header};
use tonic::server::NamedService;
use tonic::service::LayerExt;
use tonic::transport::Server;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{self, HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::health_reporter;
use tonic_types::StatusExt;
use tower::ServiceBuilder;

use crate::limits::{Heard, WAIT, heard, limit, limit_settling};
use crate::server::{check, question, start};

const SUCCESS: Heard = Heard::End(End::Settled(Outcome::Success, None));
/// [`WAIT`] as `grpc-retry-pushback-ms` tells it.
const PUSHBACK: Duration = Duration::from_millis(3);

fn assert_refused(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "The rate limit \"calls\" is used up.");
    let pushback = status
        .metadata()
        .get("grpc-retry-pushback-ms")
        .expect("a wait");
    assert_eq!(
        pushback.to_str().expect("visible ASCII"),
        PUSHBACK.as_millis().to_string()
    );
    let details = status.get_error_details();
    assert_eq!(
        details.retry_info().expect("a wait").retry_delay,
        Some(WAIT)
    );
    let violations = &details.quota_failure().expect("quotas").violations;
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].subject, "calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_refuses_with_a_status() {
    let (layer, mut events) = limit((), 2);
    let (_, health) = health_reporter();
    let router = Server::builder().layer(layer).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    check(server.channel.clone(), question()).await.unwrap();
    let unknown = HealthCheckRequest {
        service: "unknown".to_owned(),
    };
    let status = check(server.channel.clone(), tonic::Request::new(unknown))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "answers pass through");
    assert_refused(&check(server.channel.clone(), question()).await.unwrap_err());
    assert_eq!(
        heard(&mut events),
        [Heard::Admitted, SUCCESS, Heard::Admitted, SUCCESS]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_service_is_limited_and_keeps_its_name() {
    fn name<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }

    let (layer, _events) = limit((), 1);
    let (_, health) = health_reporter();
    let limited = layer.named_layer(health);
    assert_eq!(name(&limited), "grpc.health.v1.Health");
    let router = Server::builder().add_service(limited);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    check(server.channel.clone(), question()).await.unwrap();
    assert_refused(&check(server.channel.clone(), question()).await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_admitted_once_and_goes_on() {
    let settle = AtBodyEnd(ByGrpcStatus::default());
    let (layer, mut events) = limit_settling((), 1, settle);
    let (reporter, health) = health_reporter();
    let router = Server::builder().layer(layer).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    let mut client = HealthClient::new(server.channel.clone());
    let mut stream = client.watch(question()).await.unwrap().into_inner();
    assert_eq!(status_of(stream.message().await), ServingStatus::Serving);
    for status in [ServingStatus::NotServing, ServingStatus::Serving] {
        assert_refused(&check(server.channel.clone(), question()).await.unwrap_err());
        assert_refused(&client.watch(question()).await.unwrap_err());
        reporter.set_service_status("", status).await;
        assert_eq!(status_of(stream.message().await), status);
    }
    let head = Heard::Head(Outcome::Success);
    assert_eq!(
        heard(&mut events),
        [Heard::Admitted, head],
        "it holds its permit"
    );

    drop(stream);
    let end = events.recv().await;
    assert_eq!(end, Some(Heard::End(End::Cancelled(None))));
}

fn status_of(message: Result<Option<HealthCheckResponse>, Status>) -> ServingStatus {
    match message
        .expect("the stream is well")
        .expect("the stream goes on")
        .status()
    {
        pb::health_check_response::ServingStatus::Serving => ServingStatus::Serving,
        pb::health_check_response::ServingStatus::NotServing => ServingStatus::NotServing,
        _ => ServingStatus::Unknown,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_that_lasts_as_long_as_the_body_ends_with_the_trailers() {
    let settle = AtBodyEnd(ByGrpcStatus::default());
    let (layer, mut events) = limit_settling((), 1, settle);
    let (_, health) = health_reporter();
    let router = Server::builder().layer(layer).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    check(server.channel.clone(), question()).await.unwrap();
    let mut heard = Vec::new();
    while heard.last() != Some(&SUCCESS) {
        heard.push(events.recv().await.expect("the limit lives"));
    }
    assert_eq!(
        heard,
        [Heard::Admitted, Heard::Head(Outcome::Success), SUCCESS]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_refuses_before_the_wire_as_a_server_does() {
    let (below, mut arrived) = limit((), 2);
    let (_, health) = health_reporter();
    let router = Server::builder().layer(below).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let (layer, mut sent) = limit((), 1);
    let limited = ServiceBuilder::new()
        .layer(layer)
        .service(server.channel.clone());

    check(limited.clone(), question()).await.unwrap();
    assert_eq!(heard(&mut sent), [Heard::Admitted, SUCCESS]);
    let refused_here = check(limited, question()).await.unwrap_err();
    assert_refused(&refused_here);
    assert_eq!(
        heard(&mut arrived),
        [Heard::Admitted, SUCCESS],
        "only the first"
    );

    check(server.channel.clone(), question()).await.unwrap();
    let refused_there = check(server.channel.clone(), question()).await.unwrap_err();
    assert_refused(&refused_there);
    assert_eq!(refused_here.details().len(), refused_there.details().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_tells_the_servers_refusals_from_its_own() {
    let (below, _events) = limit((), 1);
    let (_, health) = health_reporter();
    let router = Server::builder().layer(below).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let (inner, mut inner_heard) = limit((), 2);
    let (outer, mut outer_heard) = limit((), 4);
    let limited = ServiceBuilder::new()
        .layer(outer)
        .layer(inner)
        .service(server.channel.clone());

    let throttled = Heard::End(End::Settled(Outcome::Throttled(Some(PUSHBACK)), None));
    let refused = Heard::End(End::Settled(Outcome::Refused, None));
    for (inner, outer) in [
        (Some(SUCCESS), SUCCESS),
        (Some(throttled), throttled),
        (None, refused),
    ] {
        let _ = check(limited.clone(), question()).await;
        assert_eq!(heard(&mut inner_heard).last().copied(), inner);
        assert_eq!(heard(&mut outer_heard).last().copied(), Some(outer));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_are_headers_to_be_keyed_by() {
    let (layer, _events) = limit(header("x-tenant"), 1);
    let (_, health) = health_reporter();
    let router = Server::builder().layer(layer).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let ask = async |tenant: &'static str| {
        let mut request = question();
        request
            .metadata_mut()
            .insert("x-tenant", tenant.parse().unwrap());
        check(server.channel.clone(), request).await
    };

    ask("a").await.unwrap();
    assert_refused(&ask("a").await.unwrap_err());
    ask("b").await.unwrap();

    let missing = check(server.channel.clone(), question()).await.unwrap_err();
    assert_eq!(missing.code(), Code::Internal);
    assert_eq!(
        missing.message(),
        "The request has no `x-tenant` header to limit it by: send exactly one, and not an empty one."
    );
    let pushback = missing.metadata().get("grpc-retry-pushback-ms").unwrap();
    assert_eq!(pushback, "-1");
}

#[cfg(feature = "tonic")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peer_of_a_tonic_server_is_known() {
    use buttress_http::ClientIp;

    let (layer, _events) = limit(ClientIp::peer(), 1);
    let (_, health) = health_reporter();
    let router = Server::builder().layer(layer).add_service(health);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;

    check(server.channel.clone(), question()).await.unwrap();
    assert_refused(&check(server.channel.clone(), question()).await.unwrap_err());
}
