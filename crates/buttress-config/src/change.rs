//! From one configuration in force to another.

mod fields;

use std::fmt;

use buttress_token_budget::{Dimension, Limit};

use self::fields::{check, queue_fields, retry_fields};
use crate::config::StackConfig;
use crate::live::{BuildError, Layers};
use crate::order::LayerName;

/// What another configuration changed, and what of it waits for a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The fields that are in force as they are said now. A table alone stands for what changed of its
    /// settings.
    pub applied: Vec<&'static str>,
    /// The fields that are in force as they were said before.
    pub needs_restart: Vec<NeedsRestart>,
}

/// A field that cannot be changed while the stack works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsRestart {
    /// The path of the field.
    pub field: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Changes {
    /// Whether nothing is said otherwise than before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.needs_restart.is_empty()
    }

    fn live(&mut self, field: &'static str, changed: bool) -> bool {
        if changed {
            self.applied.push(field);
        }
        changed
    }

    /// Keeps what is in force of a field that cannot be changed.
    fn keep<T: Clone + PartialEq>(
        &mut self,
        field: &'static str,
        held: &T,
        said: &mut T,
        reason: &'static str,
    ) {
        if held != said {
            self.needs_restart.push(NeedsRestart { field, reason });
            *said = held.clone();
        }
    }
}

/// One line for each list that is not empty.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changed");
        }
        if !self.applied.is_empty() {
            write!(f, "applied: {}", self.applied.join(", "))?;
        }
        for (index, waits) in self.needs_restart.iter().enumerate() {
            if index > 0 || !self.applied.is_empty() {
                f.write_str("\n")?;
            }
            write!(f, "needs a restart: {}: {}", waits.field, waits.reason)?;
        }
        Ok(())
    }
}

const BUILT_ONCE: &str = "the layers are built and put in their order once";
const HASHED: &str = "keys are hashed with it";
const TABLE_SIZE: &str = "the table of keys is made once";
const GATES: &str = "what the queue asks is put behind it once";
const CIRCUITS: &str = "whose circuit a call needs is fixed when the stack is built";
const ASKED: &str = "the queue asks this layer, so it has no wait of its own";

impl Layers {
    pub(crate) fn apply(&self, config: &StackConfig) -> Result<Changes, BuildError> {
        let mut held = self.config.lock();
        check(config)?;
        let mut said = config.clone();
        let mut changes = Changes::default();
        let order: Vec<_> = (said.stack.iter().copied())
            .filter(|layer| self.order.contains(layer))
            .collect();
        let missing: Vec<_> = (self.order.iter())
            .filter(|layer| !order.contains(layer))
            .collect();
        let moved = self
            .order
            .iter()
            .filter(|layer| !missing.contains(layer))
            .ne(&order);
        if moved {
            let reason = BUILT_ONCE;
            changes.needs_restart.push(NeedsRestart {
                field: "stack",
                reason,
            });
        }
        said.stack.clone_from(&held.stack);
        changes.keep("seed", &held.seed, &mut said.seed, HASHED);
        for layer in LayerName::ORDER {
            if !self.order.contains(layer) && said.has(*layer) {
                let (field, reason) = (layer.name(), BUILT_ONCE);
                changes.needs_restart.push(NeedsRestart { field, reason });
                said.remove(*layer);
            }
        }
        self.change_limiter(&held, &mut said, &mut changes)?;
        self.change_budget(&held, &mut said, &mut changes)?;
        self.change_retry(&held, &mut said, &mut changes);
        self.change_breaker(&held, &mut said, &mut changes)?;
        self.change_queue(&held, &mut said, &mut changes)?;
        *held = said;
        Ok(changes)
    }

    fn is_gate(&self, layer: LayerName) -> bool {
        self.gates.contains(&layer)
    }

    fn change_limiter(
        &self,
        held: &StackConfig,
        said: &mut StackConfig,
        changes: &mut Changes,
    ) -> Result<(), BuildError> {
        let (Some(live), Some(held)) = (&self.limiter, &held.rate_limit) else {
            return Ok(());
        };
        let Some(table) = &mut said.rate_limit else {
            live.switch.set(false);
            changes.live("rate_limit", held.enabled);
            said.rate_limit = Some(off(held.clone(), |table| table.enabled = false));
            return Ok(());
        };
        let said = table;
        let refused = |error| BuildError::new(LayerName::RateLimit, error);
        let quotas = changes.live("rate_limit.quotas", held.quotas != said.quotas);
        let global = changes.live("rate_limit.global", held.global != said.global);
        let overrides = changes.live("rate_limit.overrides", held.overrides != said.overrides);
        if quotas || global || overrides {
            let mut limits = live.handle.limits();
            if quotas {
                limits.quotas.clone_from(&said.quotas);
            }
            if global {
                limits.global.clone_from(&said.global);
            }
            if overrides {
                let hashed = |(key, quotas): (&String, &Vec<_>)| {
                    (live.handle.hash(key.as_str()), quotas.clone())
                };
                limits.overrides = said.overrides.iter().map(hashed).collect();
            }
            live.handle.set_limits(limits).map_err(refused)?;
        }
        if changes.live("rate_limit.shadow", held.shadow != said.shadow) {
            live.handle.set_shadow(said.shadow);
        }
        if self.is_gate(LayerName::RateLimit) {
            changes.keep("rate_limit.wait", &held.wait, &mut said.wait, ASKED);
        } else if changes.live("rate_limit.wait", held.wait != said.wait) {
            live.wait.set(said.wait);
        }
        changes.keep("rate_limit.keys", &held.keys, &mut said.keys, TABLE_SIZE);
        if changes.live("rate_limit.enabled", held.enabled != said.enabled) {
            live.switch.set(said.enabled);
        }
        Ok(())
    }

