//! What is good by itself and senseless together.

use std::fmt;
use std::time::Duration;

use buttress_circuit_breaker::CircuitBreakerConfig;
use buttress_priority_queue::PriorityQueueConfig;
use buttress_rate_limit::RateLimitConfig;
use buttress_retry::{Jitter, RetryConfig};

use crate::config::StackConfig;
use crate::document::Document;
use crate::order::LayerName;
use crate::problem::Problem;

/// Two settings that are each good and do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The line of the first of them, counted from 1; 0 where there are no lines.
    pub line: usize,
    /// The paths of both.
    pub fields: [&'static str; 2],
    /// What comes of it.
    pub consequence: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.fields;
        if self.line > 0 {
            write!(formatter, "line {}, ", self.line)?;
        }
        write!(
            formatter,
            "fields `{first}` and `{second}`: {}",
            self.consequence
        )
    }
}

/// Two fields, and what comes of them together.
type Found = ([&'static str; 2], &'static str);

/// All of them, in the order of the file.
pub(crate) fn all(document: &Document<'_>, config: &StackConfig) -> Vec<Warning> {
    let mut found: Vec<Option<Found>> = Vec::new();
    // What is senseless in one table is told whether it is enabled or not.
    found.extend(config.retry.iter().flat_map(in_retry));
    found.extend(config.rate_limit.iter().map(in_rate_limit));
    found.extend(config.priority_queue.iter().flat_map(in_queue));
    found.extend(between_tables(config));
    let warning = |(fields, consequence): Found| {
        let path: Vec<&str> = fields[0].split('.').collect();
        Warning {
            line: document.line_of(&path),
            fields,
            consequence,
        }
    };
    let mut warnings: Vec<_> = found.into_iter().flatten().map(warning).collect();
    warnings.sort_by_key(|warning| warning.line);
    warnings
}

/// Layers that are asked by a queue and would wait for themselves: no warning, but an error.
pub(crate) fn waiting_gates(document: &Document<'_>, config: &StackConfig) -> Vec<Problem> {
    if !config.is_enabled(LayerName::PriorityQueue) {
        return Vec::new();
    }
    let waits = |layer: &&LayerName| config.is_enabled(**layer) && wait(config, **layer).is_some();
    let problem = |layer: &LayerName| {
        let reason = "expected no `wait`, as `priority_queue.rate_aware` lets requests wait in the queue instead";
        document.problem_at(&[layer.name(), "wait"], reason)
    };
    config.gates().iter().filter(waits).map(problem).collect()
}

/// How long a layer lets requests wait for its own quotas.
fn wait(config: &StackConfig, layer: LayerName) -> Option<Duration> {
    match layer {
        LayerName::TokenBudget => config.token_budget.as_ref()?.wait,
        LayerName::RateLimit => config.rate_limit.as_ref()?.wait,
        LayerName::Retry | LayerName::PriorityQueue | LayerName::CircuitBreaker => None,
    }
}

fn in_rate_limit(config: &RateLimitConfig) -> Option<Found> {
    (config.shadow && config.wait.is_some()).then_some((
        ["rate_limit.wait", "rate_limit.shadow"],
        "nobody waits in shadow, so `wait` has no effect",
    ))
}

fn in_retry(config: &RetryConfig) -> [Option<Found>; 2] {
    let policy = config.policy;
    let never_timed_out = match (policy.deadline(), policy.attempt_timeout()) {
        (Some(deadline), Some(timeout)) => deadline < timeout,
        _ => false,
    };
    let backoff = policy.backoff();
    // Any other jitter may draw a pause that is shorter than the base.
    let exact = matches!(backoff.jitter(), Jitter::None | Jitter::Decorrelated);
    let never_again = exact
        && policy
            .deadline()
            .is_some_and(|deadline| deadline <= backoff.base());
    [
        never_timed_out.then_some((
            ["retry.deadline", "retry.attempt_timeout"],
            "the deadline comes before an attempt times out, so `attempt_timeout` has no effect",
        )),
        never_again.then_some((
            ["retry.deadline", "retry.base"],
            "the first pause would end at or after the deadline, so nothing is tried again",
        )),
    ]
}

fn in_queue(config: &PriorityQueueConfig) -> [Option<Found>; 3] {
    let (max_wait, ageing) = (config.max_wait, config.ageing);
    let never_rises = ageing
        .zip(max_wait)
        .is_some_and(|(ageing, most)| ageing >= most);
    let nobody_waits = config.capacity == 0;
    [
        never_rises.then_some((
            ["priority_queue.ageing", "priority_queue.max_wait"],
            "nobody waits long enough to rise, so `ageing` has no effect",
        )),
        (nobody_waits && max_wait.is_some()).then_some((
            ["priority_queue.capacity", "priority_queue.max_wait"],
            "nobody can wait, so `max_wait` has no effect",
        )),
        (nobody_waits && config.rate_aware).then_some((
            ["priority_queue.capacity", "priority_queue.rate_aware"],
            "nobody can wait, so whoever a quota holds back is refused at once",
        )),
    ]
}

/// What is senseless in two tables together, of which both are enabled.
fn between_tables(config: &StackConfig) -> Vec<Option<Found>> {
    let enabled = |layer| config.is_enabled(layer);
    let mut found = Vec::new();
    let queue = config.priority_queue.as_ref().filter(|table| table.enabled);
    let retry = config.retry.as_ref().filter(|table| table.enabled);
    let breaker = config
        .circuit_breaker
        .as_ref()
        .filter(|table| table.enabled);
    let position = |name| config.stack.iter().position(|layer| *layer == name);
    let above = |outer, inner| position(outer) < position(inner);
    if let Some(queue) = queue {
        let waits = [
            (LayerName::TokenBudget, "token_budget.wait"),
            (LayerName::RateLimit, "rate_limit.wait"),
        ];
        for (layer, field) in waits {
            let wait = wait(config, layer).filter(|_| enabled(layer));
            let longer = wait
                .zip(queue.max_wait)
                .is_some_and(|(wait, most)| wait > most);
            found.push(longer.then_some((
                [field, "priority_queue.max_wait"],
                "a request may wait longer for a quota than anybody waits in the queue",
            )));
        }
        let asks_nobody = !config
            .gates()
            .iter()
            .any(|layer| enabled(*layer) && *layer != LayerName::Retry);
        found.push((queue.rate_aware && asks_nobody).then_some((
            ["priority_queue.rate_aware", "stack"],
            "nothing that could be asked stands below the queue, so `rate_aware` has no effect",
        )));
        let measures_waits =
            breaker.is_some() && above(LayerName::CircuitBreaker, LayerName::PriorityQueue);
        found.push(measures_waits.then_some((
            ["circuit_breaker", "priority_queue"],
            "the breaker stands above the queue, so it measures the wait in it, and a full queue goes on to the upstream after it has tripped",
        )));
    }
    if let (Some(retry), Some(queue)) = (retry, queue) {
        let deadline = retry.policy.deadline();
        let cut_off = deadline
            .zip(queue.max_wait)
            .is_some_and(|(deadline, most)| deadline < most);
        found.push((cut_off && above(LayerName::Retry, LayerName::PriorityQueue)).then_some((
            ["retry.deadline", "priority_queue.max_wait"],
            "the deadline ends a call before it has waited that long, so `max_wait` has no effect",
        )));
    }
    if let (Some(retry), Some(breaker)) = (retry, breaker) {
        found.push(
            never_slow(retry, breaker)
                .filter(|_| above(LayerName::Retry, LayerName::CircuitBreaker)),
        );
    }
    found
}

/// An attempt that is cut off before it is slow.
fn never_slow(retry: &RetryConfig, breaker: &CircuitBreakerConfig) -> Option<Found> {
    let (timeout, slow) = (retry.policy.attempt_timeout()?, breaker.settings.slow()?);
    (timeout <= slow).then_some((
        ["circuit_breaker.slow_call", "retry.attempt_timeout"],
        "an attempt is cut off before it counts as slow, so no call ever does",
    ))
}
