use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::{Classify, End, Now, Permit};
use pin_project_lite::pin_project;

use crate::call::Call;
use crate::protocol::Answered;

pin_project! {
    /// The future of [`Measured`](crate::Measured). Dropping it before it is ready counts as aborted.
    pub struct ResponseFuture<F, P, C> {
        // Dropped before the call ends, so that it has ended when it is counted.
        #[pin]
        inner: F,
        call: Permit<Call>,
        protocol: P,
        classify: C,
    }
}

impl<F, P, C> ResponseFuture<F, P, C> {
    #[inline]
    pub(crate) const fn new(inner: F, call: Permit<Call>, protocol: P, classify: C) -> Self {
        Self {
            inner,
            call,
            protocol,
            classify,
        }
    }
}

impl<F, P, C, Res, E> Future for ResponseFuture<F, P, C>
where
    F: Future<Output = Result<Res, E>>,
    P: Answered<Res>,
    C: Classify<Res, E>,
{
    type Output = Result<P::Response, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let result = ready!(match this.call.ticket() {
            Some(call) => call.span.within(|| inner.poll(cx)),
            None => inner.poll(cx),
        });
        let now = Now::new();
        let outcome = this.classify.classify(result.as_ref());
        let mut call = mem::replace(this.call, Permit::exempt());
        Poll::Ready(match result {
            Ok(response) => Ok(this.protocol.answered(response, outcome, call, &now)),
            Err(error) => {
                call.head(outcome, &now);
                call.end(End::Settled(outcome, None), &now);
                Err(error)
            }
        })
    }
}

impl<F, P, C> fmt::Debug for ResponseFuture<F, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
