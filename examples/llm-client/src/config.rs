//! The configuration file: the tables of a policy, as `buttress-replay` reads them.

use std::fmt;

use buttress::circuit_breaker::CircuitBreakerConfig;
use buttress::priority_queue::PriorityQueueConfig;
use buttress::rate_limit::RateLimitConfig;
use buttress::retry::RetryConfig;
use buttress::token_budget::TokenBudgetConfig;
use serde::Deserialize;

/// Which layers stand around the client, and how each is set. What is absent, or not enabled, does not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who tries again.
    pub retry: Option<RetryConfig>,
    /// Who decides who goes next, and asks the three below. It cannot be absent.
    pub priority_queue: PriorityQueueConfig,
    /// Who leaves a provider alone that keeps failing.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// Who keeps to the quota of tokens.
    pub token_budget: Option<TokenBudgetConfig>,
    /// Who keeps to the quota of requests.
    pub rate_limit: Option<RateLimitConfig>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong: the field, what was found, and what to write.
    pub fn read(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
        let wrong = |message: &str| Err(ConfigError(message.to_owned()));
        if !config.priority_queue.enabled {
            return wrong(
                "`priority_queue.enabled` is false; leave it out: this client is built around its queue",
            );
        }
        if !config.priority_queue.rate_aware {
            return wrong(
                "`priority_queue.rate_aware` is false; write `rate_aware = true`: the queue of this client asks \
                 the layers behind it",
            );
        }
        let budget = config.token_budget.as_ref().and_then(|budget| budget.wait);
        let rate = config.rate_limit.as_ref().and_then(|rate| rate.wait);
        for (field, wait) in [("token_budget.wait", budget), ("rate_limit.wait", rate)] {
            if let Some(wait) = wait {
                return wrong(&format!(
                    "`{field}` is {wait:?}; leave it out and set `priority_queue.max_wait`: whoever waits, waits in \
                     the queue"
                ));
            }
        }
        Ok(config.without_disabled())
    }

    fn without_disabled(self) -> Self {
        Self {
            retry: self.retry.filter(|retry| retry.enabled),
            circuit_breaker: self.circuit_breaker.filter(|breaker| breaker.enabled),
            token_budget: self.token_budget.filter(|budget| budget.enabled),
            rate_limit: self.rate_limit.filter(|rate| rate.enabled),
            ..self
        }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl std::error::Error for ConfigError {}
