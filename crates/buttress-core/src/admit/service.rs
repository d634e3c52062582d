use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::future::ResponseFuture;
use super::layer::Path;
use super::parked::Parked;
use crate::admission::{Admission, Verdict};
use crate::ask::Ask;
use crate::on_reject::OnReject;
use crate::permit::Permit;
use crate::settle::Settle;
use crate::time::Now;

/// A service behind an admission.
///
/// Readiness is the inner service's alone: every decision is made in `call`. A request that waits,
/// and one that is refused, give up the readiness that the inner service had, so that it is not kept
/// from others; therefore the inner service must be `Clone`.
pub struct Admit<S, Q, A, C, R> {
    inner: S,
    path: Arc<Path<Q, A, C, R>>,
}

impl<S, Q, A, C, R> Admit<S, Q, A, C, R> {
    pub(super) const fn new(inner: S, path: Arc<Path<Q, A, C, R>>) -> Self {
        Self { inner, path }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

// Derived, this would demand `Clone` of what is behind the `Arc`.
impl<S: Clone, Q, A, C, R> Clone for Admit<S, Q, A, C, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            path: Arc::clone(&self.path),
        }
    }
}

impl<S: fmt::Debug, Q, A: fmt::Debug, C, R> fmt::Debug for Admit<S, Q, A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admit")
            .field("inner", &self.inner)
            .field("admission", &self.path.admission)
            .finish_non_exhaustive()
    }
}

impl<S, Req, Q, A, C, R> Service<Req> for Admit<S, Q, A, C, R>
where
    S: Service<Req> + Clone,
    A: Admission,
    Q: Ask<Req, Demand = A::Demand>,
    C: Settle<S::Response, S::Error, A::Ticket> + Clone,
    R: OnReject<C::Response, S::Error> + Clone,
{
    type Response = R::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, Req, Q, A, C, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(R::error)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let now = Now::new();
        let path = &*self.path;
        let verdict = match path.ask.ask(&request, &now) {
            Ok(Some(demand)) => path.admission.admit(demand, &now),
            Ok(None) => Verdict::Now(Ok(Permit::exempt())),
            Err(rejection) => Verdict::Now(Err(rejection)),
        };
        match verdict {
            Verdict::Now(Ok(permit)) => {
                let settle = path.settle.clone();
                ResponseFuture::running(self.inner.call(request), permit, settle)
            }
            Verdict::Now(Err(rejection)) => {
                let on_reject = path.on_reject.clone();
                self.give_up_readiness();
                ResponseFuture::refused(rejection, now.known(), on_reject)
            }
            Verdict::Later(wait) => {
                let unready = self.give_up_readiness().clone();
                let path = Arc::clone(&self.path);
                ResponseFuture::parked(Parked::new(wait, unready, request, path))
            }
        }
    }
}

impl<S: Clone, Q, A, C, R> Admit<S, Q, A, C, R> {
    /// Drops the ready inner service for a clone, which has no readiness: what it holds (a permit of a
    /// concurrency limit, a place in a buffer) is others' again.
    fn give_up_readiness(&mut self) -> &S {
        let unready = self.inner.clone();
        drop(mem::replace(&mut self.inner, unready));
        &self.inner
    }
}

/// Under the name of the inner service, so that tonic's `add_service` takes it as it takes the inner one.
#[cfg(feature = "tonic")]
impl<S, Q, A, C, R> tonic::server::NamedService for Admit<S, Q, A, C, R>
where
    S: tonic::server::NamedService,
{
    const NAME: &'static str = S::NAME;
}
