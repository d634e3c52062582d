//! Waiting for a budget instead of being refused.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::time::{Instant, later};
use buttress_core::{Admission, Now, Permit, Rejection, Verdict};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::budget::TokenBudget;
use crate::demand::BudgetDemand;
use crate::place::{Entered, Place};
use crate::ticket::Reserved;

/// A budget that waits: a request that does not fit waits, in order of arrival, for at most `max`.
///
/// One that would wait longer is refused at once, and so is one that could not start before its deadline, and
/// one that never fits. It must be used inside a tokio runtime with timers.
#[derive(Clone, Debug)]
pub struct Waiting {
    budget: TokenBudget,
    /// In nanoseconds.
    max: u64,
}

impl Waiting {
    /// Waits for at most `max`.
    #[must_use]
    pub fn new(budget: TokenBudget, max: Duration) -> Self {
        let max = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        Self { budget, max }
    }
}

impl Admission for Waiting {
    type Demand = BudgetDemand;
    type Ticket = Reserved;
    type Wait = BudgetWait;

    fn admit(&self, demand: BudgetDemand, now: &Now) -> Verdict<Reserved, BudgetWait> {
        match Place::enter(&self.budget, demand, self.max, now) {
            Entered::Decided(answer) => Verdict::Now(answer.map(Permit::new)),
            Entered::Waits(place, instant) => {
                let epoch = self.budget.shared.epoch;
                Verdict::Later(BudgetWait {
                    place,
                    epoch,
                    armed: instant,
                    sleep: tokio::time::sleep_until(at(epoch, instant)),
                })
            }
        }
    }
}

pin_project! {
    /// A wait for a budget. Dropping it gives the place back, and what was reserved.
    pub struct BudgetWait {
        place: Place,
        epoch: Instant,
        armed: u64,
        #[pin]
        sleep: Sleep,
    }
}

impl Future for BudgetWait {
    type Output = Result<Permit<Reserved>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.place.look(cx.waker(), &Now::new()) {
                Ok(answer) => return Poll::Ready(answer.map(Permit::new)),
                Err(instant) => {
                    if *this.armed != instant {
                        *this.armed = instant;
                        this.sleep.as_mut().reset(at(*this.epoch, instant));
                    }
                }
            }
            std::task::ready!(this.sleep.as_mut().poll(cx));
        }
    }
}

fn at(epoch: Instant, nanos: u64) -> Instant {
    later(epoch, Duration::from_nanos(nanos))
}

impl fmt::Debug for BudgetWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetWait").finish_non_exhaustive()
    }
}
