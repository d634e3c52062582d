//! Admissions of which a file says, and can say otherwise later, whether and how long they let requests wait.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::{
    Admission, Ask, End, KeyHash, Now, Outcome, Permit, Policy, Rejection, Ticket, Usage, Verdict,
};
use buttress_priority_queue::{PriorityQueue, QueueDemand, QueueTicket, QueueWait};
use buttress_rate_limit::{self as rate, RateDemand, RateLimiter};
use buttress_token_budget::{self as budget, BudgetDemand, TokenBudget};
use pin_project_lite::pin_project;

use crate::gates::{GateAsk, StackGates};
use crate::switch::{LiveWait, Switch};
use crate::words::{AnyKey, StackRequest, Words, deadline};

/// A rate limit that refuses, or paces if there is a wait.
#[derive(Clone)]
pub(crate) struct LiveLimit {
    pub(crate) limiter: RateLimiter,
    pub(crate) wait: LiveWait,
}

impl Admission for LiveLimit {
    type Demand = RateDemand;
    type Ticket = rate::Spent;
    type Wait = rate::RateWait;

    fn admit(&self, demand: RateDemand, now: &Now) -> Verdict<rate::Spent, rate::RateWait> {
        match self.wait.get() {
            None => Verdict::Now(self.limiter.try_admit(&demand, now)),
            Some(max) => rate::Waiting::new(self.limiter.clone(), max).admit(demand, now),
        }
    }
}

/// A budget that refuses, or lets wait if there is a wait.
#[derive(Clone)]
pub(crate) struct LiveBudget {
    pub(crate) budget: TokenBudget,
    pub(crate) wait: LiveWait,
}

impl Admission for LiveBudget {
    type Demand = BudgetDemand;
    type Ticket = budget::Reserved;
    type Wait = budget::BudgetWait;

    fn admit(
        &self,
        demand: BudgetDemand,
        now: &Now,
    ) -> Verdict<budget::Reserved, budget::BudgetWait> {
        match self.wait.get() {
            None => Verdict::Now(self.budget.try_admit(&demand, now)),
            Some(max) => budget::Waiting::new(self.budget.clone(), max).admit(demand, now),
        }
    }
}

type Gates = (GateAsk, GateAsk, GateAsk);
type GatesDemand = <StackGates as Policy>::Demand;
type GatesTicket = <StackGates as Policy>::Ticket;

/// Reads what a request asks of the queue, and of what the queue asks.
#[derive(Clone)]
pub(crate) struct QueueReader {
    pub(crate) words: Words,
    pub(crate) seed: buttress_core::Seed,
    pub(crate) switch: Switch,
    pub(crate) gates: Gates,
}

/// What a request asks for: a place and what is behind it, or that alone if the queue is off.
pub(crate) enum Wanted {
    Place(QueueDemand<GatesDemand>),
    GatesAlone(GatesDemand),
}

impl QueueReader {
    fn tenant(&self, request: &StackRequest) -> KeyHash {
        use buttress_core::Key as _;
        let key: &AnyKey = &self.words.tenant;
        let mut hasher = self.seed.hasher();
        match !key.is_everyone() && key.hash_key(request, &mut hasher) {
            true => hasher.finish(),
            false => KeyHash::EVERYONE,
        }
    }
}

impl Ask<StackRequest> for QueueReader {
    type Demand = Wanted;

    fn ask(&self, request: &StackRequest, now: &Now) -> Result<Option<Wanted>, Rejection> {
        let gates = self.gates.ask(request, now)?;
        if !self.switch.is_on() {
            return Ok(gates.map(Wanted::GatesAlone));
        }
        let mut demand = QueueDemand::with_gates((self.words.priority)(request), gates);
        demand = demand.tenant(self.tenant(request), (self.words.cost)(request));
        demand.deadline = deadline(request);
        Ok(Some(Wanted::Place(demand)))
    }
}

/// A queue that is passed by while it is off: what stands behind it is then asked at once.
#[derive(Clone)]
pub(crate) struct LiveQueue(pub(crate) PriorityQueue<StackGates>);

/// A place, or what was given without one.
#[expect(
    clippy::large_enum_variant,
    reason = "the small one is the rare one: that of a queue that is off"
)]
pub(crate) enum Held {
    Place(QueueTicket<StackGates>),
    GatesAlone(Permit<GatesTicket>),
}

pin_project! {
    /// A wait for a place.
    pub(crate) struct HeldWait {
        #[pin]
        wait: QueueWait<StackGates>,
    }
}

fn place(permit: Permit<QueueTicket<StackGates>>) -> Permit<Held> {
    match permit.into_ticket() {
        Some(ticket) => Permit::new(Held::Place(ticket)),
        None => Permit::exempt(),
    }
}

impl Future for HeldWait {
    type Output = Result<Permit<Held>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().wait.poll(cx).map(|answer| answer.map(place))
    }
}

impl Admission for LiveQueue {
    type Demand = Wanted;
    type Ticket = Held;
    type Wait = HeldWait;

    fn admit(&self, wanted: Wanted, now: &Now) -> Verdict<Held, HeldWait> {
        match wanted {
            Wanted::Place(demand) => match self.0.admit(demand, now) {
                Verdict::Now(answer) => Verdict::Now(answer.map(place)),
                Verdict::Later(wait) => Verdict::Later(HeldWait { wait }),
            },
            Wanted::GatesAlone(demand) => {
                let answer = self.0.gates().try_admit(&demand, now);
                Verdict::Now(answer.map(|permit| Permit::new(Held::GatesAlone(permit))))
            }
        }
    }
}

impl Ticket for Held {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        match self {
            Self::Place(ticket) => ticket.head(outcome, now),
            Self::GatesAlone(permit) => {
                permit.head(outcome, now);
                // A head that is no success is final, as it is behind a queue.
                if outcome != Outcome::Success {
                    let permit = mem::replace(permit, Permit::exempt());
                    permit.end(End::Settled(outcome, None), now);
                }
            }
        }
    }

    fn used(&mut self, usage: Usage, now: &Now) {
        match self {
            Self::Place(ticket) => ticket.used(usage, now),
            Self::GatesAlone(permit) => permit.used(usage, now),
        }
    }

    fn end(self, end: End, now: &Now) {
        match self {
            Self::Place(ticket) => ticket.end(end, now),
            Self::GatesAlone(permit) => permit.end(end, now),
        }
    }

    fn shadowed(&self) -> bool {
        match self {
            Self::Place(ticket) => ticket.shadowed(),
            Self::GatesAlone(permit) => permit.ticket().is_some_and(Ticket::shadowed),
        }
    }

    fn key(&self) -> Option<KeyHash> {
        match self {
            Self::Place(ticket) => ticket.key(),
            Self::GatesAlone(permit) => permit.ticket().and_then(Ticket::key),
        }
    }
}
