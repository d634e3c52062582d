//! Limits around tonic's channels.

use std::time::Duration;

use buttress::{Error, Quota, RateLimitLayer, Reason, Rejection};
use tonic::Status;
use tonic::transport::Server;
use tower::ServiceBuilder;

use crate::echo::{Echo, EchoClient};
use crate::support::{assert_used_up, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_asks_no_more_than_it_may() {
    let below = RateLimitLayer::new(Quota::per_hour(100)).respond_grpc();
    let arrived = below.limiter().clone();
    let router = Server::builder().layer(below).add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let channel = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_hour(4)).respond_grpc())
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);

    assert_eq!(client.one("a").await.unwrap(), "a");
    assert_eq!(client.join(&["a", "b"]).await.unwrap(), "a b");
    let mut words = client.words("a b").await.unwrap();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    let mut each = client
        .each(futures_util::stream::iter(["c".to_owned()]))
        .await
        .unwrap();
    assert_used_up(&client.one("b").await.unwrap_err(), 4);
    assert_used_up(&client.join(&["b"]).await.unwrap_err(), 4);
    assert_used_up(&client.words("b").await.unwrap_err(), 4);
    let nothing = futures_util::stream::empty();
    assert_used_up(&client.each(nothing).await.unwrap_err(), 4);

    // What runs already goes on.
    assert_eq!(each.message().await.unwrap().as_deref(), Some("c"));
    assert_eq!(words.message().await.unwrap().as_deref(), Some("b"));
    assert_eq!(words.message().await.unwrap(), None);
    assert_eq!(arrived.status().admitted, 4, "refused before the wire");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_refusals_pass_through_a_limited_channel() {
    let below = RateLimitLayer::new(Quota::per_hour(1)).respond_grpc();
    let router = Server::builder().layer(below).add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let above = RateLimitLayer::new(Quota::per_hour(3)).respond_grpc();
    let limiter = above.limiter().clone();
    let channel = ServiceBuilder::new()
        .layer(above)
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);

    assert_eq!(client.one("a").await.unwrap(), "a");
    assert_used_up(&client.one("b").await.unwrap_err(), 1);
    assert_used_up(&client.one("c").await.unwrap_err(), 1);
    assert_used_up(&client.one("d").await.unwrap_err(), 3);
    assert_eq!(limiter.status().refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_as_an_error_is_the_source_of_the_status() {
    let router = Server::builder().add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let channel = ServiceBuilder::new()
        .layer(RateLimitLayer::new(Quota::per_hour(1)))
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);

    assert_eq!(client.one("a").await.unwrap(), "a");
    let status: Status = client.one("b").await.unwrap_err();
    let rejection = Rejection::find(&status).expect("a rejection");
    assert_eq!(rejection.reason(), Reason::RateLimit);
    let source = std::error::Error::source(&status).expect("a source");
    assert!(
        source
            .downcast_ref::<Error<tonic::transport::Error>>()
            .is_some(),
        "{source:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_waits_refuses_nothing() {
    let router = Server::builder().add_service(Echo);
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let pace = RateLimitLayer::new(Quota::every(Duration::from_millis(10)));
    let channel = ServiceBuilder::new()
        .layer(pace.wait(Duration::from_secs(60)).respond_grpc())
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);
    let begin = buttress::core::time::now();
    for _ in 0..4 {
        client.one("a").await.unwrap();
    }
    assert!(begin.elapsed() >= Duration::from_millis(30));
}
