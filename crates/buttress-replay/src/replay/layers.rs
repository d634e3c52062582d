//! The layers that admit, each either around a stack or asked by a queue.

use std::sync::Arc;
use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, Window};
use buttress_core::{Ask, AtHead, ByBoxError, Describe, Event, Gate as _, Now};
use buttress_http::{AtBodyEnd, AtUsage, ByStatus, FromFrames};
use buttress_rate_limit::{RateLimitConfig, RateLimitLayer, RateLimiter};
use buttress_token_budget::{Amounts, TokenBudget, TokenBudgetConfig, TokenBudgetLayer};
use http::response::Parts;
use tower::Layer;
use tower::util::MapRequest;

use super::gates::{Gate, Policy as GatePolicy, Wanted};
use super::stack::{Stack, boxed};
use super::upstream::{Call, usage_of};
use super::world::{Left, World};
use crate::policy::Policy;

type Key = Option<Arc<str>>;

/// `[circuit_breaker]`
pub(super) struct Breaker {
    breaker: CircuitBreaker,
    is_keyed: bool,
}

impl Breaker {
    pub(super) fn new(config: &CircuitBreakerConfig, seed: u64, world: &World) -> Self {
        let mut config = config.clone();
        config.seed = Some(seed);
        let epoch = match config.window() {
            // Slices are tenths.
            Window::Time(time) => world.lock().aligned(time / 10),
            Window::Calls(_) => world.lock().aligned(Duration::ZERO),
        };
        let breaker = config
            .builder()
            .epoch(epoch)
            .build()
            .expect("a policy that was read makes sense");
        Self {
            breaker,
            is_keyed: config.by.is_some(),
        }
    }

    pub(super) fn around(self, inner: Stack) -> Stack {
        let layer = CircuitBreakerLayer::from(self.breaker)
            .reading_statuses()
            .classify(ByStatus(ByBoxError))
            .as_box_error();
        match self.is_keyed {
            true => boxed(layer.by(key).layer(inner)),
            false => boxed(layer.layer(inner)),
        }
    }

    pub(super) fn gate(self) -> Gate {
        let policy = GatePolicy::Breaker(self.breaker.clone());
        let layer = CircuitBreakerLayer::from(self.breaker);
        match self.is_keyed {
            true => {
                let (ask, _) = layer.by(key).into_parts();
                Gate::new(policy, move |call, now| {
                    Ok(ask.ask(call, now)?.map(Wanted::Breaker))
                })
            }
            false => {
                let (ask, _) = layer.into_parts();
                Gate::new(policy, move |call, now| {
                    Ok(ask.ask(call, now)?.map(Wanted::Breaker))
                })
            }
        }
    }

    /// How each attempt's own permit is settled.
    pub(super) const fn settle() -> AtBodyEnd<ByStatus<ByBoxError>> {
        AtBodyEnd(ByStatus(ByBoxError))
    }
}

fn key(call: &Call) -> Key {
    Some(Arc::clone(&call.key))
}

/// `[token_budget]`
pub(super) struct Budget {
    pub(super) budget: TokenBudget,
    wait: Option<Duration>,
}

impl Budget {
    pub(super) fn new(config: &TokenBudgetConfig, policy: &Policy, world: &World) -> Self {
        let mut config = config.clone();
        config.seed = Some(policy.seed);
        let budget = config
            .builder()
            .wall_clock(world.lock().wall_clock(policy.start))
            // As many as wait for a rate limit at most.
            .waiters(1 << 20)
            .build()
            .expect("a policy that was read can be enforced");
        Self {
            budget,
            wait: config.wait,
        }
    }

    pub(super) fn around(self, inner: Stack) -> Stack {
        let layer = TokenBudgetLayer::from(self.budget)
            .by(key)
            .estimate(estimate)
            .deadline(|call: &Call| call.deadline)
            .measure_frames(reader)
            .classify_measured(ByStatus(ByBoxError))
            .as_box_error();
        match self.wait {
            Some(wait) => boxed(layer.wait(wait).layer(inner)),
            None => boxed(layer.layer(inner)),
        }
    }

