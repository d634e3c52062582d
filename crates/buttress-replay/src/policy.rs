//! The policy: which layers stand in the stack, in which order, and how each is set.

use buttress_circuit_breaker::CircuitBreakerConfig;
use buttress_rate_limit::RateLimitConfig;
use buttress_retry::RetryConfig;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use crate::contradictions;
pub use crate::contradictions::Warning;
use crate::document::Document;
use crate::error::{Problem, expected_one_of};

/// A layer that a stack can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// `retry`
    Retry,
    /// `circuit_breaker`
    CircuitBreaker,
    /// `rate_limit`
    RateLimit,
}

impl Layer {
    /// The layers in the order that they have without a `stack`, outermost first.
    pub const ORDER: &'static [Self] = &[Self::Retry, Self::CircuitBreaker, Self::RateLimit];

    /// The name of the layer's table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::CircuitBreaker => "circuit_breaker",
            Self::RateLimit => "rate_limit",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ORDER
            .iter()
            .copied()
            .find(|layer| layer.name() == name)
    }
}

/// Layers of the format that this version does not have.
const ABSENT: &[&str] = &["priority_queue", "token_budget"];

/// Keys of the top level that are no tables.
const SETTINGS: &[&str] = &["stack", "seed", "start"];

/// A policy that was found good.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The enabled layers, outermost first.
    pub stack: Vec<Layer>,
    /// Seeds jitter and the hash of the keyed tables.
    pub seed: u64,
    /// What 0 is in civil time.
    pub start: Timestamp,
    /// The retries, present exactly if they are in the stack.
    pub retry: Option<RetryConfig>,
    /// The circuit breaker, present exactly if it is in the stack.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// The rate limit, present exactly if it is in the stack.
    pub rate_limit: Option<RateLimitConfig>,
    /// Contradictions that are no errors.
    pub warnings: Vec<Warning>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// Everything that was found wrong, in the order of the file; at least one problem.
    pub fn parse(file: &[u8]) -> Result<Self, Vec<Problem>> {
        let document = Document::parse(file).map_err(|problem| vec![problem])?;
        let mut problems = unknown_keys(&document);
        let seed = keep(seed(&document), &mut problems);
        let start = keep(start(&document), &mut problems);
        let retry = table::<RetryConfig>(&document, Layer::Retry, &mut problems);
        let circuit_breaker =
            table::<CircuitBreakerConfig>(&document, Layer::CircuitBreaker, &mut problems);
        let rate_limit = table::<RateLimitConfig>(&document, Layer::RateLimit, &mut problems);
        let disabled = |layer| match layer {
            Layer::Retry => retry.as_ref().is_some_and(|config| !config.enabled),
            Layer::CircuitBreaker => {
                let config = circuit_breaker.as_ref();
                config.is_some_and(|config| !config.enabled)
            }
            Layer::RateLimit => rate_limit.as_ref().is_some_and(|config| !config.enabled),
        };
        let stack = stack(&document, disabled, &mut problems);
        let mut warnings = Vec::new();
        if let Some(config) = &retry {
            warnings.extend(contradictions::of_retry(&document, config));
        }
        if let Some(config) = &rate_limit {
            warnings.extend(contradictions::of_rate_limit(&document, config));
        }
        warnings.sort_by_key(|warning| warning.line);
        match (seed, start) {
            (Some(seed), Some(start)) if problems.is_empty() => Ok(Self {
                stack,
                seed,
                start,
                retry: retry.filter(|config| config.enabled),
                circuit_breaker: circuit_breaker.filter(|config| config.enabled),
                rate_limit: rate_limit.filter(|config| config.enabled),
                warnings,
            }),
            _ => {
                problems.sort_by_key(|problem| problem.line);
                Err(problems)
            }
        }
    }
}

