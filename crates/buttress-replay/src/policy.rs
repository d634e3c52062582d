//! The policy: which layers stand in the stack, in which order, and how each is set.

use std::time::Duration;

use buttress_circuit_breaker::CircuitBreakerConfig;
use buttress_priority_queue::PriorityQueueConfig;
use buttress_rate_limit::RateLimitConfig;
use buttress_retry::RetryConfig;
use buttress_token_budget::TokenBudgetConfig;
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
    /// `priority_queue`
    PriorityQueue,
    /// `circuit_breaker`
    CircuitBreaker,
    /// `token_budget`
    TokenBudget,
    /// `rate_limit`
    RateLimit,
}

impl Layer {
    /// The layers in the order that they have without a `stack`, outermost first.
    pub const ORDER: &'static [Self] = &[
        Self::Retry,
        Self::PriorityQueue,
        Self::CircuitBreaker,
        Self::TokenBudget,
        Self::RateLimit,
    ];

    /// The name of the layer's table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::PriorityQueue => "priority_queue",
            Self::CircuitBreaker => "circuit_breaker",
            Self::TokenBudget => "token_budget",
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
    fn read(document: &Document<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            retry: table(document, Layer::Retry, problems),
            priority_queue: table(document, Layer::PriorityQueue, problems),
            circuit_breaker: table(document, Layer::CircuitBreaker, problems),
            token_budget: table(document, Layer::TokenBudget, problems),
            rate_limit: table(document, Layer::RateLimit, problems),
        }
    }

    fn is_disabled(&self, layer: Layer) -> bool {
        let enabled = match layer {
            Layer::Retry => self.retry.as_ref().map(|table| table.enabled),
            Layer::PriorityQueue => self.priority_queue.as_ref().map(|table| table.enabled),
            Layer::CircuitBreaker => self.circuit_breaker.as_ref().map(|table| table.enabled),
            Layer::TokenBudget => self.token_budget.as_ref().map(|table| table.enabled),
            Layer::RateLimit => self.rate_limit.as_ref().map(|table| table.enabled),
        };
        enabled == Some(false)
    }

    fn enabled(self) -> Self {
        Self {
            retry: self.retry.filter(|table| table.enabled),
            priority_queue: self.priority_queue.filter(|table| table.enabled),
            circuit_breaker: self.circuit_breaker.filter(|table| table.enabled),
            token_budget: self.token_budget.filter(|table| table.enabled),
            rate_limit: self.rate_limit.filter(|table| table.enabled),
        }
    }

    /// How long a layer lets requests wait for its own quotas.
    pub(crate) fn wait(&self, layer: Layer) -> Option<Duration> {
        match layer {
            Layer::TokenBudget => self.token_budget.as_ref()?.wait,
            Layer::RateLimit => self.rate_limit.as_ref()?.wait,
            Layer::Retry | Layer::PriorityQueue | Layer::CircuitBreaker => None,
        }
    }

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
        let document = Document::parse(file).map_err(|problem| vec![problem])?;
        let mut problems = unknown_keys(&document);
        let seed = keep(seed(&document), &mut problems);
        let start = keep(start(&document), &mut problems);
        let tables = Tables::read(&document, &mut problems);
        let stack = stack(&document, |layer| tables.is_disabled(layer), &mut problems);
        let mut warnings = contradictions::within_tables(&document, &tables);
        let tables = tables.enabled();
        warnings.extend(contradictions::between_tables(&document, &tables));
        warnings.sort_by_key(|warning| warning.line);
        problems.extend(waiting_gates(&document, &stack, &tables));
        match (seed, start) {
            (Some(seed), Some(start)) if problems.is_empty() => Ok(Self {
                stack,
                seed,
                start,
                tables,
                warnings,
            }),
            _ => {
                problems.sort_by_key(|problem| problem.line);
                Err(problems)
            }
        }
    }
}

/// Layers that are asked by a queue and would wait for themselves.
fn waiting_gates(document: &Document<'_>, stack: &[Layer], tables: &Tables) -> Vec<Problem> {
    let below = stack
        .iter()
        .skip_while(|layer| **layer != Layer::PriorityQueue);
    let gates = below.filter(|layer| tables.is_rate_aware() && tables.wait(**layer).is_some());
    let problem = |layer: &Layer| {
        let reason = "expected no `wait`, as `priority_queue.rate_aware` lets requests wait in the queue instead";
        document.problem_at(&[layer.name(), "wait"], reason)
    };
    gates.map(problem).collect()
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
    let problem = |key| document.unknown(key, expected_one_of(key, &known));
    // A file of something else altogether need not be listed in full.
    unknown.take(20).map(problem).collect()
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
        return Err(expected_one_of(name, &known));
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
