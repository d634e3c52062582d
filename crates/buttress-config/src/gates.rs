//! The layers that admit at once, each either a step of the stack or a gate of its queue.

use std::sync::Arc;
use std::task::Waker;

use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitDemand, CircuitTicket};
use buttress_core::{
    Ask, End, Gate as _, KeyHash, LimitId, Now, Outcome, Permit, Policy, Rejection, Ticket, Usage,
};
use buttress_rate_limit::{RateDemand, RateLimitLayer, RateLimiter, Spent};
use buttress_token_budget::{BudgetDemand, Reserved, TokenBudget, TokenBudgetLayer};

use crate::switch::Switch;
use crate::words::{AnyKey, StackRequest, Words, deadline};

/// Reads a demand from a request.
pub(crate) struct AnyAsk<D>(Arc<dyn Ask<StackRequest, Demand = D> + Send + Sync>);

impl<D> Clone for AnyAsk<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> AnyAsk<D> {
    fn new(ask: impl Ask<StackRequest, Demand = D> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl<D> Ask<StackRequest> for AnyAsk<D> {
    type Demand = D;

    fn ask(&self, request: &StackRequest, now: &Now) -> Result<Option<D>, Rejection> {
        self.0.ask(request, now)
    }
}

pub(crate) fn ask_limiter(
    limiter: &RateLimiter,
    switch: &Switch,
    words: &Words,
) -> AnyAsk<RateDemand> {
    let cost = Arc::clone(&words.cost);
    let layer = RateLimitLayer::from(limiter.clone())
        .by(words.key.clone())
        .cost(move |request: &StackRequest| cost(request))
        .unless(switch.clone())
        .deadline(deadline);
    AnyAsk::new(layer.into_parts().0)
}

pub(crate) fn ask_budget(
    budget: &TokenBudget,
    switch: &Switch,
    words: &Words,
) -> AnyAsk<BudgetDemand> {
    let estimate = Arc::clone(&words.estimate);
    let layer = TokenBudgetLayer::from(budget.clone())
        .by(words.key.clone())
        .estimate(move |request: &StackRequest| estimate(request))
        .unless(switch.clone())
        .deadline(deadline);
    AnyAsk::new(layer.into_parts().0)
}

pub(crate) fn ask_breaker(
    breaker: &CircuitBreaker,
    switch: &Switch,
    key: AnyKey,
) -> AnyAsk<CircuitDemand> {
    let layer = CircuitBreakerLayer::from(breaker.clone())
        .by(key)
        .unless(switch.clone());
    AnyAsk::new(layer.into_parts().0)
}

/// A layer that a queue asks before it hands out a place; none where there is no such layer.
#[derive(Clone, Debug)]
pub enum StackGate {
    /// The breaker.
    Breaker(CircuitBreaker),
    /// The budget.
    Budget(TokenBudget),
    /// The rate limit.
    Limiter(RateLimiter),
    /// There is no such layer: it admits everybody.
    Absent,
}

/// What a queue asks before it hands out a place, in the order of the stack.
pub type StackGates = (StackGate, StackGate, StackGate);

/// What is asked of a [`StackGate`].
#[derive(Clone, Copy, Debug)]
pub enum GateDemand {
    /// Of the breaker.
    Breaker(CircuitDemand),
    /// Of the budget.
    Budget(BudgetDemand),
    /// Of the rate limit.
    Limiter(RateDemand),
}

/// What a [`StackGate`] gave.
#[derive(Debug)]
pub enum GateTicket {
    /// The breaker.
    Breaker(Permit<CircuitTicket>),
    /// The budget.
    Budget(Permit<Reserved>),
    /// The rate limit.
    Limiter(Permit<Spent>),
}

/// Reads what a gate is asked.
#[derive(Clone)]
pub(crate) enum GateAsk {
    Breaker(AnyAsk<CircuitDemand>),
    Budget(AnyAsk<BudgetDemand>),
    Limiter(AnyAsk<RateDemand>),
    Absent,
}

impl Ask<StackRequest> for GateAsk {
    type Demand = GateDemand;

    fn ask(&self, request: &StackRequest, now: &Now) -> Result<Option<GateDemand>, Rejection> {
        Ok(match self {
            Self::Breaker(ask) => ask.ask(request, now)?.map(GateDemand::Breaker),
            Self::Budget(ask) => ask.ask(request, now)?.map(GateDemand::Budget),
            Self::Limiter(ask) => ask.ask(request, now)?.map(GateDemand::Limiter),
            Self::Absent => None,
        })
    }
}

/// A gate is asked only what its own ask has read; a demand of another's concerns it as little as none.
impl Policy for StackGate {
    type Demand = GateDemand;
    type Ticket = GateTicket;

    fn would_admit(&self, demand: &GateDemand, now: &Now) -> Result<(), Rejection> {
        match (self, demand) {
            (Self::Breaker(breaker), GateDemand::Breaker(demand)) => {
                Policy::would_admit(breaker, demand, now)
            }
            (Self::Budget(budget), GateDemand::Budget(demand)) => {
                Policy::would_admit(budget, demand, now)
            }
            (Self::Limiter(limiter), GateDemand::Limiter(demand)) => {
                Policy::would_admit(limiter, demand, now)
            }
            _ => Ok(()),
        }
    }

    fn try_admit(&self, demand: &GateDemand, now: &Now) -> Result<Permit<GateTicket>, Rejection> {
        Ok(Permit::new(match (self, demand) {
            (Self::Breaker(breaker), GateDemand::Breaker(demand)) => {
                GateTicket::Breaker(breaker.try_admit(demand, now)?)
            }
            (Self::Budget(budget), GateDemand::Budget(demand)) => {
                GateTicket::Budget(budget.try_admit(demand, now)?)
            }
            (Self::Limiter(limiter), GateDemand::Limiter(demand)) => {
                GateTicket::Limiter(limiter.try_admit(demand, now)?)
            }
            _ => return Ok(Permit::exempt()),
        }))
    }

    fn release(&self, demand: &GateDemand, permit: Permit<GateTicket>, now: &Now) {
        let Some(ticket) = permit.into_ticket() else {
            return;
        };
        match (self, demand, ticket) {
            (Self::Breaker(breaker), GateDemand::Breaker(demand), GateTicket::Breaker(permit)) => {
                breaker.release(demand, permit, now);
            }
            (Self::Budget(budget), GateDemand::Budget(demand), GateTicket::Budget(permit)) => {
                budget.release(demand, permit, now);
            }
            (Self::Limiter(limiter), GateDemand::Limiter(demand), GateTicket::Limiter(permit)) => {
                limiter.release(demand, permit, now);
            }
            (_, _, ticket) => ticket.end(End::Released, now),
        }
    }

    fn refusals(&self, demand: &GateDemand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        match (self, demand) {
            (Self::Breaker(breaker), GateDemand::Breaker(demand)) => {
                Policy::refusals(breaker, demand, now, each);
            }
            (Self::Budget(budget), GateDemand::Budget(demand)) => {
                Policy::refusals(budget, demand, now, each);
            }
            (Self::Limiter(limiter), GateDemand::Limiter(demand)) => {
                Policy::refusals(limiter, demand, now, each);
            }
            _ => {}
        }
    }

    fn touches(&self, demand: &GateDemand, limit: LimitId) -> bool {
        match (self, demand) {
            (Self::Breaker(breaker), GateDemand::Breaker(demand)) => breaker.touches(demand, limit),
            (Self::Budget(budget), GateDemand::Budget(demand)) => budget.touches(demand, limit),
            (Self::Limiter(limiter), GateDemand::Limiter(demand)) => limiter.touches(demand, limit),
            _ => false,
        }
    }

    fn limits(&self, demand: &GateDemand, each: &mut dyn FnMut(LimitId, LimitId)) {
        match (self, demand) {
            (Self::Breaker(breaker), GateDemand::Breaker(demand)) => {
                Policy::limits(breaker, demand, each);
            }
            (Self::Budget(budget), GateDemand::Budget(demand)) => {
                Policy::limits(budget, demand, each);
            }
            (Self::Limiter(limiter), GateDemand::Limiter(demand)) => {
                Policy::limits(limiter, demand, each);
            }
            _ => {}
        }
    }

    fn subscribe(&self, waker: &Waker) {
        match self {
            Self::Breaker(breaker) => breaker.subscribe(waker),
            Self::Budget(budget) => budget.subscribe(waker),
            Self::Limiter(limiter) => limiter.subscribe(waker),
            Self::Absent => {}
        }
    }
}

impl Ticket for GateTicket {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        match self {
            Self::Breaker(permit) => permit.head(outcome, now),
            Self::Budget(permit) => permit.head(outcome, now),
            Self::Limiter(permit) => permit.head(outcome, now),
        }
    }

    fn used(&mut self, usage: Usage, now: &Now) {
        match self {
            Self::Breaker(permit) => permit.used(usage, now),
            Self::Budget(permit) => permit.used(usage, now),
            Self::Limiter(permit) => permit.used(usage, now),
        }
    }

    fn end(self, end: End, now: &Now) {
        match self {
            Self::Breaker(permit) => permit.end(end, now),
            Self::Budget(permit) => permit.end(end, now),
            Self::Limiter(permit) => permit.end(end, now),
        }
    }

    fn shadowed(&self) -> bool {
        match self {
            Self::Limiter(permit) => permit.ticket().is_some_and(Ticket::shadowed),
            Self::Breaker(_) | Self::Budget(_) => false,
        }
    }

    fn key(&self) -> Option<KeyHash> {
        match self {
            Self::Breaker(permit) => permit.ticket()?.key(),
            Self::Budget(permit) => permit.ticket()?.key(),
            Self::Limiter(permit) => permit.ticket()?.key(),
        }
    }
}
