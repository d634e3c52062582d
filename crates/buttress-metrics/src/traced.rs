//! What layers decide, as events of `tracing`.

use std::borrow::Cow;
use std::time::Duration;

use buttress_core::{Event, KeyHash, LimitId, Observe, Outcome, Rejection};
use tracing::{Level, Span};

/// Which layer an event comes from: the event's target, so that `RUST_LOG=buttress_rate_limit=debug` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// `buttress_rate_limit`.
    RateLimit,
    /// `buttress_token_budget`.
    TokenBudget,
    /// `buttress_circuit_breaker`.
    CircuitBreaker,
    /// `buttress_priority_queue`.
    PriorityQueue,
    /// `buttress_retry`.
    Retry,
    /// `buttress_timeout`.
    Timeout,
}

impl Target {
    /// The target's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "buttress_rate_limit",
            Self::TokenBudget => "buttress_token_budget",
            Self::CircuitBreaker => "buttress_circuit_breaker",
            Self::PriorityQueue => "buttress_priority_queue",
            Self::Retry => "buttress_retry",
            Self::Timeout => "buttress_timeout",
        }
    }
}

/// Writes what a layer decides as events of `tracing`: an [`Observe`] for every layer.
///
/// | level | what |
/// |---|---|
/// | `warn` | a circuit has opened, a quota was used to a threshold of 100 % or more |
/// | `info` | every other change of state, other thresholds |
/// | `debug` | refusals, retries, hedges, probes, attempts that are given up, requests that left the queue, what shadow mode let through |
/// | `trace` | admissions, waits, ends |
///
/// Inside a span of [`MetricsLayer::spans`](crate::MetricsLayer) the decision is also written into the span's
/// fields: `admitted_by`, `refused_by`, `refused`, `waited`, `retries`.
///
/// ```
/// use buttress_metrics::{Metrics, Target, Traced};
/// use buttress_rate_limit::{Quota, RateLimitLayer};
///
/// let metrics = Metrics::new();
/// let observers = (metrics.layer("rate_limit"), Traced::new(Target::RateLimit, "rate_limit"));
/// let layer = RateLimitLayer::new(Quota::per_second(10)).observe(observers);
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct Traced {
    target: Target,
    name: Cow<'static, str>,
}

impl Traced {
    /// Writes under a target; the name is the field `layer`.
    #[must_use]
    pub fn new(target: Target, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            target,
            name: name.into(),
        }
    }
}

// A target is part of what `tracing` knows of a place in the code, so every target has its own.
macro_rules! tell {
    ($target:expr, $level:expr, $($fields:tt)+) => {
        match $target {
            Target::RateLimit => tracing::event!(target: "buttress_rate_limit", $level, $($fields)+),
            Target::TokenBudget => tracing::event!(target: "buttress_token_budget", $level, $($fields)+),
            Target::CircuitBreaker => {
                tracing::event!(target: "buttress_circuit_breaker", $level, $($fields)+)
            }
            Target::PriorityQueue => {
                tracing::event!(target: "buttress_priority_queue", $level, $($fields)+)
            }
            Target::Retry => tracing::event!(target: "buttress_retry", $level, $($fields)+),
            Target::Timeout => tracing::event!(target: "buttress_timeout", $level, $($fields)+),
        }
    };
}

impl Observe for Traced {
    fn event(&self, event: Event) {
        let (target, layer) = (self.target, &*self.name);
        match event {
            Event::Admitted { shadowed: true } => {
                tell!(
                    target,
                    Level::DEBUG,
                    layer,
                    "would have been refused, but for shadow mode"
                );
            }
            Event::Admitted { .. } => {
                Span::current().record("admitted_by", layer);
                tell!(target, Level::TRACE, layer, "admitted");
            }
            Event::Rejected(rejection) => self.rejected(rejection),
            Event::Head(outcome) => {
                tell!(target, Level::TRACE, layer, ?outcome, "the head has come");
            }
            Event::Ended(end) => tell!(target, Level::TRACE, layer, ?end, "ended"),
            Event::Queued => tell!(target, Level::TRACE, layer, "waits"),
            Event::Waited(waited) => self.waited(waited),
            Event::Left => tell!(target, Level::DEBUG, layer, "left while it waited"),
            seldom => self.seldom(seldom),
        }
    }
}

impl Traced {
    fn rejected(&self, rejection: Rejection) {
        let layer = &*self.name;
        let reason = rejection.reason().as_str();
        Span::current()
            .record("refused_by", layer)
            .record("refused", reason);
        let retry_after = rejection.retry_after().map(|wait| wait.as_secs_f64());
        tell!(
            self.target,
            Level::DEBUG,
            layer,
            reason,
            retry_after,
            "refused"
        );
    }

    fn waited(&self, waited: Duration) {
        let (layer, waited) = (&*self.name, waited.as_secs_f64());
        Span::current().record("waited", waited);
        tell!(self.target, Level::TRACE, layer, waited, "has waited");
    }
}

impl Traced {
    fn seldom(&self, event: Event) {
        let (target, layer) = (self.target, &*self.name);
        match event {
            Event::StateChanged { key, from, to } => self.state_changed(key, from, to),
            Event::Retrying {
                attempt,
                cause,
                pause,
            } => self.retrying(attempt, cause, pause),
            Event::GivenUp {
                attempt,
                cause,
                reason,
            } => {
                let reason = reason.as_str();
                tell!(
                    target,
                    Level::DEBUG,
                    layer,
                    attempt,
                    ?cause,
                    reason,
                    "given up"
                );
            }
            Event::Threshold { limit, percent } => self.threshold(limit, percent),
            Event::Probing => tell!(target, Level::DEBUG, layer, "probing"),
            Event::Hedged => tell!(target, Level::DEBUG, layer, "hedged"),
            other => tell!(target, Level::DEBUG, layer, event = ?other, "event"),
        }
    }

    fn state_changed(&self, key: KeyHash, from: &str, to: &str) {
        let (target, layer) = (self.target, &*self.name);
        match to {
            "open" => tell!(
                target,
                Level::WARN,
                layer,
                ?key,
                from,
                to,
                "the circuit has opened"
            ),
            _ => tell!(
                target,
                Level::INFO,
                layer,
                ?key,
                from,
                to,
                "the state has changed"
            ),
        }
    }

    fn retrying(&self, attempt: u32, cause: Outcome, pause: Duration) {
        let layer = &*self.name;
        Span::current().record("retries", attempt);
        let pause = pause.as_secs_f64();
        tell!(
            self.target,
            Level::DEBUG,
            layer,
            attempt,
            ?cause,
            pause,
            "retrying"
        );
    }

    fn threshold(&self, limit: LimitId, percent: u8) {
        let (target, layer) = (self.target, &*self.name);
        match percent {
            100.. => tell!(
                target,
                Level::WARN,
                layer,
                ?limit,
                percent,
                "the quota is used up"
            ),
            _ => tell!(
                target,
                Level::INFO,
                layer,
                ?limit,
                percent,
                "much of the quota is used"
            ),
        }
    }
}
