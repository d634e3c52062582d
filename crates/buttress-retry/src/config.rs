//! The `[retry]` table of a configuration file.

use std::fmt;

use buttress_core::duration::Setting;
use serde::{Deserialize, Deserializer, de};

use crate::backoff::{Backoff, Jitter};
use crate::layer::RetryLayer;
use crate::methods::Methods;
use crate::policy::RetryPolicy;
use crate::rule::BudgetRule;
use crate::setting::SettingError;

/// Retries as a configuration file writes them.
///
/// ```
/// use buttress_retry::RetryConfig;
///
/// let config: RetryConfig = serde_json::from_str(
///     r#"{"attempts": 4, "base": "500ms", "max": "8s", "budget": {"ratio": 0.1}}"#,
/// )?;
/// let layer = config.layer();
/// assert_eq!(layer.policy().attempts(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct RetryConfig {
    /// Whether the layer stands in the stack.
    pub enabled: bool,
    /// How often and how long.
    pub policy: RetryPolicy,
    /// Which methods may be repeated; over HTTP, give them to `on`.
    pub methods: Methods,
    /// How many retries there may be.
    pub budget: BudgetRule,
    /// Seeds the jitter, so that runs repeat; at random without one. No key of the table: a configuration
    /// has one seed for all that draws lots.
    pub seed: Option<u64>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            policy: RetryPolicy::default(),
            methods: Methods::default(),
            budget: BudgetRule::default(),
            seed: None,
        }
    }
}

impl RetryConfig {
    /// A layer as configured, with a budget of its own. What is repeated and after what is still to say:
    /// `http`, or [`replay`](RetryLayer::replay) and [`retry_if`](RetryLayer::retry_if).
    #[must_use]
    pub fn layer(&self) -> RetryLayer {
        let layer = RetryLayer::new(self.policy).budget(self.budget);
        match self.seed {
            Some(seed) => layer.seed(seed),
            None => layer,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    enabled: Option<bool>,
    preset: Option<Preset>,
    attempts: Option<u32>,
    base: Option<Setting>,
    max: Option<Setting>,
    multiplier: Option<f64>,
    jitter: Option<JitterName>,
    methods: Option<Vec<String>>,
    attempt_timeout: Option<Setting>,
    deadline: Option<Setting>,
    max_retry_after: Option<Setting>,
    budget: Option<Budget>,
}

/// The presets of [`RetryLayer`], by name. Keys that stand beside one have the last word.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    AwsStandard,
    Envoy,
    Finagle,
    GrpcA6,
}

impl Preset {
    fn layer(self) -> RetryLayer {
        match self {
            Self::AwsStandard => RetryLayer::aws_standard(),
            Self::Envoy => RetryLayer::envoy(),
            Self::Finagle => RetryLayer::finagle(),
            Self::GrpcA6 => RetryLayer::grpc_a6(),
        }
    }
}

/// The jitters that have a name alone.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JitterName {
    None,
    Full,
    Equal,
    Decorrelated,
}

impl From<JitterName> for Jitter {
    fn from(name: JitterName) -> Self {
        match name {
            JitterName::None => Self::None,
            JitterName::Full => Self::Full,
            JitterName::Equal => Self::Equal,
            JitterName::Decorrelated => Self::Decorrelated,
        }
    }
}

impl TryFrom<Fields> for RetryConfig {
    type Error = SettingError;

    fn try_from(fields: Fields) -> Result<Self, SettingError> {
        let mut default = Self::default();
        if let Some(preset) = fields.preset {
            let layer = preset.layer();
            default.policy = layer.policy();
            default.budget = layer.retry_budget().rule();
        }
        let backoff = fields.backoff(default.policy.backoff())?;
        let mut policy = default.policy.with_backoff(backoff);
        if let Some(attempts) = fields.attempts {
            policy = policy.with_attempts(attempts)?;
        }
        if let Some(timeout) = fields.attempt_timeout {
            policy = policy.with_attempt_timeout(timeout.0)?;
        }
        if let Some(deadline) = fields.deadline {
            policy = policy.with_deadline(deadline.0)?;
        }
        if let Some(max) = fields.max_retry_after {
            policy = policy.with_max_retry_after(max.0)?;
        }
        Ok(Self {
            enabled: fields.enabled.unwrap_or(true),
            policy,
            methods: fields.methods.map_or(Ok(default.methods), Methods::of)?,
            budget: fields.budget.map_or(default.budget, |budget| budget.0),
            seed: None,
        })
    }
}

impl Fields {
    fn backoff(&self, usual: Backoff) -> Result<Backoff, SettingError> {
        let base = self.base.map_or(usual.base(), |setting| setting.0);
        let max = self.max.map_or(usual.max(), |setting| setting.0);
        // A base above the longest pause is that pause, as every interval is.
        Backoff::exponential(base.min(max), max)?
            .with_multiplier(self.multiplier.unwrap_or(usual.multiplier()))?
            .with_jitter(self.jitter.map_or(usual.jitter(), Jitter::from))
    }
}

/// A table of numbers, or `"none"`.
struct Budget(BudgetRule);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetFields {
    ratio: Option<f64>,
    per_second: Option<f64>,
    reserve: Option<f64>,
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Budget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a budget such as { ratio = 0.2, per_second = 10, reserve = 100 }, or \"none\"",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Budget, E> {
                match text {
                    "none" => Ok(Budget(BudgetRule::unlimited())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Budget, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                let fields = BudgetFields::deserialize(map)?;
                fields.rule().map(Budget).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl BudgetFields {
    fn rule(&self) -> Result<BudgetRule, SettingError> {
        let mut rule = BudgetRule::default();
        if let Some(ratio) = self.ratio {
            rule = rule.try_ratio(ratio)?;
        }
        if let Some(retries) = self.per_second {
            rule = rule.try_per_second(retries)?;
        }
        if let Some(retries) = self.reserve {
            rule = rule.try_reserve(retries)?;
        }
        Ok(rule)
    }
}