    pub(super) fn gate(self) -> Gate {
        let policy = GatePolicy::Budget(self.budget.clone());
        let layer = TokenBudgetLayer::from(self.budget);
        let (ask, _) = layer.by(key).estimate(estimate).into_parts();
        Gate::new(policy, move |call, now| {
            Ok(ask.ask(call, now)?.map(Wanted::Budget))
        })
    }

    /// How each attempt's own permit is settled.
    pub(super) fn settle() -> AtUsage<Reader, ByStatus<ByBoxError>> {
        let reader: Reader = FromFrames(reader);
        AtUsage::new(reader).classify(ByStatus(ByBoxError))
    }
}

fn estimate(call: &Call) -> Option<Amounts> {
    call.estimate.map(Amounts::total)
}

/// Reads what was used from the last piece of a body.
pub(super) fn reader(_: &Parts) -> fn(&[u8]) -> Option<Amounts> {
    |piece| usage_of(piece).map(Amounts::total)
}

/// What reads the tokens used from a response.
pub(super) type Reader = FromFrames<fn(&Parts) -> fn(&[u8]) -> Option<Amounts>>;

/// `[rate_limit]`
pub(super) struct Limit {
    pub(super) limiter: RateLimiter,
    wait: Option<Duration>,
    world: World,
}

impl Limit {
    pub(super) fn new(config: &RateLimitConfig, policy: &Policy, world: &World) -> Self {
        let mut config = config.clone();
        config.seed = Some(policy.seed);
        let limiter = config
            .builder()
            .wall_clock(world.lock().wall_clock(policy.start))
            .build()
            .expect("a policy that was read can be enforced");
        Self {
            limiter,
            wait: config.wait,
            world: world.clone(),
        }
    }

    pub(super) fn around(self, inner: Stack) -> Stack {
        let layer = RateLimitLayer::from(self.limiter.clone())
            .by(key)
            .cost(cost)
            .deadline(|call: &Call| call.deadline)
            .as_box_error();
        let inner = probed(inner, self.limiter, self.world.clone());
        let world = self.world;
        let observe = move |event| {
            if let Event::Admitted { shadowed: true } = event {
                let mut world = world.lock();
                let polled = world.polled;
                world.records[polled].shadowed = true;
            }
        };
        match self.wait {
            Some(wait) => Stack::new(layer.wait(wait).observe(observe).layer(inner)),
            None => Stack::new(layer.observe(observe).layer(inner)),
        }
    }

    pub(super) fn gate(self) -> Gate {
        let layer = RateLimitLayer::from(self.limiter.clone())
            .by(key)
            .cost(cost);
        let (ask, _) = layer.into_parts();
        let policy = GatePolicy::Rate(self.limiter, self.world);
        Gate::new(policy, move |call, now| {
            let wanted = |demand| Wanted::Rate(demand, Arc::clone(&call.key));
            Ok(ask.ask(call, now)?.map(wanted))
        })
    }

    /// How each attempt's own permit is settled: what was spent stays spent.
    pub(super) const fn settle() -> AtHead<ByBoxError> {
        AtHead(ByBoxError)
    }
}

fn cost(call: &Call) -> u64 {
    call.cost
}

/// Notes what is left just after an admission, which is when the limiter calls the service below it.
fn probed(inner: Stack, limiter: RateLimiter, world: World) -> Stack {
    Stack::new(MapRequest::new(inner, move |call: Call| {
        let left = scarcest(&limiter, &call.key);
        world.lock().records[call.request].left = left;
        call
    }))
}

/// What is left in the rate limit's scarcest quota.
pub(super) fn scarcest(limiter: &RateLimiter, key: &str) -> Option<Left> {
    let mut scarcest: Option<Left> = None;
    limiter.standings(limiter.hash(key), &Now::new(), &mut |standing| {
        let left = Left {
            remaining: standing.remaining,
            limit: standing.capacity,
        };
        if scarcest.is_none_or(|scarcest| left.remaining < scarcest.remaining) {
            scarcest = Some(left);
        }
    });
    scarcest
}
