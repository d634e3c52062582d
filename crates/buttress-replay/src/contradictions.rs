//! What is good by itself and senseless together.

use std::fmt;

use buttress_rate_limit::RateLimitConfig;
use buttress_retry::RetryConfig;

use crate::document::Document;
use crate::policy::{Layer, Tables};

/// Two settings that are each good and do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The line of the first of them, counted from 1.
    pub line: usize,
    /// The paths of both.
    pub fields: [&'static str; 2],
    /// What comes of it.
    pub consequence: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.fields;
        write!(
            formatter,
            "line {}, fields `{first}` and `{second}`: {}",
            self.line, self.consequence
        )
    }
}

/// What is senseless in one table, whether it is enabled or not.
pub(crate) fn within_tables(document: &Document<'_>, tables: &Tables) -> Vec<Warning> {
    let retry = tables.retry.iter();
    let retry = retry.flat_map(|config| of_retry(document, config));
    let rate_limit = tables.rate_limit.iter();
    let rate_limit = rate_limit.flat_map(|config| of_rate_limit(document, config));
    retry.chain(rate_limit).collect()
}

/// What is senseless in two tables together, of which both are enabled.
pub(crate) fn between_tables(document: &Document<'_>, tables: &Tables) -> Vec<Warning> {
    let queue = tables.priority_queue.as_ref();
    let Some(max_wait) = queue.and_then(|queue| queue.max_wait) else {
        return Vec::new();
    };
    let waits = [
        (Layer::TokenBudget, "token_budget.wait"),
        (Layer::RateLimit, "rate_limit.wait"),
    ];
    let longer = |layer| tables.wait(layer).is_some_and(|wait| wait > max_wait);
    let longer = waits.into_iter().filter(|(layer, _)| longer(*layer));
    let warning = |(layer, field): (Layer, _)| Warning {
        line: document.line_of(&[layer.name(), "wait"]),
        fields: [field, "priority_queue.max_wait"],
        consequence: "a request may wait longer for a quota than anybody waits in the queue",
    };
    longer.map(warning).collect()
}

fn of_rate_limit(
    document: &Document<'_>,
    config: &RateLimitConfig,
) -> impl Iterator<Item = Warning> {
    let waits_in_shadow = config.shadow && config.wait.is_some();
    let warning = waits_in_shadow.then(|| Warning {
        line: document.line_of(&["rate_limit", "wait"]),
        fields: ["rate_limit.wait", "rate_limit.shadow"],
        consequence: "nobody waits in shadow, so `wait` has no effect",
    });
    warning.into_iter()
}

fn of_retry(document: &Document<'_>, config: &RetryConfig) -> impl Iterator<Item = Warning> {
    let policy = config.policy;
    let never_timed_out = match (policy.deadline(), policy.attempt_timeout()) {
        (Some(deadline), Some(timeout)) => deadline < timeout,
        _ => false,
    };
    let warning = never_timed_out.then(|| Warning {
        line: document.line_of(&["retry", "deadline"]),
        fields: ["retry.deadline", "retry.attempt_timeout"],
        consequence: "the deadline comes before an attempt times out, so `attempt_timeout` has no effect",
    });
    warning.into_iter()
}
