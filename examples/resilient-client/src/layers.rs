//! The layers, as they are around both clients.

use std::time::Duration;

use buttress::circuit_breaker::{CircuitAsk, CircuitBreaker};
use buttress::core::{AsError, AtHead, ByError, Observed};
use buttress::rate_limit::{RateAsk, Waiting};
use buttress::retry::{Cloned, OnError};
use buttress::{CircuitBreakerLayer, RateLimitLayer, RetryLayer, TimeoutLayer};

use crate::Options;
use crate::voice::{Say, Voice};

/// Outermost first. The breaker is below everything that waits: it sees every attempt, and neither the
/// pauses of the retry nor the pacing count as slowness of the upstream.
#[derive(Debug)]
pub struct Layers {
    /// Tries again, as far as its budget goes.
    pub retry: RetryLayer<Cloned, OnError, AsError, Voice>,
    /// Paces calls, retries among them.
    pub pace: RateLimitLayer<RateAsk, Observed<Waiting, Voice>>,
    /// Leaves an upstream alone that keeps failing.
    pub breaker: CircuitBreakerLayer<CircuitAsk, Observed<CircuitBreaker, Voice>, AtHead<ByError>>,
    /// Cuts calls off that hang, so that the breaker hears of them.
    pub timeout: TimeoutLayer,
}

impl Layers {
    /// The layers, all of which say what they do.
    #[must_use]
    pub fn new(options: &Options, say: &Say) -> Self {
        let millis = Duration::from_millis;
        let retry = RetryLayer::exponential(millis(20)..=millis(200)).attempts(3);
        let retry = match options.patient {
            true => retry.attempts(20).retry_refused(),
            false => retry,
        };
        let breaker = CircuitBreakerLayer::consecutive_failures(3).open_for(millis(300));
        Self {
            retry: retry.observe(Voice::new("retry", say)),
            pace: RateLimitLayer::new(options.pace.clone())
                .wait(Duration::from_secs(10))
                .observe(Voice::new("pace", say)),
            breaker: breaker.observe(Voice::new("breaker", say)),
            timeout: TimeoutLayer::new(millis(1_000)),
        }
    }
}
