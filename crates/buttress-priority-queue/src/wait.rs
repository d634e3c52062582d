//! Waiting for a place.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, mem};

use buttress_core::time::later;
use buttress_core::{Now, Permit, Policy, Rejection};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use crate::handle::PriorityQueue;
use crate::state::Arrived;
use crate::ticket::QueueTicket;

pin_project! {
    /// A wait for a place. Dropping it leaves the queue, and gives back what was granted meanwhile.
    ///
    /// It needs a tokio runtime with timers if waits end (a deadline, a longest wait) or gates hold back.
    pub struct QueueWait<G: Policy> {
        spot: Spot<G>,
        // The instant that the timer is set to, in nanoseconds of the queue's.
        armed: u64,
        // The timer has ended, and the next poll acts on it.
        fired: bool,
        // Only the one that attends to the queue has a timer.
        #[pin]
        sleep: Option<Sleep>,
    }
}

/// Where somebody waits.
struct Spot<G: Policy> {
    queue: PriorityQueue<G>,
    /// None once the wait is over.
    id: Option<u32>,
}

impl<G: Policy> QueueWait<G> {
    pub(crate) const fn new(queue: PriorityQueue<G>, id: u32) -> Self {
        Self {
            spot: Spot {
                queue,
                id: Some(id),
            },
            armed: u64::MAX,
            fired: false,
            sleep: None,
        }
    }
}

impl<G: Policy> Future for QueueWait<G> {
    type Output = Result<Permit<QueueTicket<G>>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let fired = mem::take(this.fired);
        let due = match this.spot.look(cx, fired) {
            Ok(answer) => return Poll::Ready(answer),
            Err(due) => due,
        };
        if due == u64::MAX {
            *this.armed = due;
            this.sleep.set(None);
            return Poll::Pending;
        }
        let due_at = later(this.spot.queue.epoch(), Duration::from_nanos(due));
        match this.sleep.as_mut().as_pin_mut() {
            Some(_) if *this.armed == due && !fired => {}
            Some(sleep) => sleep.reset(due_at),
            None => this.sleep.set(Some(sleep_until(due_at))),
        }
        *this.armed = due;
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
            // Whoever has just been woken for another reason lets those go first who give places back at
            // this very instant: a grant wins over the end of a wait.
            *this.fired = true;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<G: Policy> Spot<G> {
    fn look(
        &mut self,
        cx: &Context<'_>,
        timer_ended: bool,
    ) -> Result<Result<Permit<QueueTicket<G>>, Rejection>, u64> {
        let Some(id) = self.id else {
            return Err(u64::MAX);
        };
        let looked = self.queue.enter(&Now::new(), |state, gates, step| {
            state.look(gates, id, cx.waker(), timer_ended, step)
        });
        let answer = self.queue.answer(looked?);
        self.id = answer.as_ref().err().copied();
        answer.map_err(|_| u64::MAX)
    }
}

impl<G: Policy> Drop for Spot<G> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let now = Now::new();
        let (arrived, waiter) = self.queue.enter(&now, |state, gates, step| {
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
            QueueTicket::new(self.queue.clone(), demand, permit, place).release(&now);
        }
    }
}

impl<G: Policy> fmt::Debug for QueueWait<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueWait").finish_non_exhaustive()
    }
}
