//! Circuit breakers over a ready service that does nothing, closed, with calls that succeed.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_circuit_breaker::CircuitBreakerLayer;
use tower::{Layer, Service};

use super::breaker_peers as peers;
use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const CONCURRENCY: &str = "tower ConcurrencyLimit";
const CONSECUTIVE: &str = "CircuitBreakerLayer, run of failures";

/// As long as no run of the benches takes.
const LONG: Duration = Duration::from_secs(3_600);

/// Always ready, answers at once.
#[derive(Clone, Copy)]
pub(super) struct Bare;

impl Service<u32> for Bare {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: u32) -> Self::Future {
        ready(Ok(call))
    }
}

/// Breakers that let everything through.
pub(super) fn closed() -> Group {
    let concurrency = tower::limit::ConcurrencyLimitLayer::new(1_024).layer(Bare);
    let mut cases = vec![sent_to(BARE, Bare), sent_to(CONCURRENCY, concurrency)];
    cases.extend(ours());
    cases.extend(theirs());
    Group::new("circuit breaker, closed", CONCURRENCY, cases).over(BARE)
}

fn ours() -> Vec<Case> {
    let long = CircuitBreakerLayer::failure_rate(0.5).window(LONG);
    let short = CircuitBreakerLayer::failure_rate(0.5).window(Duration::from_millis(1));
    let slow = CircuitBreakerLayer::slow_call_rate(0.5, LONG);
    let run = CircuitBreakerLayer::consecutive_failures(5);
    let by_key = CircuitBreakerLayer::consecutive_failures(5).by(|call: &u32| Some(call % 64));
    let open = CircuitBreakerLayer::consecutive_failures(5);
    open.breaker().force_open();
    let case = |name, service: CircuitBroken| sent_to(name, service).aim(Aim::Allocations(0.0));
    vec![
        case(CONSECUTIVE, run.layer(Bare)).aim(Aim::Times(CONCURRENCY, 1.0)),
        case(
            "CircuitBreakerLayer, window of 100 calls",
            CircuitBreakerLayer::failure_rate(0.5).layer(Bare),
        )
        .aim(Aim::Times(CONCURRENCY, 1.0)),
        case("CircuitBreakerLayer, window of an hour", long.layer(Bare))
            .aim(Aim::Times(CONCURRENCY, 2.0)),
        case("CircuitBreakerLayer, window of 1 ms", short.layer(Bare))
            .aim(Aim::Times(CONCURRENCY, 2.0)),
        case("CircuitBreakerLayer, slow calls", slow.layer(Bare)).aim(Aim::Times(CONCURRENCY, 2.0)),
        sent_to(
            "CircuitBreakerLayer, run of failures, by key",
            by_key.layer(Bare),
        )
        .aim(Aim::Allocations(0.0)),
        case("CircuitBreakerLayer, forced open", open.layer(Bare)),
    ]
}

type CircuitBroken = buttress_circuit_breaker::CircuitBroken<Bare>;

fn theirs() -> Vec<Case> {
    vec![
        sent_to("recloser", peers::Reclosed::new()),
        sent_to("failsafe, run of failures", peers::failsafe()),
        sent_to(
            "tower-resilience, window of 100 calls",
            peers::resilience_calls().layer(Bare),
        ),
        sent_to(
            "tower-resilience, window of 1 ms",
            peers::resilience_time(Duration::from_millis(1)).layer(Bare),
        ),
    ]
}

fn sent_to(name: &'static str, service: impl Service<u32> + 'static) -> Case {
    let mut index = 0_u32;
    let request = move || {
        index = index.wrapping_add(1);
        index
    };
    Case::new(name, drive::service(service, request))
}
