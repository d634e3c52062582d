//! Waiting until a queue is empty.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::{Now, Policy};

use crate::handle::PriorityQueue;

/// Ready when nobody waits at a queue and nothing is in flight.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Drained<G: Policy> {
    queue: PriorityQueue<G>,
}

impl<G: Policy> Drained<G> {
    pub(crate) const fn new(queue: PriorityQueue<G>) -> Self {
        Self { queue }
    }
}

impl<G: Policy> Future for Drained<G> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        self.queue.enter(&Now::new(), |state, _, _| {
            if state.in_flight == 0 && state.queue.is_empty() {
                state.wakers.discard(Some(waker));
                return Poll::Ready(());
            }
            match state.drained.iter().any(|held| held.will_wake(&waker)) {
                true => state.wakers.discard(Some(waker)),
                false => state.drained.push(waker),
            }
            Poll::Pending
        })
    }
}

impl<G: Policy> fmt::Debug for Drained<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Drained").field(&self.queue).finish()
    }
}
