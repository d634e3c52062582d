//! A place among those who wait: the waiting room as one request sees it, without a timer.

use std::sync::Arc;
use std::task::Waker;

use buttress_core::{Now, Reason, Rejection};

use crate::budget::TokenBudget;
use crate::demand::BudgetDemand;
use crate::room::{Arrival, Turn};
use crate::ticket::Reserved;

/// A place in a budget's waiting room. Dropping it gives the place back, and what was reserved.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) budget: TokenBudget,
    demand: BudgetDemand,
    /// None once the wait is over.
    ticket: Option<u64>,
}

/// How an arrival came out.
#[derive(Debug)]
pub(crate) enum Entered {
    /// It was decided at once.
    Decided(Result<Reserved, Rejection>),
    /// It waits; at this instant, in nanoseconds of the budget's, it is to look again.
    Waits(Place, u64),
}

impl Place {
    /// Reserves at once, or takes a place for at most `max` nanoseconds.
    pub(crate) fn enter(
        budget: &TokenBudget,
        demand: BudgetDemand,
        max: u64,
        now: &Now,
    ) -> Entered {
        let shared = &budget.shared;
        let nanos = shared.nanos(now);
        if let Err(rejection) = shared.refused_closed() {
            return Entered::Decided(Err(rejection));
        }
        if !shared.has_waiters()
            && let Ok(at) = shared.reserve(&demand, nanos, false)
        {
            let reserved = Reserved::new(Arc::clone(shared), &demand, at);
            return Entered::Decided(Ok(reserved));
        }
        if !shared.is_hard() {
            return Entered::Decided(shared.try_reserve(&demand, nanos));
        }
        let arrival = Arrival {
            demand,
            wait: max,
            deadline: demand.deadline.map_or(u64::MAX, |at| shared.nanos_at(at)),
        };
        let most = shared.most_waiters;
        let turn = shared.in_room(|room| room.arrive(&mut &**shared, arrival, most, nanos));
        let mut place = Self {
            budget: budget.clone(),
            demand,
            ticket: None,
        };
        match place.answer(turn, nanos) {
            Ok(answer) => Entered::Decided(answer),
            Err((ticket, instant)) => {
                place.ticket = Some(ticket);
                Entered::Waits(place, instant)
            }
        }
    }

    /// Looks whether it is one's turn.
    ///
    /// # Errors
    ///
    /// The instant at which to look again; a waker that was given is woken if that comes earlier.
    pub(crate) fn look(
        &mut self,
        waker: &Waker,
        now: &Now,
    ) -> Result<Result<Reserved, Rejection>, u64> {
        let Some(ticket) = self.ticket else {
            return Err(u64::MAX);
        };
        let shared = &self.budget.shared;
        let nanos = shared.nanos(now);
        let turn = shared.in_room(
            |room| match room.poll(&mut &**shared, ticket, waker, nanos) {
                Turn::At { .. } if !shared.is_hard() => {
                    room.leave(&mut &**shared, ticket, nanos);
                    None
                }
                turn => Some(turn),
            },
        );
        let answer = match turn {
            Some(turn) => self.answer(turn, nanos).map_err(|(_, instant)| instant)?,
            None => shared.try_reserve(&self.demand, nanos),
        };
        self.ticket = None;
        Ok(answer)
    }

    fn answer(&self, turn: Turn, now: u64) -> Result<Result<Reserved, Rejection>, (u64, u64)> {
        let shared = &self.budget.shared;
        match turn {
            Turn::At { ticket, instant } => Err((ticket, instant)),
            Turn::Granted { at } => Ok(Ok(Reserved::new(Arc::clone(shared), &self.demand, at))),
            Turn::Refused(reason, refused) => {
                shared.count_refusal(&self.demand, now);
                let refused = match (reason, refused.violated, shared.check(&self.demand, now)) {
                    // What would fit but for those ahead names the quotas that hold it back now, if any.
                    (Reason::TokenBudget, 0, Err(own)) => crate::step::Refused {
                        when: refused.when,
                        ..own
                    },
                    _ => refused,
                };
                Ok(Err(shared.rejection(&self.demand, reason, &refused)))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let shared = &self.budget.shared;
            let now = shared.nanos(&Now::new());
            shared.in_room(|room| room.leave(&mut &**shared, ticket, now));
            shared.wake_subscribers();
        }
    }
}
