//! Retries, breakers and timeouts around tonic's channels.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress::circuit_breaker::State;
use buttress::core::Now;
use buttress::{
    BudgetRule, CircuitBreakerLayer, Reason, Rejection, RetryLayer, TimeoutLayer, When,
};
use futures_util::future::BoxFuture;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tower::{Service, ServiceBuilder};

use crate::echo::{Echo, EchoClient};
use crate::support::{Running, start};

const MS: Duration = Duration::from_millis(1);
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

/// What the server does with its next calls; after those it echoes.
#[derive(Clone, Copy, Debug)]
enum Does {
    Fails(Code),
    PushesBack(&'static str),
    Hangs,
}

/// [`Echo`] that first does what it is told, and counts its calls.
#[derive(Clone, Debug)]
struct Flaky {
    script: &'static [Does],
    calls: Arc<AtomicUsize>,
}

impl NamedService for Flaky {
    const NAME: &'static str = Echo::NAME;
}

impl Service<http::Request<Body>> for Flaky {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.script.get(number).copied() {
            None => Echo.call(request),
            Some(Does::Hangs) => Box::pin(std::future::pending()),
            Some(Does::Fails(code)) => {
                Box::pin(async move { Ok(Status::new(code, "told to").into_http()) })
            }
            Some(Does::PushesBack(millis)) => Box::pin(async move {
                let mut status = Status::unavailable("told to");
                let pushback = millis.parse().expect("a value");
                status
                    .metadata_mut()
                    .insert("grpc-retry-pushback-ms", pushback);
                Ok(status.into_http())
            }),
        }
    }
}

async fn serve(script: &'static [Does]) -> (Running, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let flaky = Flaky {
        script,
        calls: Arc::clone(&calls),
    };
    let router = Server::builder().add_service(flaky);
    let running = start(|incoming| router.serve_with_incoming(incoming)).await;
    (running, calls)
}

/// A channel that retries up to three times, almost at once.
fn retry() -> RetryLayer {
    RetryLayer::exponential(MS..=MS).attempts(4)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_served_is_sent_again_with_its_message() {
    let (server, calls) = serve(&[
        Does::Fails(Code::Unavailable),
        Does::Fails(Code::ResourceExhausted),
        Does::PushesBack("2"),
    ])
    .await;
    let retry = retry();
    let budget = retry.retry_budget().clone();
    let channel = ServiceBuilder::new()
        .layer(retry.grpc().wrap_bodies(Body::new))
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);
    assert_eq!(client.one("the message").await.unwrap(), "the message");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    assert_eq!(budget.snapshot(&Now::new()).allowed, 3);
    assert_eq!(client.join(&["a", "b"]).await.unwrap(), "a b");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_statuses_and_a_negative_pushback_are_final() {
    for (does, code) in [
        (Does::Fails(Code::Internal), Code::Internal),
        (Does::Fails(Code::InvalidArgument), Code::InvalidArgument),
        (Does::PushesBack("-1"), Code::Unavailable),
        (Does::PushesBack("soon"), Code::Unavailable),
    ] {
        let script: &'static [Does] = Box::leak(Box::new([does]));
        let (server, calls) = serve(script).await;
        let channel = ServiceBuilder::new()
            .layer(retry().grpc().wrap_bodies(Body::new))
            .service(server.channel.clone());
        let mut client = EchoClient::new(channel);
        assert_eq!(client.one("a").await.unwrap_err().code(), code, "{does:?}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{does:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_begun_is_not_sent_again() {
    let (server, calls) = serve(&[]).await;
    let channel = ServiceBuilder::new()
        .layer(retry().grpc().wrap_bodies(Body::new))
        .service(server.channel.clone());
    let mut words = EchoClient::new(channel).words("a fail").await.unwrap();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(words.message().await.unwrap_err().code(), Code::Internal);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_open_a_circuit_and_its_refusal_has_a_pushback() {
    let (server, calls) = serve(&[Does::Fails(Code::Unavailable); 3]).await;
    let breaker = CircuitBreakerLayer::consecutive_failures(3).open_for(LONG);
    let circuit = breaker.breaker().clone();
    let retry = retry();
    let budget = retry.retry_budget().clone();
    let channel = ServiceBuilder::new()
        .layer(retry.grpc().wrap_bodies(Body::new))
        .layer(breaker.respond_grpc())
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);

    let refused = client.one("a").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let pushback = crate::support::pushback(&refused);
    assert!((590_000..=600_000).contains(&pushback), "{pushback}");
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(calls.load(Ordering::SeqCst), 3, "the fourth was refused");
    assert_eq!(budget.snapshot(&Now::new()).allowed, 3);

    client.one("b").await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert_eq!(
        budget.snapshot(&Now::new()).allowed,
        3,
        "a refusal of our own costs nothing"
    );
    circuit.reset();
    assert_eq!(client.one("c").await.unwrap(), "c");
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_in_the_trailers_counts_when_it_comes() {
    let (server, _) = serve(&[]).await;
    let breaker = CircuitBreakerLayer::consecutive_failures(1).open_for(LONG);
    let circuit = breaker.breaker().clone();
    let channel = ServiceBuilder::new()
        .layer(breaker.respond_grpc())
        .service(server.channel.clone());
    let mut words = EchoClient::new(channel).words("a fail").await.unwrap();
    assert_eq!(words.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(words.message().await.unwrap_err().code(), Code::Internal);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_is_a_failure_of_the_circuit_and_is_sent_again() {
    let (server, calls) = serve(&[Does::Hangs, Does::Hangs]).await;
    let breaker = CircuitBreakerLayer::consecutive_failures(2).open_for(LONG);
    let circuit = breaker.breaker().clone();
    let channel = ServiceBuilder::new()
        .layer(retry().grpc().wrap_bodies(Body::new))
        .layer(breaker.respond_grpc())
        .layer(TimeoutLayer::new(50 * MS).respond_grpc())
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);
    let status = client.one("a").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_call_that_hangs() {
    let (server, _) = serve(&[Does::Hangs]).await;
    let channel = ServiceBuilder::new()
        .layer(TimeoutLayer::new(LONG).deadline(50 * MS).respond_grpc())
        .service(server.channel.clone());
    let status = EchoClient::new(channel).one("a").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_as_an_error_keeps_when_to_come_back() {
    let (server, _) = serve(&[]).await;
    let breaker = CircuitBreakerLayer::consecutive_failures(1).open_for(LONG);
    breaker.breaker().force_open();
    let channel = ServiceBuilder::new()
        .layer(
            retry()
                .budget(BudgetRule::unlimited())
                .grpc()
                .wrap_bodies(Body::new),
        )
        .layer(breaker)
        .service(server.channel.clone());
    let mut client = EchoClient::new(channel);
    let status = client.one_with(Request::new("a".to_owned())).await;
    let status = status.unwrap_err();
    let rejection = Rejection::find(&status).expect("a rejection");
    assert_eq!(rejection.reason(), Reason::CircuitOpen);
    assert_eq!(rejection.when(), When::Unknown);
}
