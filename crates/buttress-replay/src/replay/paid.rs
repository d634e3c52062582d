//! Gates further in than `[retry]`. Every attempt that passes such a layer counts: the queue asks it for the
//! first one, together with the place, and each further one asks it at that moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use buttress_core::{
    Admission, End, KeyHash, LimitId, NeverWaits, Now, Outcome, Permit, Policy as Decides,
    Rejection, Usage, Verdict,
};
use parking_lot::Mutex;

use super::gates::{Demand, Policy, Ticket};

/// What a queue was granted for first attempts that have not come yet, by the line of the trace.
#[derive(Clone, Default)]
pub(super) struct Paid(Arc<Mutex<HashMap<usize, Permit<Ticket>>>>);

impl Paid {
    fn take(&self, request: usize) -> Option<Permit<Ticket>> {
        self.0.lock().remove(&request)
    }
}

/// What a queue asks.
pub(super) struct Asked {
    pub(super) policy: Policy,
    /// Where first attempts find what was granted for them, if it is theirs to settle.
    pub(super) paid: Option<Paid>,
}

/// What a queue was granted.
pub(super) enum Granted {
    /// It ends with the place.
    WithPlace(Permit<Ticket>),
    /// It ends with the first attempt of this request, or with the place if that never comes.
    Ahead(usize, Paid),
}

impl Granted {
    /// What ends with the place.
    fn into_permit(self) -> Option<Permit<Ticket>> {
        match self {
            Self::WithPlace(permit) => Some(permit),
            Self::Ahead(request, paid) => paid.take(request),
        }
    }
}

impl Decides for Asked {
    type Demand = Demand;
    type Ticket = Granted;

    fn would_admit(&self, demand: &Demand, now: &Now) -> Result<(), Rejection> {
        Decides::would_admit(&self.policy, demand, now)
    }

    fn try_admit(&self, demand: &Demand, now: &Now) -> Result<Permit<Granted>, Rejection> {
        let permit = self.policy.try_admit(demand, now)?;
        Ok(Permit::new(match &self.paid {
            Some(paid) => {
                paid.0.lock().insert(demand.request, permit);
                Granted::Ahead(demand.request, paid.clone())
            }
            None => Granted::WithPlace(permit),
        }))
    }

    fn release(&self, demand: &Demand, permit: Permit<Granted>, now: &Now) {
        if let Some(permit) = permit.into_ticket().and_then(Granted::into_permit) {
            self.policy.release(demand, permit, now);
        }
    }

    fn refusals(&self, demand: &Demand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        self.policy.refusals(demand, now, each);
    }

    fn touches(&self, demand: &Demand, limit: LimitId) -> bool {
        self.policy.touches(demand, limit)
    }

    fn limits(&self, demand: &Demand, each: &mut dyn FnMut(LimitId, LimitId)) {
        self.policy.limits(demand, each);
    }

    fn subscribe(&self, waker: &Waker) {
        self.policy.subscribe(waker);
    }
}

impl buttress_core::Ticket for Granted {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        if let Self::WithPlace(permit) = self {
            permit.head(outcome, now);
        }
    }

    fn used(&mut self, usage: Usage, now: &Now) {
        if let Self::WithPlace(permit) = self {
            permit.used(usage, now);
        }
    }

    fn end(self, end: End, now: &Now) {
        if let Some(permit) = self.into_permit() {
            permit.end(end, now);
        }
    }

    fn key(&self) -> Option<KeyHash> {
        match self {
            Self::WithPlace(permit) => permit.ticket()?.key(),
            Self::Ahead(..) => None,
        }
    }
}

/// Admits in the stack itself: the first attempt with what the queue was granted for it.
#[derive(Clone)]
pub(super) struct EachAttempt {
    pub(super) policy: Policy,
    pub(super) paid: Paid,
}

impl Admission for EachAttempt {
    type Demand = Demand;
    type Ticket = Ticket;
    type Wait = NeverWaits<Ticket>;

    fn admit(&self, demand: Demand, now: &Now) -> Verdict<Ticket, NeverWaits<Ticket>> {
        Verdict::Now(match self.paid.take(demand.request) {
            Some(permit) => Ok(permit),
            None => self.policy.try_admit(&demand, now),
        })
    }
}
