use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::{Now, Observe};
use tower_service::Service;

use super::future::{HedgeFuture, Race};
use super::layer::Parts;
use crate::attempt::Attempt;
use crate::judge::Judge;
use crate::replay::Replay;

/// A service whose slow calls get a second attempt.
pub struct Hedge<S, W, J, O = ()> {
    inner: S,
    parts: Arc<Parts<W, J, O>>,
}

impl<S, W, J, O> Hedge<S, W, J, O> {
    pub(super) const fn new(inner: S, parts: Arc<Parts<W, J, O>>) -> Self {
        Self { inner, parts }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

// Derived, this would demand `Clone` of what is behind the `Arc`.
impl<S: Clone, W, J, O> Clone for Hedge<S, W, J, O> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            parts: Arc::clone(&self.parts),
        }
    }
}

impl<S: fmt::Debug, W, J, O> fmt::Debug for Hedge<S, W, J, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("delay", &self.parts.delay)
            .finish_non_exhaustive()
    }
}

impl<S, Req, W, J, O> Service<Req> for Hedge<S, W, J, O>
where
    W: Replay<Req>,
    S: Service<W::Request> + Clone,
    J: Judge<S::Response, S::Error>,
    O: Observe,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HedgeFuture<S, Req, W, J, O>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let delay = self.parts.delay.get();
        // Without a delay there is no second attempt, so nothing is kept; but a percentile has to learn.
        let attempts = if delay.is_some() { 2 } else { 1 };
        let deadline = self.parts.replay.deadline(&request);
        let first = Attempt::first(attempts, deadline);
        let (request, template) = self.parts.replay.prepare(request, first);
        let running = self.inner.call(request);
        if template.is_none() && !self.parts.delay.learns() {
            return HedgeFuture::once(running);
        }
        let service = template.is_some().then(|| {
            let unready = self.inner.clone();
            mem::replace(&mut self.inner, unready)
        });
        let parts = Arc::clone(&self.parts);
        let race = Race::new(parts, service, template, first, delay, &Now::new());
        HedgeFuture::raced(running, race)
    }
}
