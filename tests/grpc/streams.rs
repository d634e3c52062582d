//! Calls with more than one message.

use buttress::core::{End, Outcome};
use buttress::{Quota, RateLimitLayer};
use futures_util::TryStreamExt;
use tonic::Code;
use tonic::transport::Server;
use tower::{Layer, ServiceBuilder};

use crate::echo::{Echo, EchoClient};
use crate::places::places;
use crate::support::{assert_used_up, dictated, start};

const SUCCESS: End = End::Settled(Outcome::Success, None);
const FAILURE: End = End::Settled(Outcome::Failure, None);
const GONE: End = End::Cancelled(None);

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_costs_one_call_however_many_messages_it_has() {
    let limit = RateLimitLayer::new(Quota::per_hour(3)).respond_grpc();
    let router = Server::builder().add_service(limit.layer(Echo));
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let mut client = EchoClient::new(server.channel.clone());

    let words = client.words("a b c d e").await.unwrap();
    let words: Vec<_> = words.try_collect().await.unwrap();
    assert_eq!(words, ["a", "b", "c", "d", "e"]);
    assert_eq!(client.join(&["a", "b", "c", "d"]).await.unwrap(), "a b c d");
    let (send, messages) = dictated();
    let mut each = client.each(messages).await.unwrap();
    for message in ["a", "b", "c", "d"] {
        send.send(message.to_owned()).await.unwrap();
        assert_eq!(each.message().await.unwrap().as_deref(), Some(message));
    }

    assert_used_up(&client.words("a").await.unwrap_err(), 3);
    assert_used_up(&client.join(&["a"]).await.unwrap_err(), 3);
    assert_used_up(&client.one("a").await.unwrap_err(), 3);
    let (unheard, messages) = dictated();
    assert_used_up(&client.each(messages).await.unwrap_err(), 3);
    // A refused stream is not read.
    unheard.closed().await;

    send.send("still here".to_owned()).await.unwrap();
    let still = each.message().await.unwrap();
    assert_eq!(still.as_deref(), Some("still here"));
    drop(send);
    assert_eq!(each.message().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_16_a_call_keeps_its_place_until_its_stream_has_ended() {
    let (layer, mut ends) = places(1);
    let router = Server::builder().add_service(layer.layer(Echo));
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let mut client = EchoClient::new(server.channel.clone());

    let (send, messages) = dictated();
    let mut each = client.each(messages).await.unwrap();
    send.send("a".to_owned()).await.unwrap();
    assert_eq!(each.message().await.unwrap().as_deref(), Some("a"));
    let full = client.one("b").await.unwrap_err();
    assert_eq!(full.code(), Code::Unavailable, "{full:?}");
    assert_eq!(ends.try_recv().ok(), None, "the head was no end");

    drop(send);
    assert_eq!(each.message().await.unwrap(), None);
    assert_eq!(ends.recv().await, Some(SUCCESS));
    assert_eq!(client.one("c").await.unwrap(), "c");
    assert_eq!(ends.recv().await, Some(SUCCESS));
    let words = client.words("d e").await.unwrap();
    assert_eq!(words.try_collect::<Vec<_>>().await.unwrap(), ["d", "e"]);
    assert_eq!(ends.recv().await, Some(SUCCESS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_late_is_a_failure() {
    let (layer, mut ends) = places(1);
    let router = Server::builder().add_service(layer.layer(Echo));
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let (around, mut heard_there) = places(1);
    let channel = ServiceBuilder::new()
        .layer(around)
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);

    let mut words = client.words("a fail").await.unwrap();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    let failed = words.message().await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(ends.recv().await, Some(FAILURE), "on the server");
    assert_eq!(heard_there.recv().await, Some(FAILURE), "on the client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_gives_its_place_back() {
    let (layer, mut ends) = places(1);
    let router = Server::builder().add_service(layer.layer(Echo));
    let server = start(|incoming| router.serve_with_incoming(incoming)).await;
    let (around, mut heard_there) = places(1);
    let channel = ServiceBuilder::new()
        .layer(around)
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);

    let mut words = client.words("a hang").await.unwrap();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(ends.try_recv().ok(), None);
    drop(words);
    assert_eq!(heard_there.try_recv().ok(), Some(GONE), "at once");
    assert_eq!(ends.recv().await, Some(GONE), "once the server hears of it");
    assert_eq!(client.one("b").await.unwrap(), "b");
}
