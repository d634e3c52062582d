//! What is good by itself and senseless together.

use std::fmt;

use buttress_rate_limit::RateLimitConfig;
use buttress_retry::RetryConfig;

use crate::document::Document;

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

pub(crate) fn of_rate_limit(
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

pub(crate) fn of_retry(
    document: &Document<'_>,
    config: &RetryConfig,
) -> impl Iterator<Item = Warning> {
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