/// Reads a layer's table, if there is one.
fn table<T: DeserializeOwned>(
    document: &Document<'_>,
    layer: Layer,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    document.get(layer.name())?;
    match document.table(layer.name()) {
        Ok(config) => Some(config),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

/// Keeps a value, or the problem with it.
fn keep<T>(read: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|problem| problems.push(problem)).ok()
}

fn unknown_keys(document: &Document<'_>) -> Vec<Problem> {
    let known: Vec<&str> = SETTINGS
        .iter()
        .copied()
        .chain(Layer::ORDER.iter().map(|layer| layer.name()))
        .collect();
    let unknown = document
        .entries()
        .map(|(key, _)| key)
        .filter(|key| !known.contains(key));
    let problem = |key| {
        let reason = if ABSENT.contains(&key) {
            not_yet(key)
        } else {
            expected_one_of(key, &known)
        };
        document.unknown(key, reason)
    };
    // A file of something else altogether need not be listed in full.
    unknown.take(20).map(problem).collect()
}

fn not_yet(name: &str) -> String {
    let layers: Vec<String> = Layer::ORDER
        .iter()
        .map(|layer| format!("`{}`", layer.name()))
        .collect();
    format!(
        "the layer `{name}` does not exist yet in this version: expected only {}",
        layers.join(", ")
    )
}

fn seed(document: &Document<'_>) -> Result<u64, Problem> {
    let Some(value) = document.get("seed") else {
        return Ok(0);
    };
    let read = <u64 as serde::Deserialize>::deserialize(ValueDeserializer::from(value.clone()));
    read.map_err(|_| {
        document.problem(
            "seed",
            value,
            format!("expected a whole number from 0 to {}", u64::MAX),
        )
    })
}

fn start(document: &Document<'_>) -> Result<Timestamp, Problem> {
    let Some(value) = document.get("start") else {
        return Ok(Timestamp::UNIX_EPOCH);
    };
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        _ => String::new(),
    };
    let wrong = |_| {
        let reason = "expected a time with its offset, as RFC 3339 writes it, such as \"2026-03-01T00:00:00Z\"";
        document.problem("start", value, reason)
    };
    text.parse().map_err(wrong)
}

/// The enabled layers in their order.
fn stack(
    document: &Document<'_>,
    disabled: impl Fn(Layer) -> bool,
    problems: &mut Vec<Problem>,
) -> Vec<Layer> {
    let present = |layer: &Layer| document.get(layer.name()).is_some();
    let enabled = |layer: &Layer| present(layer) && !disabled(*layer);
    let Some(value) = document.get("stack") else {
        return Layer::ORDER.iter().copied().filter(enabled).collect();
    };
    let Some(elements) = value.get_ref().as_array() else {
        problems.push(document.problem(
            "stack",
            value,
            "expected a list of the names of tables, outermost first",
        ));
        return Vec::new();
    };
    let mut named = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        match named_layer(element, &named, present) {
            Ok(layer) => named.push(layer),
            Err(reason) => {
                problems.push(document.problem(&format!("stack[{index}]"), element, reason));
            }
        }
    }
    let missing = Layer::ORDER
        .iter()
        .filter(|layer| enabled(layer) && !named.contains(layer));
    for layer in missing {
        let name = layer.name();
        let reason = format!("expected every present table once, and `{name}` is missing");
        problems.push(document.problem("stack", value, reason));
    }
    named.retain(|layer| enabled(layer));
    named
}

/// The layer that an element of `stack` names, or why it may not.
fn named_layer(
    element: &Spanned<DeValue<'_>>,
    named: &[Layer],
    present: impl Fn(&Layer) -> bool,
) -> Result<Layer, String> {
    let name = element
        .get_ref()
        .as_str()
        .ok_or("expected the name of a table, a string")?;
    let Some(layer) = Layer::from_name(name) else {
        let known: Vec<&str> = Layer::ORDER.iter().map(|layer| layer.name()).collect();
        return Err(if ABSENT.contains(&name) {
            not_yet(name)
        } else {
            expected_one_of(name, &known)
        });
    };
    if named.contains(&layer) {
        return Err(format!(
            "expected every present table once, and `{name}` stands here again"
        ));
    }
    if !present(&layer) {
        return Err(format!(
            "expected only tables that are present, and there is no [{name}]"
        ));
    }
    Ok(layer)
}
