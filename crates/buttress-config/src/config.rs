//! A whole stack as a value.

use std::time::SystemTime;

use buttress_circuit_breaker::CircuitBreakerConfig;
use buttress_priority_queue::PriorityQueueConfig;
use buttress_rate_limit::RateLimitConfig;
use buttress_retry::RetryConfig;
use buttress_token_budget::TokenBudgetConfig;
use serde::{Deserialize, Deserializer, de};

use crate::contradictions::Warning;
use crate::environment::Environment;
use crate::order::LayerName;
use crate::problem::{Problem, Problems};
use crate::read;
use crate::text::Text;
use crate::tree::Tree;

/// How a whole stack is set: what a configuration file says, read and checked.
///
/// Every layer has its table, all of them optional; a table that is present puts its layer into the stack.
/// The format is on the page `docs/configuration.md` of the project. It is read from TOML with
/// [`from_toml`](Self::from_toml), which tells all that is wrong and where, or through `serde` from any format
/// that describes itself (JSON, YAML, TOML).
///
/// ```
/// use buttress_config::StackConfig;
///
/// let config = StackConfig::from_toml(
///     r#"
///     [priority_queue]
///     concurrency = 12
///     max_wait = "60s"
///
///     [rate_limit]
///     quotas = ["1/second burst 5", "1200/day rolling"]
///     "#,
/// )?;
/// assert!(config.warnings().is_empty());
///
/// let problems = StackConfig::from_toml("[rate_limit]\nquota = ['5/minute']").unwrap_err();
/// assert!(problems.to_string().contains("did you mean `quotas`?"));
/// # Ok::<(), buttress_config::Problems>(())
/// ```
///
/// Two configurations are equal if they say the same, however that is written.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StackConfig {
    /// The order of the layers, outermost first, the disabled ones included.
    pub stack: Vec<LayerName>,
    /// Seeds jitter and the hash of the keyed tables, so that runs repeat; at random without one.
    pub seed: Option<u64>,
    /// What the time 0 of a trace is in civil time, if that is said. Only a replay looks at it.
    pub start: Option<SystemTime>,
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
    pub(crate) warnings: Vec<Warning>,
}

impl StackConfig {
    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// All that is wrong, in the order of the file: the line, the field, what was found and what was expected.
    pub fn from_toml(text: impl AsRef<[u8]>) -> Result<Self, Problems> {
        Self::from_toml_and(text, &Environment::empty())
    }

    /// Reads TOML, of which environment variables override what they name.
    ///
    /// # Errors
    ///
    /// As for [`from_toml`](Self::from_toml); of a variable its name, its value and what was expected.
    pub fn from_toml_and(
        text: impl AsRef<[u8]>,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        let text = Text::toml(text.as_ref(), environment.said());
        read::read(&text.map_err(|problem| Problems(vec![problem]))?)
    }

    /// Reads any format that describes itself, such as JSON or YAML, of which environment variables override
    /// what they name. Without variables `serde_json::from_str` and its like do.
    ///
    /// # Errors
    ///
    /// As for [`from_toml`](Self::from_toml), but without lines, which only the reader of the format knows.
    pub fn from_format_and<'de, D: Deserializer<'de>>(
        deserializer: D,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        let unread = |error: D::Error| {
            let reason = format!("expected a format that can be read, but: {error}");
            Problems(vec![Problem::field(
                0,
                "the whole",
                "no configuration",
                reason,
            )])
        };
        let tree = Tree::deserialize(deserializer).map_err(unread)?;
        let Some(document) = tree.into_toml() else {
            let reason = "expected a table whose keys are `rate_limit` and its like";
            let problem = Problem::field(0, "the whole", "something else than a table", reason);
            return Err(Problems(vec![problem]));
        };
        read::read(&Text::rendered(document, environment.said()))
    }

    /// What is good by itself and senseless together, in the order of the file.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether a layer has a table and is enabled.
    #[must_use]
    pub fn is_enabled(&self, layer: LayerName) -> bool {
        let enabled = match layer {
            LayerName::Retry => self.retry.as_ref().map(|table| table.enabled),
            LayerName::PriorityQueue => self.priority_queue.as_ref().map(|table| table.enabled),
            LayerName::CircuitBreaker => self.circuit_breaker.as_ref().map(|table| table.enabled),
            LayerName::TokenBudget => self.token_budget.as_ref().map(|table| table.enabled),
            LayerName::RateLimit => self.rate_limit.as_ref().map(|table| table.enabled),
        };
        enabled == Some(true)
    }

    /// The layers that a queue asks before it hands out a place, in the order of the stack: those below a
    /// queue that is `rate_aware`.
    pub(crate) fn gates(&self) -> &[LayerName] {
        let aware = self
            .priority_queue
            .as_ref()
            .is_some_and(|queue| queue.rate_aware);
        let queue = self
            .stack
            .iter()
            .position(|layer| *layer == LayerName::PriorityQueue);
        match queue.filter(|_| aware) {
            Some(queue) => self.stack.get(queue + 1..).unwrap_or_default(),
            None => &[],
        }
    }
}

impl PartialEq for StackConfig {
    fn eq(&self, other: &Self) -> bool {
        // The lines of warnings are those of the file and not of what it says.
        (self.stack == other.stack && self.seed == other.seed && self.start == other.start)
            && self.retry == other.retry
            && self.priority_queue == other.priority_queue
            && self.circuit_breaker == other.circuit_breaker
            && self.token_budget == other.token_budget
            && self.rate_limit == other.rate_limit
    }
}

impl<'de> Deserialize<'de> for StackConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Tree::deserialize(deserializer)?;
        let Some(document) = tree.into_toml() else {
            return Err(de::Error::custom(
                "expected a table whose keys are `rate_limit` and its like",
            ));
        };
        read::read(&Text::rendered(document, Vec::new())).map_err(de::Error::custom)
    }
}
