//! What a queue asks before it hands out a place: any of the layers that admit, in any order.

use std::sync::Arc;
use std::task::Waker;

use buttress_circuit_breaker::{CircuitBreaker, CircuitDemand, CircuitTicket};
use buttress_core::{
    AdmitLayer, AsBoxError, Ask, BoxError, End, GateOf, KeyHash, LimitId, Now, Outcome, Path,
    Permit, Policy as Decides, Rejection, Settle, Ticket as _, Usage,
};
use buttress_rate_limit::{RateDemand, RateLimiter, Spent};
use buttress_token_budget::{BudgetDemand, Reserved, TokenBudget};
use bytes::Bytes;
use http::Response;
use http_body::Body;
use tower::Layer;

use super::layers::scarcest;
use super::paid::{Asked, EachAttempt, Paid};
use super::stack::{Stack, boxed};
use super::upstream::{Call, Reply};
use super::world::World;

type Reading = dyn Fn(&Call, &Now) -> Result<Option<Wanted>, Rejection> + Send + Sync;

/// A layer that is asked.
pub(super) struct Gate {
    policy: Policy,
    ask: AskOf,
    /// Where first attempts find what the queue was granted for them, if attempts ask it too.
    paid: Option<Paid>,
}

/// How its demand is read.
#[derive(Clone)]
pub(super) struct AskOf(Arc<Reading>);

/// Who decides; each of these is a layer's.
#[derive(Clone)]
pub(super) enum Policy {
    Breaker(CircuitBreaker),
    Budget(TokenBudget),
    /// With the world, which notes what is left just after an admission.
    Rate(RateLimiter, World),
    /// There is no such layer: nothing is ever asked of it.
    Absent,
}

/// What is asked, and for which line of the trace.
pub(super) struct Demand {
    pub(super) request: usize,
    wanted: Wanted,
}

pub(super) enum Wanted {
    Breaker(CircuitDemand),
    Budget(BudgetDemand),
    /// With the key.
    Rate(RateDemand, Arc<str>),
}

pub(super) enum Ticket {
    Breaker(Permit<CircuitTicket>),
    Budget(Permit<Reserved>),
    Rate(Permit<Spent>),
}

/// Three of them: as many as there are layers that decide at once.
pub(super) type Three = (
    GateOf<AskOf, Asked>,
    GateOf<AskOf, Asked>,
    GateOf<AskOf, Asked>,
);

impl Gate {
    pub(super) fn new(
        policy: Policy,
        ask: impl Fn(&Call, &Now) -> Result<Option<Wanted>, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self {
            policy,
            ask: AskOf(Arc::new(ask)),
            paid: None,
        }
    }

    /// Puts the layer around a stack, too, so that attempts ask it after the first, and each settles its own.
    pub(super) fn also_around<C, B>(&mut self, inner: Stack, settle: C) -> Stack
    where
        C: Settle<Reply, BoxError, Ticket, Response = Response<B>> + Clone + Send + Sync + 'static,
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let admission = EachAttempt {
            policy: self.policy.clone(),
            paid: self.paid.get_or_insert_default().clone(),
        };
        let path = Path {
            ask: self.ask.clone(),
            admission,
            settle,
            on_reject: AsBoxError,
        };
        boxed(AdmitLayer::from_path(path).layer(inner))
    }

    /// What a queue takes.
    pub(super) fn three(gates: Vec<Self>) -> Three {
        let mut gates = gates.into_iter();
        let mut next = || {
            let gate = gates.next();
            let gate = gate.unwrap_or_else(|| Self::new(Policy::Absent, |_, _| Ok(None)));
            GateOf {
                ask: gate.ask,
                policy: Asked {
                    policy: gate.policy,
                    paid: gate.paid,
                },
            }
        };
        (next(), next(), next())
    }
}

impl Ask<Call> for AskOf {
    type Demand = Demand;

    fn ask(&self, call: &Call, now: &Now) -> Result<Option<Demand>, Rejection> {
        let demand = |wanted| Demand {
            request: call.request,
            wanted,
        };
        Ok((self.0)(call, now)?.map(demand))
    }
}

/// A policy is asked only what its own ask has read; so a demand of another's concerns it as little as none.
impl Decides for Policy {
    type Demand = Demand;
    type Ticket = Ticket;

    fn would_admit(&self, demand: &Demand, now: &Now) -> Result<(), Rejection> {
        match (self, &demand.wanted) {
            (Self::Breaker(breaker), Wanted::Breaker(demand)) => {
                Decides::would_admit(breaker, demand, now)
            }
            (Self::Budget(budget), Wanted::Budget(demand)) => {
                Decides::would_admit(budget, demand, now)
            }
            (Self::Rate(limiter, _), Wanted::Rate(demand, _)) => {
                Decides::would_admit(limiter, demand, now)
            }
            _ => Ok(()),
        }
    }

