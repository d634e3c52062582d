//! Waiting for a place.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, mem};

use buttress_core::time::{Instant, later};
use buttress_core::{Now, Permit, Policy, Rejection};
use tokio::time::{Sleep, sleep_until};

use crate::handle::PriorityQueue;
use crate::state::Arrived;
use crate::ticket::QueueTicket;

/// A wait for a place. Dropping it leaves the queue, and gives back what was granted meanwhile.
///
/// It needs a tokio runtime with timers if waits end (a deadline, a longest wait) or gates hold back.
pub struct QueueWait<G: Policy> {
    spot: Spot<G>,
    /// The instant that the timer is set to, in nanoseconds of the queue's.
    armed: u64,
    /// The timer has ended, and the next poll acts on it.
    fired: bool,
    /// Only the one that attends to the queue has a timer, and all others stay small.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Where somebody waits: none once the wait is over.
struct Spot<G: Policy>(Option<(PriorityQueue<G>, u32)>);

impl<G: Policy> QueueWait<G> {
    pub(crate) const fn new(queue: PriorityQueue<G>, id: u32) -> Self {
        Self {
            spot: Spot(Some((queue, id))),
            armed: u64::MAX,
            fired: false,
            sleep: None,
        }
    }

    fn sleep_until(&mut self, due: u64, epoch: Instant, timer_ended: bool) -> &mut Pin<Box<Sleep>> {
        let due_at = later(epoch, Duration::from_nanos(due));
        let is_set = mem::replace(&mut self.armed, due) == due && !timer_ended;
        match &mut self.sleep {
            Some(sleep) if !is_set => sleep.as_mut().reset(due_at),
            _ => {}
        }
        self.sleep
            .get_or_insert_with(|| Box::pin(sleep_until(due_at)))
    }
}

impl<G: Policy> Future for QueueWait<G> {
    type Output = Result<Permit<QueueTicket<G>>, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let fired = mem::take(&mut this.fired);
        match this.spot.look(cx, fired) {
            Look::Over(answer) => Poll::Ready(answer),
            Look::Waits => {
                this.armed = u64::MAX;
                this.sleep = None;
                Poll::Pending
            }
            Look::Until(due, epoch) => {
                let sleep = this.sleep_until(due, epoch, fired);
                ready!(sleep.as_mut().poll(cx));
                // Those who give places back at this very instant go first: a grant wins over the end of a
                // wait.
                this.fired = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

enum Look<G: Policy> {
    Over(Result<Permit<QueueTicket<G>>, Rejection>),
    Waits,
    /// Until so many nanoseconds after that instant.
    Until(u64, Instant),
}

impl<G: Policy> Spot<G> {
    fn look(&mut self, cx: &Context<'_>, timer_ended: bool) -> Look<G> {
        let Some((queue, id)) = &self.0 else {
            return Look::Waits;
        };
        let looked = queue.enter(&Now::new(), |state, gates, step| {
            state.look(gates, *id, cx.waker(), timer_ended, step)
        });
        match looked {
            Err(u64::MAX) | Ok(Arrived::Waits(_)) => Look::Waits,
            Err(due) => Look::Until(due, queue.epoch()),
            Ok(Arrived::Refused(rejection)) => {
                self.0 = None;
                Look::Over(Err(rejection))
            }
            Ok(Arrived::Granted(permit, place, demand)) => match self.0.take() {
                Some((queue, _)) => {
                    let ticket = QueueTicket::new(queue, demand, permit, place);
                    Look::Over(Ok(Permit::new(ticket)))
                }
                None => Look::Waits,
            },
        }
    }
}

impl<G: Policy> Drop for Spot<G> {
    fn drop(&mut self) {
        let Some((queue, id)) = self.0.take() else {
            return;
        };
        let now = Now::new();
        let (arrived, waiter) = queue.enter(&now, |state, gates, step| {
            if let Some(arrived) = state.settled(id) {
                return (Some(arrived), None);
            }
            // Who rose before this one left stood behind it then.
            state.catch_up(gates, step);
            state.withdraw(id);
            let waiter = state.queue.forget(id);
            if !state.queue.is_empty() {
                state.advance(gates, step, false);
            } else {
                state.appoint(gates);
            }
            state.tell_if_drained();
            (None, waiter)
        });
        drop(waiter);
        if let Some(Arrived::Granted(permit, place, demand)) = arrived {
            // The gates first, then the place: who gets the place finds the gates as they will be.
            QueueTicket::new(queue, demand, permit, place).release(&now);
        }
    }
}

impl<G: Policy> fmt::Debug for QueueWait<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueWait").finish_non_exhaustive()
    }
}
