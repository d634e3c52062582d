//! From a document to a configuration.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use toml::de::{DeValue, ValueDeserializer};

use crate::config::StackConfig;
use crate::contradictions;
use crate::document::Document;
use crate::order::{LayerName, stack};
use crate::problem::{Problem, Problems, expected_one_of};
use crate::text::Text;

/// Keys of the top level that are no tables.
const SETTINGS: &[&str] = &["stack", "seed", "start"];

/// A file of something else altogether need not be listed in full.
const REPORTED: usize = 20;

pub(crate) fn read(text: &Text) -> Result<StackConfig, Problems> {
    let document = Document::parse(text).map_err(|problem| Problems(vec![problem]))?;
    let mut problems = unknown_keys(&document);
    let mut config = StackConfig {
        seed: keep(seed(&document), &mut problems),
        start: keep(start(&document), &mut problems),
        retry: table(&document, LayerName::Retry, &mut problems),
        priority_queue: table(&document, LayerName::PriorityQueue, &mut problems),
        circuit_breaker: table(&document, LayerName::CircuitBreaker, &mut problems),
        token_budget: table(&document, LayerName::TokenBudget, &mut problems),
        rate_limit: table(&document, LayerName::RateLimit, &mut problems),
        ..StackConfig::default()
    };
    // A table that could not be read is no disabled one.
    let disabled = |layer| is_disabled(&config, layer);
    config.stack = stack(&document, disabled, &mut problems);
    problems.extend(contradictions::waiting_gates(&document, &config));
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.line);
        return Err(Problems(problems));
    }
    config.warnings = contradictions::all(&document, &config);
    Ok(config)
}

fn is_disabled(config: &StackConfig, layer: LayerName) -> bool {
    let present = match layer {
        LayerName::Retry => config.retry.is_some(),
        LayerName::PriorityQueue => config.priority_queue.is_some(),
        LayerName::CircuitBreaker => config.circuit_breaker.is_some(),
        LayerName::TokenBudget => config.token_budget.is_some(),
        LayerName::RateLimit => config.rate_limit.is_some(),
    };
    present && !config.is_enabled(layer)
}

/// Reads a layer's table, if there is one.
fn table<T: DeserializeOwned>(
    document: &Document<'_>,
    layer: LayerName,
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
fn keep<T>(read: Result<Option<T>, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|problem| problems.push(problem))
        .ok()
        .flatten()
}

fn unknown_keys(document: &Document<'_>) -> Vec<Problem> {
    let layers = LayerName::ORDER.iter().map(|layer| layer.name());
    let known: Vec<&str> = SETTINGS.iter().copied().chain(layers).collect();
    let unknown = document
        .entries()
        .map(|(key, _)| key)
        .filter(|key| !known.contains(key));
    let problem = |key| document.unknown(key, expected_one_of(key, &known));
    unknown.take(REPORTED).map(problem).collect()
}

fn seed(document: &Document<'_>) -> Result<Option<u64>, Problem> {
    let Some(value) = document.get("seed") else {
        return Ok(None);
    };
    let read = <u64 as serde::Deserialize>::deserialize(ValueDeserializer::from(value.clone()));
    read.map(Some).map_err(|_| {
        document.problem(
            "seed",
            value,
            format!("expected a whole number from 0 to {}", u64::MAX),
        )
    })
}

fn start(document: &Document<'_>) -> Result<Option<SystemTime>, Problem> {
    let Some(value) = document.get("start") else {
        return Ok(None);
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
    let start: Timestamp = text.parse().map_err(wrong)?;
    Ok(Some(start.into()))
}
