//! Not being ready while a circuit refuses: for balancers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use buttress_core::time::later;
use buttress_core::{KeyHash, Now, Policy, Rejection};
use tokio::time::{Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::breaker::{CircuitBreaker, CircuitDemand};

/// A layer around a breaker's layer whose services are not ready while the circuit refuses.
#[derive(Clone, Debug)]
pub struct PendingWhileOpenLayer<L> {
    layer: L,
    breaker: CircuitBreaker,
}

impl<L> PendingWhileOpenLayer<L> {
    pub(crate) const fn new(layer: L, breaker: CircuitBreaker) -> Self {
        Self { layer, breaker }
    }

    /// The breaker, to look at it and to take it over while it works.
    #[must_use]
    pub const fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl<S, L: Layer<S>> Layer<S> for PendingWhileOpenLayer<L> {
    type Service = PendingWhileOpen<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        PendingWhileOpen {
            inner: self.layer.layer(inner),
            waiting: Waiting::new(&self.breaker),
            timer: None,
        }
    }
}

/// A service behind a circuit breaker that is not ready while the circuit refuses.
pub struct PendingWhileOpen<S> {
    inner: S,
    waiting: Waiting,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The wait for room, which ends when the service goes away.
struct Waiting {
    breaker: CircuitBreaker,
    /// The name under which the breaker knows of it, while it does.
    waiter: Option<u64>,
}

impl Waiting {
    fn new(breaker: &CircuitBreaker) -> Self {
        Self {
            breaker: breaker.clone(),
            waiter: None,
        }
    }

    fn begin(&mut self, waker: &Waker) {
        let shared = &self.breaker.shared;
        let waiter = *self.waiter.get_or_insert_with(|| shared.waiter());
        shared.wait(waiter, waker);
    }

    fn end(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.breaker.shared.wait_no_more(waiter);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

impl<S> PendingWhileOpen<S> {
    /// Ready once the circuit would admit. What may change that wakes the task: time, and whatever the
    /// breaker announces.
    fn poll_circuit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.refusal(&Now::new()).is_none() {
            return self.is_ready();
        }
        // Known before the second look, so that what changes in between wakes.
        self.waiting.begin(cx.waker());
        loop {
            let now = Now::new();
            let Some(refusal) = self.refusal(&now) else {
                return self.is_ready();
            };
            let Some(wait) = refusal.retry_after() else {
                self.timer = None;
                return Poll::Pending;
            };
            let at = later(now.get(), wait);
            let timer = match &mut self.timer {
                Some(timer) => {
                    if timer.deadline() != at {
                        timer.as_mut().reset(at);
                    }
                    timer
                }
                none => none.insert(Box::pin(sleep_until(at))),
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn is_ready(&mut self) -> Poll<()> {
        self.timer = None;
        self.waiting.end();
        Poll::Ready(())
    }

    fn refusal(&self, now: &Now) -> Option<Rejection> {
        let everyone = CircuitDemand {
            key: KeyHash::EVERYONE,
        };
        self.waiting.breaker.would_admit(&everyone, now).err()
    }
}

impl<Req, S: Service<Req>> Service<Req> for PendingWhileOpen<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The circuit first: readiness of the inner service would be kept from others.
        match self.poll_circuit(cx) {
            Poll::Ready(()) => self.inner.poll_ready(cx),
            Poll::Pending => Poll::Pending,
        }
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.inner.call(request)
    }
}

// A clone waits for itself: a timer wakes one task only.
impl<S: Clone> Clone for PendingWhileOpen<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            waiting: Waiting::new(&self.waiting.breaker),
            timer: None,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for PendingWhileOpen<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingWhileOpen")
            .field("inner", &self.inner)
            .field("breaker", &self.waiting.breaker)
            .finish_non_exhaustive()
    }
}
