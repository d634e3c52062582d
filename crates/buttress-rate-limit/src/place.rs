//! A place among those who wait: the waiting room as one request sees it, without a timer.

use std::task::Waker;

use buttress_core::{Now, Rejection};

use crate::ask::RateDemand;
use crate::limiter::RateLimiter;
use crate::shared::SHADOW;
use crate::ticket::Spent;
use crate::waiter::{Arrival, Turn};

/// A place in a limiter's waiting room. Dropping it gives the place back, and what was reserved.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: RateLimiter,
    demand: RateDemand,
    /// None once the wait is over.
    ticket: Option<u64>,
}

/// How an arrival came out.
#[derive(Debug)]
pub(crate) enum Entered {
    /// It was decided at once.
    Decided(Result<Spent, Rejection>),
    /// It waits; at this instant, in nanoseconds of the limiter's, it is to look again.
    Waits(Place, u64),
}

impl Place {
    /// Spends at once, or takes a place for at most `max` nanoseconds.
    pub(crate) fn enter(limiter: &RateLimiter, demand: RateDemand, max: u64, now: &Now) -> Entered {
        let shared = &limiter.shared;
        let nanos = shared.nanos(now);
        if shared.penalties.may_concern(nanos)
            && let Some(answer) = shared.refuse_penalised(&demand, nanos)
        {
            return Entered::Decided(answer);
        }
        if !shared.has_waiters()
            && let Ok(at) = shared.spend(demand.key, demand.cost, nanos, false)
        {
            return Entered::Decided(Ok(Spent::new(&demand, at)));
        }
        if shared.has(SHADOW) || demand.cost == 0 {
            return Entered::Decided(shared.try_spend(&demand, now));
        }
        let arrival = Arrival {
            key: demand.key,
            cost: demand.cost,
            wait: max,
            deadline: demand.deadline.map(|deadline| shared.nanos_at(deadline)),
        };
        let turn = shared.in_room(|room| room.arrive(&&**shared, arrival, nanos));
        let mut place = Self {
            limiter: limiter.clone(),
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
    ) -> Result<Result<Spent, Rejection>, u64> {
        let Some(ticket) = self.ticket else {
            return Err(u64::MAX);
        };
        let shared = &self.limiter.shared;
        let nanos = shared.nanos(now);
        let turn = shared.in_room(|room| match room.poll(&&**shared, ticket, waker, nanos) {
            Turn::At { .. } if shared.has(SHADOW) => {
                room.leave(&&**shared, ticket, nanos);
                None
            }
            turn => Some(turn),
        });
        let answer = match turn {
            Some(turn) => self.answer(turn, nanos).map_err(|(_, instant)| instant)?,
            None => {
                shared.count_refusal();
                Ok(Spent::shadowed(&self.demand))
            }
        };
        self.ticket = None;
        Ok(answer)
    }

    fn answer(&self, turn: Turn, now: u64) -> Result<Result<Spent, Rejection>, (u64, u64)> {
        match turn {
            Turn::At { ticket, instant } => Err((ticket, instant)),
            Turn::Granted { at } => Ok(Ok(Spent::new(&self.demand, at))),
            Turn::Refused(reason, refused) => {
                let shared = &self.limiter.shared;
                shared.count_refusal();
                Ok(shared.refuse(&self.demand, reason, refused, now))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let shared = &self.limiter.shared;
            let now = shared.nanos(&Now::new());
            shared.in_room(|room| room.leave(&&**shared, ticket, now));
            shared.wake_subscribers();
        }
    }
}
