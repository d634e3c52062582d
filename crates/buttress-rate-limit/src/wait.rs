//! Waiting for a limit instead of being refused.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::time::later;
use buttress_core::{Admission, Now, Permit, Reason, Rejection, Verdict};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::ask::RateDemand;
use crate::limiter::RateLimiter;
use crate::room::{Arrival, Turn};
use crate::shared::SHADOW;
use crate::ticket::Spent;

/// A limiter that paces: a request that does not fit waits, in order of arrival, for at most `max`.
///
/// One that would wait longer is refused at once, and so is one that could not start before its deadline.
/// It must be used inside a tokio runtime with timers.
#[derive(Clone, Debug)]
pub struct Waiting {
    limiter: RateLimiter,
    /// In nanoseconds.
    max: u64,
}

impl Waiting {
    /// Waits for at most `max`.
    #[must_use]
    pub fn new(limiter: RateLimiter, max: Duration) -> Self {
        let max = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        Self { limiter, max }
    }
}

impl Admission for Waiting {
    type Demand = RateDemand;
    type Ticket = Spent;
    type Wait = RateWait;

    fn admit(&self, demand: RateDemand, now: &Now) -> Verdict<Spent, RateWait> {
        let shared = &self.limiter.shared;
        let nanos = shared.nanos(now);
        let fits =
            !shared.has_waiters() && shared.spend(demand.key, demand.cost, nanos, false).is_ok();
        if fits {
            return Verdict::Now(Ok(Permit::new(Spent::new(&demand, nanos))));
        }
        if shared.has(SHADOW) || demand.cost == 0 {
            return Verdict::Now(shared.try_spend(&demand, now).map(Permit::new));
        }
        let arrival = Arrival {
            key: demand.key,
            cost: demand.cost,
            wait: self.max,
            deadline: demand.deadline.map(|deadline| shared.nanos_at(deadline)),
        };
        match shared.in_room(|room| room.arrive(&&**shared, arrival, nanos)) {
            Turn::Granted { at } => Verdict::Now(Ok(Permit::new(Spent::new(&demand, at)))),
            Turn::Refused(reason, refused) => {
                shared.count_refusal();
                Verdict::Now(Err(shared.rejection(demand.key, reason, &refused)))
            }
            Turn::At { ticket, instant } => Verdict::Later(RateWait {
                place: Place {
                    limiter: self.limiter.clone(),
                    demand,
                    ticket: Some(ticket),
                },
                armed: instant,
                sleep: tokio::time::sleep_until(self.limiter.instant(instant)),
            }),
        }
    }
}

pin_project! {
    /// A wait for a limit. Dropping it gives the place back, and what was reserved.
    pub struct RateWait {
        place: Place,
        armed: u64,
        #[pin]
        sleep: Sleep,
    }
}

struct Place {
    limiter: RateLimiter,
    demand: RateDemand,
    /// None once the wait is over.
    ticket: Option<u64>,
}

impl Place {
    fn look(&mut self, waker: &Waker) -> Result<Result<Spent, Rejection>, u64> {
        let shared = &self.limiter.shared;
        let Some(ticket) = self.ticket else {
            return Err(u64::MAX);
        };
        let now = shared.nanos(&Now::new());
        match shared.in_room(|room| room.poll(&&**shared, ticket, waker, now)) {
            Turn::At { instant, .. } => Err(instant),
            Turn::Granted { at } => {
                self.ticket = None;
                Ok(Ok(Spent::new(&self.demand, at)))
            }
            Turn::Refused(reason, refused) => {
                self.ticket = None;
                shared.count_refusal();
                Ok(Err(self.rejection(reason, &refused)))
            }
        }
    }

    fn rejection(&self, reason: Reason, refused: &crate::decision::Refused) -> Rejection {
        self.limiter
            .shared
            .rejection(self.demand.key, reason, refused)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let shared = &self.limiter.shared;
            let now = shared.nanos(&Now::new());
            shared.in_room(|room| room.leave(&&**shared, ticket, now));
        }
    }
}

impl Future for RateWait {
    type Output = Result<Permit<Spent>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.place.look(cx.waker()) {
                Ok(answer) => return Poll::Ready(answer.map(Permit::new)),
                Err(instant) => {
                    if *this.armed != instant {
                        *this.armed = instant;
                        let deadline = this.place.limiter.instant(instant);
                        this.sleep.as_mut().reset(deadline);
                    }
                }
            }
            std::task::ready!(this.sleep.as_mut().poll(cx));
        }
    }
}

impl RateLimiter {
    fn instant(&self, nanos: u64) -> buttress_core::time::Instant {
        later(self.shared.epoch, Duration::from_nanos(nanos))
    }
}

impl fmt::Debug for RateWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateWait").finish_non_exhaustive()
    }
}
