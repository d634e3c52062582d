//! The layers, as they are around both clients.

use std::time::Duration;

use buttress::circuit_breaker::{CircuitAsk, CircuitBreaker};
use buttress::core::{AsError, AtHead, ByError, Observed};
use buttress::metrics::{LayerMetrics, RefusalObserver};
use buttress::rate_limit::{RateAsk, Waiting};
use buttress::retry::{Cloned, OnError};
use buttress::{CircuitBreakerLayer, RateLimitLayer, RetryLayer, TimeoutLayer};

use crate::Options;
use crate::operations::Operations;
use crate::voice::{Say, Voice};

/// What hears what a layer does: it is said, counted, and of refusals the latest are kept.
pub type Heard = (Voice, (LayerMetrics, RefusalObserver));

/// Outermost first. The breaker is below everything that waits: it sees every attempt, and neither the
/// pauses of the retry nor the pacing count as slowness of the upstream.
#[derive(Debug)]
pub struct Layers {
    /// Tries again, as far as its budget goes.
    pub retry: RetryLayer<Cloned, OnError, AsError, Heard>,
    /// Paces calls, retries among them.
    pub pace: RateLimitLayer<RateAsk, Observed<Waiting, Heard>>,
    /// Leaves an upstream alone that keeps failing.
    pub breaker: CircuitBreakerLayer<CircuitAsk, Observed<CircuitBreaker, Heard>, AtHead<ByError>>,
    /// Cuts calls off that hang, so that the breaker hears of them.
    pub timeout: TimeoutLayer,
}

impl Layers {
    /// The layers, all of which say what they do.
    #[must_use]
    pub(crate) fn new(options: &Options, say: &Say, operations: &Operations) -> Self {
        let millis = Duration::from_millis;
        let retry = RetryLayer::exponential(millis(20)..=millis(200)).attempts(3);
        let retry = match options.patient {
            true => retry.attempts(20).retry_refused(),
            false => retry,
        };
        let breaker = CircuitBreakerLayer::consecutive_failures(3).open_for(millis(300));
        let hears = |layer| (Voice::new(layer, say), operations.observer(layer));
        Self {
            retry: retry.observe(hears("retry")),
            pace: RateLimitLayer::new(options.pace.clone())
                .wait(Duration::from_secs(10))
                .observe(hears("pace")),
            breaker: breaker.observe(hears("breaker")),
            timeout: TimeoutLayer::new(millis(1_000)),
        }
    }
}
