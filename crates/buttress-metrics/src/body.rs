//! Bodies that are followed to their end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::{ByResult, Classify, End, Now, Outcome, Permit};
use buttress_http::ByGrpcStatus;
use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::call::Call;
use crate::http::length;
use crate::kind::grpc_code;

pin_project! {
    /// A body whose bytes are counted, and whose end is the end of the request.
    ///
    /// Servers drop a body as soon as they have all of it, without asking for its end, so a body has ended when
    /// it says so, when it gave trailers, or when it gave as many bytes as `Content-Length` or its own size hint
    /// promise. A response to `HEAD` should have an empty body, as routers give it.
    pub struct MeasuredBody<B: Body> {
        // Dropped before the call ends, so that work has ended when it is counted.
        #[pin]
        inner: B,
        // Exempt once it has ended.
        call: Permit<Call>,
        outcome: Outcome,
        // What servers go by when they drop a body without asking it for its end.
        unread: Option<u64>,
        grpc: bool,
    }

    impl<B: Body> PinnedDrop for MeasuredBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.inner.is_end_stream() {
                end(this.call, *this.outcome);
            }
        }
    }
}

impl<B: Body> MeasuredBody<B> {
    pub(crate) fn follow(
        response: Response<B>,
        call: Permit<Call>,
        outcome: Outcome,
        now: &Now,
    ) -> Response<Self> {
        Self::make(response, call, outcome, (now, false))
    }

    pub(crate) fn follow_grpc(
        response: Response<B>,
        call: Permit<Call>,
        outcome: Outcome,
        now: &Now,
    ) -> Response<Self> {
        Self::make(response, call, outcome, (now, true))
    }

    #[inline]
    fn make(
        response: Response<B>,
        call: Permit<Call>,
        outcome: Outcome,
        (now, grpc): (&Now, bool),
    ) -> Response<Self> {
        let (parts, inner) = response.into_parts();
        let unread = length(&parts.headers, &inner);
        let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let complete =
            without.contains(&parts.status) || inner.is_end_stream() || unread == Some(0);
        let call = match complete {
            true => {
                call.end(End::Settled(outcome, None), now);
                Permit::exempt()
            }
            false => call,
        };
        let body = Self {
            inner,
            call,
            outcome,
            unread,
            grpc,
        };
        Response::from_parts(parts, body)
    }

    /// A body that nobody measures, for answers.
    const fn answer(inner: B) -> Self {
        Self {
            inner,
            call: Permit::exempt(),
            outcome: Outcome::Success,
            unread: None,
            grpc: false,
        }
    }
}

fn end(call: &mut Permit<Call>, outcome: Outcome) {
    let call = std::mem::replace(call, Permit::exempt());
    call.end(End::Settled(outcome, None), &Now::new());
}

impl<B: Body + From<Bytes>> From<Bytes> for MeasuredBody<B> {
    fn from(content: Bytes) -> Self {
        Self::answer(B::from(content))
    }
}

impl<B: Body + Default> Default for MeasuredBody<B> {
    fn default() -> Self {
        Self::answer(B::default())
    }
}

/// What trailers of gRPC say of a call; nothing if they are not gRPC's.
fn by_trailers(trailers: &HeaderMap) -> Option<(u8, Outcome)> {
    let code = grpc_code(trailers)?;
    let mut head = Response::new(());
    // Read as a head is, whose words are the same.
    *head.headers_mut() = trailers.clone();
    let told: Result<&Response<()>, &std::convert::Infallible> = Ok(&head);
    Some((code, ByGrpcStatus(ByResult).classify(told)))
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let inner = this.inner.as_mut();
        let frame = ready!(match this.call.ticket() {
            Some(call) => call.span.within(|| inner.poll_frame(cx)),
            None => inner.poll_frame(cx),
        });
        let ended = match &frame {
            None => true,
            Some(Err(_)) => {
                if let Some(call) = this.call.ticket_mut() {
                    call.set_broken();
                }
                true
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let read = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
                    if let Some(call) = this.call.ticket() {
                        call.received(read);
                    }
                    *this.unread = this.unread.map(|unread| unread.saturating_sub(read));
                }
                let trailers = frame.trailers_ref();
                if let (true, Some(trailers)) = (*this.grpc, trailers)
                    && let (Some(call), Some((code, outcome))) =
                        (this.call.ticket_mut(), by_trailers(trailers))
                {
                    call.set_code(code);
                    call.set_outcome(outcome);
                }
                // A server asks no further once it has all bytes, the trailers, or the body's word.
                trailers.is_some() || *this.unread == Some(0) || this.inner.is_end_stream()
            }
        };
        if ended {
            end(this.call, *this.outcome);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for MeasuredBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredBody")
            .field("inner", &self.inner)
            .field("ended", &self.call.ticket().is_none())
            .finish_non_exhaustive()
    }
}
