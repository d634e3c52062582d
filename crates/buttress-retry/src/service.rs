use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::time::later;
use buttress_core::{Now, Observe, OnReject};
use tower_service::Service;

use crate::attempt::Attempt;
use crate::call::Call;
use crate::future::ResponseFuture;
use crate::judge::Judge;
use crate::layer::{Parts, RetryParts};
use crate::replay::Replay;

/// A service whose failed calls are tried again.
///
/// Readiness is the inner service's alone. A call that may be repeated keeps the service that it was sent
/// with and readies it again for every further attempt, after the pause; callers go on with a clone. So
/// the inner service must be `Clone`.
pub struct Retry<S, W, J, R, O = ()> {
    inner: S,
    parts: Arc<Parts<W, J, R, O>>,
}

impl<S, W, J, R, O> Retry<S, W, J, R, O> {
    pub(crate) const fn new(inner: S, parts: Arc<Parts<W, J, R, O>>) -> Self {
        Self { inner, parts }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, for whoever lets a request pass this layer by.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Retries as another layer of the same kind does from the next call on. The inner service stays as ready
    /// as it is; calls that run go on as they began.
    pub fn set(&mut self, parts: RetryParts<W, J, R, O>) {
        self.parts = parts.0;
    }
}

// Derived, this would demand `Clone` of what is behind the `Arc`.
impl<S: Clone, W, J, R, O> Clone for Retry<S, W, J, R, O> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            parts: Arc::clone(&self.parts),
        }
    }
}

impl<S: fmt::Debug, W, J, R, O> fmt::Debug for Retry<S, W, J, R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("policy", &self.parts.policy)
            .finish_non_exhaustive()
    }
}

impl<S, Req, W, J, R, O> Service<Req> for Retry<S, W, J, R, O>
where
    W: Replay<Req>,
    S: Service<W::Request> + Clone,
    J: Judge<S::Response, S::Error>,
    R: OnReject<S::Response, S::Error>,
    O: Observe,
{
    type Response = R::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, Req, W, J, R, O>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(R::error)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let parts = &*self.parts;
        let policy = &parts.policy;
        let now = Now::new();
        let wanted = parts.replay.deadline(&request);
        if wanted.is_some_and(|wanted| wanted < now.get()) {
            self.give_up_readiness();
            return ResponseFuture::late(Arc::clone(&self.parts));
        }
        let own = policy.deadline.map(|deadline| later(now.get(), deadline));
        let deadline = match (wanted, own) {
            (Some(wanted), Some(own)) => Some(wanted.min(own)),
            (wanted, own) => wanted.or(own),
        };
        let first = Attempt::first(policy.attempts, deadline);
        let (request, template) = parts.replay.prepare(request, first);
        if template.is_none() && deadline.is_none() && policy.attempt_timeout.is_none() {
            return ResponseFuture::once(self.inner.call(request));
        }
        let running = self.inner.call(request);
        let service = template.is_some().then(|| {
            let unready = self.inner.clone();
            mem::replace(&mut self.inner, unready)
        });
        let call = Call::new(Arc::clone(&self.parts), first, service, template, &now);
        ResponseFuture::repeatable(running, call)
    }
}

impl<S: Clone, W, J, R, O> Retry<S, W, J, R, O> {
    /// Drops the ready inner service for a clone, which has no readiness: what it holds is others' again.
    fn give_up_readiness(&mut self) {
        let unready = self.inner.clone();
        drop(mem::replace(&mut self.inner, unready));
    }
}
