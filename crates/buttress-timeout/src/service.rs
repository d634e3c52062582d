use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::{Now, OnReject};
use tower_service::Service;

use crate::deadline::RequestDeadline;
use crate::future::ResponseFuture;
use crate::layer::Settings;
use crate::watch::Watch;

/// A service whose calls are cut off.
///
/// A call whose deadline has come is refused without asking the inner service, whose readiness is then
/// given up; therefore the inner service must be `Clone`.
pub struct Timeout<S, D, W, R> {
    inner: S,
    settings: Arc<Settings<D, W, R>>,
}

impl<S, D, W, R> Timeout<S, D, W, R> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings<D, W, R>>) -> Self {
        Self { inner, settings }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, D, W, R, Req> Service<Req> for Timeout<S, D, W, R>
where
    S: Service<Req> + Clone,
    D: RequestDeadline<Req>,
    W: Watch<S::Response>,
    R: OnReject<W::Response, S::Error> + Clone,
{
    type Response = R::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, W, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(R::error)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let now = Now::new();
        let settings = &*self.settings;
        let asked = settings.deadlines.received(&request, &now);
        let on_reject = settings.on_reject.clone();
        match settings.limits.begin(asked, &now) {
            Ok(course) => {
                if let Some(end) = course.end() {
                    settings.deadlines.pass_on(&mut request, end, &now);
                }
                let watch = settings.watch.over(course.body_end, settings.grpc);
                ResponseFuture::running(self.inner.call(request), course.head, watch, on_reject)
            }
            Err(rejection) => {
                let watch = settings.watch.over(None, settings.grpc);
                // The clone has no readiness: what the ready one held is others' again.
                let unready = self.inner.clone();
                drop(mem::replace(&mut self.inner, unready));
                ResponseFuture::refused(rejection, watch, on_reject)
            }
        }
    }
}

// Derived, this would demand `Clone` of what is behind the `Arc`.
impl<S: Clone, D, W, R> Clone for Timeout<S, D, W, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S: fmt::Debug, D, W, R> fmt::Debug for Timeout<S, D, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("inner", &self.inner)
            .field("limits", &self.settings.limits)
            .finish_non_exhaustive()
    }
}