    fn try_admit(&self, demand: &Demand, now: &Now) -> Result<Permit<Ticket>, Rejection> {
        let ticket = match (self, &demand.wanted) {
            (Self::Breaker(breaker), Wanted::Breaker(demand)) => {
                Ticket::Breaker(breaker.try_admit(demand, now)?)
            }
            (Self::Budget(budget), Wanted::Budget(demand)) => {
                Ticket::Budget(budget.try_admit(demand, now)?)
            }
            (Self::Rate(limiter, world), Wanted::Rate(wanted, key)) => {
                let permit = limiter.try_admit(wanted, now)?;
                let left = scarcest(limiter, key);
                let record = &mut world.lock().records[demand.request];
                record.left = left;
                record.shadowed |= permit.ticket().is_some_and(Spent::shadowed);
                Ticket::Rate(permit)
            }
            _ => return Ok(Permit::exempt()),
        };
        Ok(Permit::new(ticket))
    }

    fn release(&self, demand: &Demand, permit: Permit<Ticket>, now: &Now) {
        match (self, &demand.wanted, permit.into_ticket()) {
            (Self::Breaker(breaker), Wanted::Breaker(demand), Some(Ticket::Breaker(permit))) => {
                breaker.release(demand, permit, now);
            }
            (Self::Budget(budget), Wanted::Budget(demand), Some(Ticket::Budget(permit))) => {
                budget.release(demand, permit, now);
            }
            (Self::Rate(limiter, _), Wanted::Rate(demand, _), Some(Ticket::Rate(permit))) => {
                limiter.release(demand, permit, now);
            }
            (_, _, Some(ticket)) => ticket.end(End::Released, now),
            (_, _, None) => {}
        }
    }

    fn refusals(&self, demand: &Demand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        match (self, &demand.wanted) {
            (Self::Breaker(breaker), Wanted::Breaker(demand)) => {
                Decides::refusals(breaker, demand, now, each);
            }
            (Self::Budget(budget), Wanted::Budget(demand)) => {
                Decides::refusals(budget, demand, now, each);
            }
            (Self::Rate(limiter, _), Wanted::Rate(demand, _)) => {
                Decides::refusals(limiter, demand, now, each);
            }
            _ => {}
        }
    }

    fn touches(&self, demand: &Demand, limit: LimitId) -> bool {
        match (self, &demand.wanted) {
            (Self::Breaker(breaker), Wanted::Breaker(demand)) => breaker.touches(demand, limit),
            (Self::Budget(budget), Wanted::Budget(demand)) => budget.touches(demand, limit),
            (Self::Rate(limiter, _), Wanted::Rate(demand, _)) => limiter.touches(demand, limit),
            _ => false,
        }
    }

    fn limits(&self, demand: &Demand, each: &mut dyn FnMut(LimitId, LimitId)) {
        match (self, &demand.wanted) {
            (Self::Breaker(breaker), Wanted::Breaker(demand)) => {
                Decides::limits(breaker, demand, each);
            }
            (Self::Budget(budget), Wanted::Budget(demand)) => Decides::limits(budget, demand, each),
            (Self::Rate(limiter, _), Wanted::Rate(demand, _)) => {
                Decides::limits(limiter, demand, each);
            }
            _ => {}
        }
    }

    fn subscribe(&self, waker: &Waker) {
        match self {
            Self::Breaker(breaker) => breaker.subscribe(waker),
            Self::Budget(budget) => budget.subscribe(waker),
            Self::Rate(limiter, _) => limiter.subscribe(waker),
            Self::Absent => {}
        }
    }
}

impl buttress_core::Ticket for Ticket {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        match self {
            Self::Breaker(permit) => permit.head(outcome, now),
            Self::Budget(permit) => permit.head(outcome, now),
            Self::Rate(permit) => permit.head(outcome, now),
        }
    }

    fn used(&mut self, usage: Usage, now: &Now) {
        match self {
            Self::Breaker(permit) => permit.used(usage, now),
            Self::Budget(permit) => permit.used(usage, now),
            Self::Rate(permit) => permit.used(usage, now),
        }
    }

    fn end(self, end: End, now: &Now) {
        match self {
            Self::Breaker(permit) => permit.end(end, now),
            Self::Budget(permit) => permit.end(end, now),
            Self::Rate(permit) => permit.end(end, now),
        }
    }

    fn key(&self) -> Option<KeyHash> {
        match self {
            Self::Breaker(permit) => permit.ticket()?.key(),
            Self::Budget(permit) => permit.ticket()?.key(),
            Self::Rate(permit) => permit.ticket()?.key(),
        }
    }
}