    fn change_budget(
        &self,
        held: &StackConfig,
        said: &mut StackConfig,
        changes: &mut Changes,
    ) -> Result<(), BuildError> {
        let (Some(live), Some(held)) = (&self.budget, &held.token_budget) else {
            return Ok(());
        };
        let Some(table) = &mut said.token_budget else {
            live.switch.set(false);
            changes.live("token_budget", held.enabled);
            said.token_budget = Some(off(held.clone(), |table| table.enabled = false));
            return Ok(());
        };
        let said = table;
        let refused = |error| BuildError::new(LayerName::TokenBudget, error);
        let total = |quotas: &[buttress_token_budget::Quota]| -> Vec<Limit> {
            let limit = |quota: &_| Limit::new(Dimension::TOTAL, Clone::clone(quota));
            quotas.iter().map(limit).collect()
        };
        let limits = changes.live("token_budget.limits", held.limits != said.limits);
        let global = changes.live("token_budget.global", held.global != said.global);
        if limits || global {
            // One scope is kept by key, the other for all together; what is not said otherwise stays.
            let mut scopes = live.handle.limits();
            for (scope, (changed, said)) in scopes
                .iter_mut()
                .zip([(limits, &said.limits), (global, &said.global)])
            {
                if changed {
                    *scope = total(said);
                }
            }
            live.handle.set_all_limits(scopes).map_err(refused)?;
        }
        if self.is_gate(LayerName::TokenBudget) {
            changes.keep("token_budget.wait", &held.wait, &mut said.wait, ASKED);
        } else if changes.live("token_budget.wait", held.wait != said.wait) {
            live.wait.set(said.wait);
        }
        if changes.live("token_budget.enabled", held.enabled != said.enabled) {
            live.switch.set(said.enabled);
        }
        Ok(())
    }

    fn change_retry(&self, held: &StackConfig, said: &mut StackConfig, changes: &mut Changes) {
        let (Some(live), Some(held)) = (&self.retry, &held.retry) else {
            return;
        };
        let Some(table) = &said.retry else {
            live.switch.set(false);
            changes.live("retry", held.enabled);
            said.retry = Some(off(held.clone(), |table| table.enabled = false));
            return;
        };
        let said = table;
        if retry_fields(held, said, changes) {
            live.set(said);
        }
        if changes.live("retry.enabled", held.enabled != said.enabled) {
            live.switch.set(said.enabled);
        }
    }

    fn change_breaker(
        &self,
        held: &StackConfig,
        said: &mut StackConfig,
        changes: &mut Changes,
    ) -> Result<(), BuildError> {
        let (Some(live), Some(held)) = (&self.breaker, &held.circuit_breaker) else {
            return Ok(());
        };
        let Some(table) = &mut said.circuit_breaker else {
            live.switch.set(false);
            changes.live("circuit_breaker", held.enabled);
            said.circuit_breaker = Some(off(held.clone(), |table| table.enabled = false));
            return Ok(());
        };
        let said = table;
        if changes.live("circuit_breaker", held.settings != said.settings) {
            let set = live.handle.set(said.settings.clone());
            set.map_err(|error| BuildError::new(LayerName::CircuitBreaker, error))?;
        }
        changes.keep("circuit_breaker.by", &held.by, &mut said.by, CIRCUITS);
        if changes.live("circuit_breaker.enabled", held.enabled != said.enabled) {
            live.switch.set(said.enabled);
        }
        Ok(())
    }

    fn change_queue(
        &self,
        held: &StackConfig,
        said: &mut StackConfig,
        changes: &mut Changes,
    ) -> Result<(), BuildError> {
        let (Some(live), Some(held)) = (&self.queue, &held.priority_queue) else {
            return Ok(());
        };
        let Some(table) = &mut said.priority_queue else {
            live.switch.set(false);
            changes.live("priority_queue", held.enabled);
            said.priority_queue = Some(off(held.clone(), |table| table.enabled = false));
            return Ok(());
        };
        let said = table;
        let mut settings = live.handle.settings();
        if queue_fields(held, said, changes, &mut settings) {
            let set = live.handle.set(settings);
            set.map_err(|error| BuildError::new(LayerName::PriorityQueue, error))?;
        }
        let field = "priority_queue.rate_aware";
        changes.keep(field, &held.rate_aware, &mut said.rate_aware, GATES);
        if changes.live("priority_queue.enabled", held.enabled != said.enabled) {
            live.switch.set(said.enabled);
        }
        Ok(())
    }
}

/// A table that is not there any more is one that is disabled.
fn off<T>(mut table: T, disable: impl FnOnce(&mut T)) -> T {
    disable(&mut table);
    table
}

impl StackConfig {
    fn has(&self, layer: LayerName) -> bool {
        match layer {
            LayerName::Retry => self.retry.is_some(),
            LayerName::PriorityQueue => self.priority_queue.is_some(),
            LayerName::CircuitBreaker => self.circuit_breaker.is_some(),
            LayerName::TokenBudget => self.token_budget.is_some(),
            LayerName::RateLimit => self.rate_limit.is_some(),
        }
    }
}
