//! What all services of a stack share: the handles of its layers.

use std::fmt;

use buttress_circuit_breaker::CircuitBreaker;
use buttress_priority_queue::PriorityQueue;
use buttress_rate_limit::RateLimiter;
use buttress_token_budget::TokenBudget;
use parking_lot::Mutex;

use crate::config::StackConfig;
use crate::gates::{StackGate, StackGates};
use crate::order::LayerName;
use crate::retry_step::LiveRetry;
use crate::switch::{LiveWait, Switch};

/// A layer that admits, and what can be changed of it that its own handle does not know.
pub(crate) struct Live<H> {
    pub(crate) handle: H,
    pub(crate) switch: Switch,
    pub(crate) wait: LiveWait,
}

/// The layers of a stack.
pub(crate) struct Layers {
    /// What is in force. Whoever changes anything holds it meanwhile.
    pub(crate) config: Mutex<StackConfig>,
    /// Outermost first.
    pub(crate) order: Vec<LayerName>,
    /// Those that the queue asks, in the order of the stack.
    pub(crate) gates: Vec<LayerName>,
    pub(crate) is_keyed: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) retry: Option<LiveRetry>,
    pub(crate) queue: Option<Live<PriorityQueue<StackGates>>>,
    pub(crate) breaker: Option<Live<CircuitBreaker>>,
    pub(crate) budget: Option<Live<TokenBudget>>,
    pub(crate) limiter: Option<Live<RateLimiter>>,
}

/// Why a configuration cannot be in force: it was changed after it was read, or has an order of layers that
/// cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    table: LayerName,
    reason: String,
}

impl BuildError {
    pub(crate) fn new(table: LayerName, reason: impl fmt::Display) -> Self {
        Self {
            table,
            reason: reason.to_string(),
        }
    }

    /// The table that makes no sense.
    #[must_use]
    pub const fn table(&self) -> LayerName {
        self.table
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]: {}", self.table.name(), self.reason)
    }
}

impl std::error::Error for BuildError {}

impl Layers {
    pub(crate) fn new(config: &StackConfig) -> Result<Self, BuildError> {
        let mut kept = config.clone();
        // A disabled table that the order does not name has no place in the stack.
        kept.forget_unplaced();
        ask_every_attempt(&kept)?;
        let breaker = breaker(&kept)?;
        let budget = budget(&kept)?;
        let limiter = limiter(&kept)?;
        let gates = kept.gates().iter().copied();
        let gates: Vec<_> = gates.filter(|layer| *layer != LayerName::Retry).collect();
        let gate = |layer: Option<&LayerName>| -> StackGate {
            let of = match layer {
                Some(LayerName::CircuitBreaker) => breaker
                    .as_ref()
                    .map(|live| StackGate::Breaker(live.handle.clone())),
                Some(LayerName::TokenBudget) => budget
                    .as_ref()
                    .map(|live| StackGate::Budget(live.handle.clone())),
                Some(LayerName::RateLimit) => limiter
                    .as_ref()
                    .map(|live| StackGate::Limiter(live.handle.clone())),
                Some(LayerName::Retry | LayerName::PriorityQueue) | None => None,
            };
            of.unwrap_or(StackGate::Absent)
        };
        let three = (gate(gates.first()), gate(gates.get(1)), gate(gates.get(2)));
        Ok(Self {
            order: kept.stack.clone(),
            is_keyed: kept
                .circuit_breaker
                .as_ref()
                .is_some_and(|table| table.by.is_some()),
            seed: kept.seed,
            retry: kept.retry.as_ref().map(|table| {
                let mut table = table.clone();
                table.seed = kept.seed;
                LiveRetry::new(&table)
            }),
            queue: queue(&kept, three)?,
            breaker,
            budget,
            limiter,
            gates,
            config: Mutex::new(kept),
        })
    }
}

/// What a queue asks, it asks once a request; further attempts of a retry between the two would pass unasked.
fn ask_every_attempt(config: &StackConfig) -> Result<(), BuildError> {
    let mut gates = config.gates().iter();
    let inside = gates
        .find(|layer| **layer == LayerName::Retry)
        .and_then(|_| gates.next());
    let Some(inside) = inside.map(|layer| layer.name()) else {
        return Ok(());
    };
    let reason = format!(
        "field `rate_aware`: found `true`, with `retry` between `priority_queue` and `{inside}` in `stack`, \
         where only the first attempt of a request would be asked: expected `retry` outside of \
         `priority_queue` or inside of `{inside}`, or `rate_aware = false`"
    );
    Err(BuildError::new(LayerName::PriorityQueue, reason))
}

impl StackConfig {
    fn forget_unplaced(&mut self) {
        for layer in LayerName::ORDER {
            if !self.stack.contains(layer) {
                self.remove(*layer);
            }
        }
    }

    pub(crate) fn remove(&mut self, layer: LayerName) {
        match layer {
            LayerName::Retry => self.retry = None,
            LayerName::PriorityQueue => self.priority_queue = None,
            LayerName::CircuitBreaker => self.circuit_breaker = None,
            LayerName::TokenBudget => self.token_budget = None,
            LayerName::RateLimit => self.rate_limit = None,
        }
    }
}

fn limiter(config: &StackConfig) -> Result<Option<Live<RateLimiter>>, BuildError> {
    let Some(table) = &config.rate_limit else {
        return Ok(None);
    };
    let mut table = table.clone();
    table.seed = config.seed;
    let handle = table.limiter();
    Ok(Some(Live {
        handle: handle.map_err(|error| BuildError::new(LayerName::RateLimit, error))?,
        switch: Switch::new(table.enabled),
        wait: LiveWait::new(table.wait),
    }))
}

fn budget(config: &StackConfig) -> Result<Option<Live<TokenBudget>>, BuildError> {
    let Some(table) = &config.token_budget else {
        return Ok(None);
    };
    let mut table = table.clone();
    table.seed = config.seed;
    let handle = table.builder().global_later().build();
    Ok(Some(Live {
        handle: handle.map_err(|error| BuildError::new(LayerName::TokenBudget, error))?,
        switch: Switch::new(table.enabled),
        wait: LiveWait::new(table.wait),
    }))
}

fn breaker(config: &StackConfig) -> Result<Option<Live<CircuitBreaker>>, BuildError> {
    let Some(table) = &config.circuit_breaker else {
        return Ok(None);
    };
    let mut table = table.clone();
    table.seed = config.seed;
    let handle = table.breaker();
    Ok(Some(Live {
        handle: handle.map_err(|error| BuildError::new(LayerName::CircuitBreaker, error))?,
        switch: Switch::new(table.enabled),
        wait: LiveWait::new(None),
    }))
}

fn queue(
    config: &StackConfig,
    gates: StackGates,
) -> Result<Option<Live<PriorityQueue<StackGates>>>, BuildError> {
    let Some(table) = &config.priority_queue else {
        return Ok(None);
    };
    let handle = PriorityQueue::after(table.settings(), gates);
    Ok(Some(Live {
        handle: handle.map_err(|error| BuildError::new(LayerName::PriorityQueue, error))?,
        switch: Switch::new(table.enabled),
        wait: LiveWait::new(None),
    }))
}
