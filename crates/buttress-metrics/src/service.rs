use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::{Classify, Now, Permit};
use tower_service::Service;

use crate::call::Call;
use crate::future::ResponseFuture;
use crate::protocol::{Protocol, Seen};
use crate::shared::Shared;
use crate::spans::CallSpan;

/// A service that is measured.
#[derive(Clone)]
pub struct Measured<S, P, C> {
    inner: S,
    shared: Arc<Shared>,
    protocol: P,
    classify: C,
    spans: bool,
}

impl<S, P, C> Measured<S, P, C> {
    pub(crate) fn new(
        inner: S,
        shared: Arc<Shared>,
        (protocol, classify): (P, C),
        spans: bool,
    ) -> Self {
        Self {
            inner,
            shared,
            protocol,
            classify,
            spans,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    fn span(&self) -> CallSpan {
        #[cfg(feature = "tracing")]
        return CallSpan::new(self.spans, &self.shared);
        #[cfg(not(feature = "tracing"))]
        CallSpan
    }
}

impl<S, P, C, Req> Service<Req> for Measured<S, P, C>
where
    S: Service<Req>,
    P: Protocol<Req, S::Response>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = P::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, P, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let now = Now::new();
        let asked = self.protocol.asked(&request, &Seen(&self.shared));
        // Before the inner service is called: what it does at once is part of the request.
        let call = Permit::new(Call::begin(&self.shared, asked, self.span(), &now));
        let inner = &mut self.inner;
        let future = match call.ticket() {
            Some(held) => held.span.within(|| inner.call(request)),
            None => inner.call(request),
        };
        ResponseFuture::new(future, call, self.protocol, self.classify.clone())
    }
}

impl<S: fmt::Debug, P, C> fmt::Debug for Measured<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured")
            .field("inner", &self.inner)
            .field("name", &self.shared.context.layer)
            .field("spans", &self.spans)
            .finish_non_exhaustive()
    }
}
