//! The `[token_budget]` table of a configuration file.

use std::time::Duration;

use buttress_core::duration::Setting;
use buttress_quota::Quota;
use buttress_quota::parts::read_setting;
use serde::{Deserialize, Deserializer};

use crate::budget::TokenBudget;
use crate::builder::TokenBudgetBuilder;
use crate::dimension::Dimension;
use crate::limits::LimitsError;

/// A budget of tokens as a configuration file writes it.
///
/// ```
/// use buttress_token_budget::{Amounts, TokenBudgetConfig};
///
/// let config: TokenBudgetConfig = serde_json::from_str(
///     r#"{"limits": ["150000/minute", "2000000/day"], "wait": "30s"}"#,
/// )?;
/// let budget = config.budget()?;
/// assert!(budget.would_fit("alice", Amounts::total(150_001)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct TokenBudgetConfig {
    /// Whether the layer stands in the stack.
    pub enabled: bool,
    /// The quotas of tokens ([`Dimension::TOTAL`]) that are kept per key.
    pub limits: Vec<Quota>,
    /// The quotas of tokens that are kept for all keys together.
    pub global: Vec<Quota>,
    /// How long a request may wait instead of being refused.
    pub wait: Option<Duration>,
    /// Seeds the keyed table's hash, so that runs repeat; at random without one. No key of the table: a
    /// configuration has one seed for all that draws lots.
    pub seed: Option<u64>,
}

impl TokenBudgetConfig {
    /// A budget as configured; `wait` is for the layer to say.
    ///
    /// # Errors
    ///
    /// None for a configuration that was read; one that was changed since may not be enforceable.
    pub fn budget(&self) -> Result<TokenBudget, LimitsError> {
        self.builder().build()
    }

    /// A builder of such a budget, for what no file says: its wall clock.
    #[must_use]
    pub fn builder(&self) -> TokenBudgetBuilder {
        let mut builder = TokenBudget::builder();
        for quota in &self.limits {
            builder = builder.limit(Dimension::TOTAL, quota.clone());
        }
        for quota in &self.global {
            builder = builder.global(Dimension::TOTAL, quota.clone());
        }
        match self.seed {
            Some(seed) => builder.seed(seed),
            None => builder,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(default)]
    limits: Vec<Text>,
    #[serde(default)]
    global: Vec<Text>,
    wait: Option<Setting>,
}

fn enabled() -> bool {
    true
}

impl TryFrom<Fields> for TokenBudgetConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let quotas = |texts: Vec<Text>| texts.into_iter().map(|text| text.0).collect();
        let config = Self {
            enabled: fields.enabled,
            limits: quotas(fields.limits),
            global: quotas(fields.global),
            wait: fields.wait.map(|text| text.0),
            seed: None,
        };
        match config.budget() {
            Ok(_) => Ok(config),
            Err(LimitsError::Nothing) => Err(
                "expected `limits` or `global` with at least one quota, such as limits = [\"150000/minute\"]"
                    .into(),
            ),
            Err(error) => Err(format!("expected limits that can be enforced, but {error}")),
        }
    }
}

/// A quota as text.
struct Text(Quota);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_setting(deserializer, "150000/minute").map(Self)
    }
}
