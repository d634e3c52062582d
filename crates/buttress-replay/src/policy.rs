//! The policy: a configuration of which only what is enabled counts.

pub use buttress_config::{LayerName as Layer, Warning};

use buttress_circuit_breaker::CircuitBreakerConfig;
use buttress_config::{Problem, StackConfig};
use buttress_priority_queue::PriorityQueueConfig;
use buttress_rate_limit::RateLimitConfig;
use buttress_retry::RetryConfig;
use buttress_token_budget::TokenBudgetConfig;
use jiff::Timestamp;

/// A policy that was found good.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The enabled layers, outermost first.
    pub stack: Vec<Layer>,
    /// Seeds jitter and the hash of the keyed tables.
    pub seed: u64,
    /// What 0 is in civil time.
    pub start: Timestamp,
    /// How the layers are set: present exactly if they are in the stack.
    pub tables: Tables,
    /// Contradictions that are no errors.
    pub warnings: Vec<Warning>,
}

/// The layers' tables.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The retries.
    pub retry: Option<RetryConfig>,
    /// The queue.
    pub priority_queue: Option<PriorityQueueConfig>,
    /// The circuit breaker.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// The budget of tokens.
    pub token_budget: Option<TokenBudgetConfig>,
    /// The rate limit.
    pub rate_limit: Option<RateLimitConfig>,
}

impl Tables {
    /// Whether the queue asks the admissions below it.
    pub(crate) fn is_rate_aware(&self) -> bool {
        let queue = self.priority_queue.as_ref();
        queue.is_some_and(|queue| queue.rate_aware)
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// Everything that was found wrong, in the order of the file; at least one problem.
    pub fn parse(file: &[u8]) -> Result<Self, Vec<Problem>> {
        let config = StackConfig::from_toml(file);
        let config = config.map_err(|problems| problems.into_iter().collect::<Vec<_>>())?;
        let stack = config.stack.iter().copied();
        let start = config.start.map(Timestamp::try_from).transpose();
        Ok(Self {
            stack: stack.filter(|layer| config.is_enabled(*layer)).collect(),
            seed: config.seed.unwrap_or(0),
            start: start
                .expect("a time that was read is one that can be told")
                .unwrap_or(Timestamp::UNIX_EPOCH),
            warnings: config.warnings().to_vec(),
            tables: Tables {
                retry: config.retry.filter(|table| table.enabled),
                priority_queue: config.priority_queue.filter(|table| table.enabled),
                circuit_breaker: config.circuit_breaker.filter(|table| table.enabled),
                token_budget: config.token_budget.filter(|table| table.enabled),
                rate_limit: config.rate_limit.filter(|table| table.enabled),
            },
        })
    }
}
