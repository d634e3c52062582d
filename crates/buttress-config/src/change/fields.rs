//! Field by field, and whether all of it can be.

use std::fmt;

use buttress_circuit_breaker::CircuitBreakerConfig;
use buttress_priority_queue::{PriorityQueueConfig, Settings};
use buttress_rate_limit::{Limits, RateLimitConfig};
use buttress_retry::RetryConfig;
use buttress_token_budget::TokenBudgetConfig;

use super::Changes;
use crate::config::StackConfig;
use crate::live::BuildError;
use crate::order::LayerName;

pub(super) fn retry_fields(held: &RetryConfig, said: &RetryConfig, changes: &mut Changes) -> bool {
    let (old, new) = (held.policy, said.policy);
    let (slow, fast) = (old.backoff(), new.backoff());
    let fields = [
        ("retry.attempts", old.attempts() != new.attempts()),
        ("retry.base", slow.base() != fast.base()),
        ("retry.max", slow.max() != fast.max()),
        ("retry.multiplier", slow.multiplier() != fast.multiplier()),
        ("retry.jitter", slow.jitter() != fast.jitter()),
        ("retry.methods", held.methods != said.methods),
        (
            "retry.attempt_timeout",
            old.attempt_timeout() != new.attempt_timeout(),
        ),
        ("retry.deadline", old.deadline() != new.deadline()),
        (
            "retry.max_retry_after",
            old.max_retry_after() != new.max_retry_after(),
        ),
        ("retry.budget", held.budget != said.budget),
    ];
    for (field, changed) in fields {
        changes.live(field, changed);
    }
    // A preset can also say what has no field.
    let unnamed = old != new && !fields.iter().any(|(_, changed)| *changed);
    changes.live("retry.preset", unnamed);
    unnamed || fields.iter().any(|(_, changed)| *changed)
}

pub(super) fn queue_fields(
    held: &PriorityQueueConfig,
    said: &PriorityQueueConfig,
    changes: &mut Changes,
    settings: &mut Settings,
) -> bool {
    let mut any = false;
    let mut set = |field, changed, change: &mut dyn FnMut(&mut Settings)| {
        if changes.live(field, changed) {
            any = true;
            change(settings);
        }
    };
    set(
        "priority_queue.concurrency",
        held.concurrency != said.concurrency,
        &mut |settings| {
            settings.limit = said.concurrency.into();
        },
    );
    set(
        "priority_queue.capacity",
        held.capacity != said.capacity,
        &mut |settings| {
            settings.capacity = said.capacity;
        },
    );
    set(
        "priority_queue.max_wait",
        held.max_wait != said.max_wait,
        &mut |settings| {
            settings.max_wait = said.max_wait;
        },
    );
    set(
        "priority_queue.fair",
        held.fair != said.fair,
        &mut |settings| {
            settings.fair = said.fair;
        },
    );
    set(
        "priority_queue.ageing",
        held.ageing != said.ageing,
        &mut |settings| {
            settings.ageing = said.ageing;
        },
    );
    any
}

/// Whether all of it can be in force, before any of it is.
pub(super) fn check(config: &StackConfig) -> Result<(), BuildError> {
    let error = |table, error: &dyn fmt::Display| BuildError::new(table, error);
    if let Some(table) = &config.rate_limit {
        check_limiter(table).map_err(|problem| error(LayerName::RateLimit, &problem))?;
    }
    if let Some(table) = &config.token_budget {
        check_budget(table).map_err(|problem| error(LayerName::TokenBudget, &problem))?;
    }
    if let Some(CircuitBreakerConfig { settings, .. }) = &config.circuit_breaker {
        let checked = settings.check();
        checked.map_err(|problem| error(LayerName::CircuitBreaker, &problem))?;
    }
    if let Some(table) = &config.priority_queue {
        let checked = table.settings().check();
        checked.map_err(|problem| error(LayerName::PriorityQueue, &problem))?;
    }
    Ok(())
}

fn check_limiter(table: &RateLimitConfig) -> Result<(), impl fmt::Display + use<>> {
    let keys = (0..).map(buttress_core::KeyHash::from_number);
    Limits {
        quotas: table.quotas.clone(),
        global: table.global.clone(),
        overrides: keys.zip(table.overrides.values().cloned()).collect(),
        ..Limits::default()
    }
    .check()
}

fn check_budget(table: &TokenBudgetConfig) -> Result<(), impl fmt::Display + use<>> {
    table.budget().map(|_| ())
}
