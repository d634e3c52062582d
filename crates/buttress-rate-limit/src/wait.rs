//! Waiting for a limit instead of being refused.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::time::{Instant, later};
use buttress_core::{Admission, Now, Permit, Rejection, Verdict};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::ask::RateDemand;
use crate::limiter::RateLimiter;
use crate::place::{Entered, Place};
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
        match Place::enter(&self.limiter, demand, self.max, now) {
            Entered::Decided(answer) => Verdict::Now(answer.map(Permit::new)),
            Entered::Waits(place, instant) => Verdict::Later(RateWait {
                place,
                epoch: self.limiter.shared.epoch,
                armed: instant,
                sleep: tokio::time::sleep_until(at(self.limiter.shared.epoch, instant)),
            }),
        }
    }
}

pin_project! {
    /// A wait for a limit. Dropping it gives the place back, and what was reserved.
    pub struct RateWait {
        place: Place,
        epoch: Instant,
        armed: u64,
        #[pin]
        sleep: Sleep,
    }
}

impl Future for RateWait {
    type Output = Result<Permit<Spent>, Rejection>;

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

impl fmt::Debug for RateWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateWait").finish_non_exhaustive()
    }
}
