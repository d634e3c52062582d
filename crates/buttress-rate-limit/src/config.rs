//! The `[rate_limit]` table of a configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use buttress_core::duration::Setting;
use buttress_quota::Quota;
use buttress_quota::parts::read_setting;
use serde::{Deserialize, Deserializer};

use crate::builder::{DEFAULT_KEYS, RateLimiterBuilder};
use crate::limiter::RateLimiter;
use crate::limits::LimitsError;

/// How many keys a table may be rated for: beyond this it would not fit into memory.
const MOST_KEYS: u64 = 1 << 28;

/// A rate limit as a configuration file writes it.
///
/// ```
/// use buttress_rate_limit::RateLimitConfig;
///
/// let config: RateLimitConfig = serde_json::from_str(
///     r#"{"quotas": ["1/second burst 5", "1200/day rolling"], "wait": "30s"}"#,
/// )?;
/// let limiter = config.limiter()?;
/// assert!(limiter.check("alice", 5).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct RateLimitConfig {
    /// Whether the layer stands in the stack.
    pub enabled: bool,
    /// The quotas that are kept per key.
    pub quotas: Vec<Quota>,
    /// The quotas that are kept for all keys together.
    pub global: Vec<Quota>,
    /// How long a request may wait instead of being refused.
    pub wait: Option<Duration>,
    /// How many live keys the table is rated for.
    pub keys: usize,
    /// Whether everything is counted and nothing refused.
    pub shadow: bool,
    /// Other quotas for single keys.
    pub overrides: BTreeMap<String, Vec<Quota>>,
    /// Seeds the keyed table's hash, so that runs repeat; at random without one. No key of the table: a
    /// configuration has one seed for all that draws lots.
    pub seed: Option<u64>,
}

impl RateLimitConfig {
    /// A limiter as configured; `wait` is for the layer to say.
    ///
    /// # Errors
    ///
    /// None for a configuration that was read; one that was changed since may not be enforceable.
    pub fn limiter(&self) -> Result<RateLimiter, LimitsError> {
        self.builder().build()
    }

    /// A builder of such a limiter, for what no file says: its wall clock.
    #[must_use]
    pub fn builder(&self) -> RateLimiterBuilder {
        let mut builder = RateLimiter::builder()
            .quotas(self.quotas.iter().cloned())
            .global(self.global.iter().cloned())
            .keys(self.keys)
            .shadow(self.shadow);
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        for (key, quotas) in &self.overrides {
            builder = builder.override_for(key.clone(), quotas.iter().cloned());
        }
        builder
    }
}

impl fmt::Debug for RateLimitConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitConfig")
            .field("enabled", &self.enabled)
            .field("quotas", &self.quotas)
            .field("global", &self.global)
            .field("wait", &self.wait)
            .field("keys", &self.keys)
            .field("shadow", &self.shadow)
            // Keys can be secrets, and a seed can be aimed at.
            .field("overrides", &self.overrides.len())
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(default)]
    quotas: Vec<Text>,
    #[serde(default)]
    global: Vec<Text>,
    wait: Option<Setting>,
    keys: Option<Keys>,
    #[serde(default)]
    shadow: bool,
    #[serde(default)]
    overrides: BTreeMap<String, OneOrMore>,
}

fn enabled() -> bool {
    true
}

impl TryFrom<Fields> for RateLimitConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let quotas = |texts: Vec<Text>| texts.into_iter().map(|text| text.0).collect();
        let overrides = fields.overrides.into_iter();
        let config = Self {
            enabled: fields.enabled,
            quotas: quotas(fields.quotas),
            global: quotas(fields.global),
            wait: fields.wait.map(|text| text.0),
            keys: fields.keys.map_or(DEFAULT_KEYS, |keys| keys.0),
            shadow: fields.shadow,
            overrides: overrides.map(|(key, list)| (key, quotas(list.0))).collect(),
            seed: None,
        };
        match config.limiter() {
            Ok(_) => Ok(config),
            Err(LimitsError::Nothing) => Err(
                "expected `quotas` or `global` with at least one quota, such as quotas = [\"5/minute\"]"
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
        read_setting(deserializer, "5/minute").map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Vec<Text>")]
struct OneOrMore(Vec<Text>);

impl TryFrom<Vec<Text>> for OneOrMore {
    type Error = &'static str;

    fn try_from(quotas: Vec<Text>) -> Result<Self, Self::Error> {
        match quotas.is_empty() {
            true => Err("expected at least one quota"),
            false => Ok(Self(quotas)),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "u64")]
struct Keys(usize);

impl TryFrom<u64> for Keys {
    type Error = String;

    fn try_from(keys: u64) -> Result<Self, String> {
        let known = usize::try_from(keys).ok();
        known
            .filter(|_| (1..=MOST_KEYS).contains(&keys))
            .map(Self)
            .ok_or_else(|| format!("expected a number of keys from 1 to {MOST_KEYS}"))
    }
}
