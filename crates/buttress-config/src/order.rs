//! The layers and their order.

use toml::Spanned;
use toml::de::DeValue;

use crate::document::Document;
use crate::problem::{Problem, expected_one_of};

/// A layer that a stack can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerName {
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

impl LayerName {
    /// The layers in the order that they have without a `stack`, outermost first.
    pub const ORDER: &'static [Self] = &[
        Self::Retry,
        Self::PriorityQueue,
        Self::CircuitBreaker,
        Self::TokenBudget,
        Self::RateLimit,
    ];

    /// The name of the layer's table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::PriorityQueue => "priority_queue",
            Self::CircuitBreaker => "circuit_breaker",
            Self::TokenBudget => "token_budget",
            Self::RateLimit => "rate_limit",
        }
    }

    /// The layer whose table has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut layers = Self::ORDER.iter().copied();
        layers.find(|layer| layer.name() == name)
    }
}

/// The present tables in their order; a disabled one may be left out.
pub(crate) fn stack(
    document: &Document<'_>,
    disabled: impl Fn(LayerName) -> bool,
    problems: &mut Vec<Problem>,
) -> Vec<LayerName> {
    let present = |layer: &LayerName| document.get(layer.name()).is_some();
    let Some(value) = document.get("stack") else {
        return LayerName::ORDER.iter().copied().filter(present).collect();
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
    let missing = LayerName::ORDER
        .iter()
        .filter(|layer| present(layer) && !disabled(**layer) && !named.contains(layer));
    for layer in missing {
        let name = layer.name();
        let reason = format!("expected every present table once, and `{name}` is missing");
        problems.push(document.problem("stack", value, reason));
    }
    named
}

/// The layer that an element of `stack` names, or why it may not.
fn named_layer(
    element: &Spanned<DeValue<'_>>,
    named: &[LayerName],
    present: impl Fn(&LayerName) -> bool,
) -> Result<LayerName, String> {
    let name = element
        .get_ref()
        .as_str()
        .ok_or("expected the name of a table, a string")?;
    let Some(layer) = LayerName::from_name(name) else {
        let known: Vec<&str> = LayerName::ORDER.iter().map(|layer| layer.name()).collect();
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
