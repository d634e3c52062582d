//! The peers of the breaker, closed and never tripping, as services where they are none themselves.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};
use std::time::Duration;

use failsafe::futures::CircuitBreaker as _;
use failsafe::{Any, FailurePolicy, Instrument, StateMachine, backoff, failure_policy};
use recloser::{AnyError, AsyncRecloser, Recloser, RecloserFuture};
use tower::Service;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, DefaultClassifier, SlidingWindowType};

use super::breaker::Bare;

type Answer = Ready<Result<u32, Infallible>>;

/// recloser's future around the answers of the bare service.
pub(super) struct Reclosed(AsyncRecloser);

impl Reclosed {
    pub(super) fn new() -> Self {
        Self(Recloser::custom().closed_len(100).build().into())
    }
}

impl Service<u32> for Reclosed {
    type Response = u32;
    type Error = recloser::Error<Infallible>;
    type Future = RecloserFuture<Answer, AnyError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: u32) -> Self::Future {
        self.0.call(Bare.call(call))
    }
}

/// failsafe's future around the answers of the bare service.
pub(super) struct Failsafe<P, I>(StateMachine<P, I>);

/// failsafe with five failures in a row.
pub(super) fn failsafe() -> Failsafe<impl FailurePolicy + Send + Sync, ()> {
    let wait = backoff::constant(Duration::from_secs(60));
    let policy = failure_policy::consecutive_failures(5, wait);
    Failsafe(failsafe::Config::new().failure_policy(policy).build())
}

impl<P, I> Service<u32> for Failsafe<P, I>
where
    P: FailurePolicy + Send + Sync,
    I: Instrument + Send + Sync,
{
    type Response = u32;
    type Error = failsafe::Error<Infallible>;
    type Future = failsafe::futures::ResponseFuture<Answer, P, I, Any>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: u32) -> Self::Future {
        self.0.call(Bare.call(call))
    }
}

/// tower-resilience's breaker over the last 100 calls.
pub(super) fn resilience_calls() -> CircuitBreakerLayer<DefaultClassifier> {
    CircuitBreakerLayer::builder()
        .sliding_window_size(100)
        .minimum_number_of_calls(10)
        .build()
        .expect("its defaults make sense")
}

/// tower-resilience's breaker over the last so much time.
pub(super) fn resilience_time(window: Duration) -> CircuitBreakerLayer<DefaultClassifier> {
    CircuitBreakerLayer::builder()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(window)
        .minimum_number_of_calls(10)
        .build()
        .expect("its defaults make sense")
}
