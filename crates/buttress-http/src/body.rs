//! Permits that last as long as a response's body.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::{Classify, End, Now, Outcome, Permit, Settle, Ticket};
use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::classify::ByStatus;
use crate::grpc::by_trailers;
use crate::usage::{ReadUsage, show};

/// Ends the permit when the body of the response ends, breaks off, or is dropped.
///
/// A head that is no success is final: the permit ends at once, so that dropping its body unread is
/// no cancellation. So does the permit of a response that has no body to wait for (204, 304, or a body
/// that says so). A body that breaks off is a failure; one that is dropped before its end is a
/// cancellation. Trailers with a `grpc-status` tell how a call of gRPC went whose head could not know.
///
/// Servers drop a body as soon as they have all of it, without asking for its end, so a body has ended
/// when it says so, when it gave trailers, or when it gave as many bytes as `Content-Length` or its own
/// size hint promise. A response to `HEAD` should have an empty body, as routers give it: one that a
/// server drops for being unwanted cannot be told from a caller who went away.
#[derive(Clone, Copy, Debug)]
pub struct AtBodyEnd<C = ByStatus>(
    /// Tells by the head how the call went.
    pub C,
);

// For one classifier only, so that `AtBodyEnd::default()` needs no annotation.
impl Default for AtBodyEnd {
    fn default() -> Self {
        Self(ByStatus::default())
    }
}

impl<B, E, T, C> Settle<Response<B>, E, T> for AtBodyEnd<C>
where
    B: Body,
    T: Ticket,
    C: Classify<Response<B>, E>,
{
    type Response = Response<PermitBody<B, T>>;

    fn settle(
        &self,
        result: Result<Response<B>, E>,
        mut permit: Permit<T>,
        now: &Now,
    ) -> Result<Self::Response, E> {
        let outcome = self.0.classify(result.as_ref());
        permit.head(outcome, now);
        let (parts, inner) = match result {
            Ok(response) => response.into_parts(),
            Err(error) => {
                permit.end(End::Settled(outcome, None), now);
                return Err(error);
            }
        };
        let held = match outcome {
            Outcome::Success => Some((permit, ())),
            _ => {
                permit.end(End::Settled(outcome, None), now);
                None
            }
        };
        Ok(hold(parts, inner, held, now))
    }
}

/// A response that holds a permit until the end of its body, unless there is nothing to wait for.
pub(crate) fn hold<B: Body, T: Ticket, R: ReadUsage>(
    parts: Parts,
    inner: B,
    held: Option<(Permit<T>, R)>,
    now: &Now,
) -> Response<PermitBody<B, T, R>> {
    let unread = length(&parts.headers, &inner);
    let complete = matches!(
        parts.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) || inner.is_end_stream()
        || unread == Some(0);
    let held = match held {
        Some((permit, mut reader)) if complete => {
            permit.end(End::Settled(Outcome::Success, reader.usage()), now);
            None
        }
        held => held,
    };
    let body = PermitBody {
        inner,
        held: Held(held),
        unread,
    };
    Response::from_parts(parts, body)
}

/// How many bytes the body has, if that is known.
fn length(headers: &HeaderMap, body: &impl Body) -> Option<u64> {
    let stated = headers.get(CONTENT_LENGTH);
    stated
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .or_else(|| body.size_hint().exact())
}

pin_project! {
    /// A body that holds a permit until its end.
    pub struct PermitBody<B, T, R = ()>
    where
        B: Body,
        T: Ticket,
        R: ReadUsage,
    {
        // Dropped before the permit, so that work ends before its place is free.
        #[pin]
        inner: B,
        // None once it has ended.
        held: Held<T, R>,
        // What servers go by when they drop a body without asking it for its end.
        unread: Option<u64>,
    }

    impl<B, T, R> PinnedDrop for PermitBody<B, T, R>
    where
        B: Body,
        T: Ticket,
        R: ReadUsage,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.inner.is_end_stream() {
                settle(this.held, Outcome::Success);
            }
        }
    }
}

/// A permit and what follows the body, until it has ended.
struct Held<T: Ticket, R: ReadUsage>(Option<(Permit<T>, R)>);

impl<T: Ticket, R: ReadUsage> Drop for Held<T, R> {
    /// The caller went away, or did not need the rest: what was seen until then is told.
    fn drop(&mut self) {
        if let Some((permit, mut reader)) = self.0.take() {
            permit.leave(reader.usage(), &Now::new());
        }
    }
}

fn settle<T: Ticket, R: ReadUsage>(held: &mut Held<T, R>, outcome: Outcome) {
    if let Some((permit, mut reader)) = held.0.take() {
        permit.end(End::Settled(outcome, reader.usage()), &Now::new());
    }
}

/// A body without a permit, for the answers of a layer.
impl<B: Body + From<Bytes>, T: Ticket, R: ReadUsage> From<Bytes> for PermitBody<B, T, R> {
    fn from(content: Bytes) -> Self {
        Self {
            inner: B::from(content),
            held: Held(None),
            unread: None,
        }
    }
}

/// A body without a permit, for answers that have no content.
impl<B: Body + Default, T: Ticket, R: ReadUsage> Default for PermitBody<B, T, R> {
    fn default() -> Self {
        Self {
            inner: B::default(),
            held: Held(None),
            unread: None,
        }
    }
}

impl<B: Body, T: Ticket, R: ReadUsage> Body for PermitBody<B, T, R> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let outcome = match &frame {
            None => Some(Outcome::Success),
            Some(Err(_)) => Some(Outcome::Failure),
            Some(Ok(frame)) => {
                if let (Some((_, reader)), Some(data)) = (&mut this.held.0, frame.data_ref()) {
                    show(data, reader);
                }
                if let (Some(unread), Some(data)) = (&mut *this.unread, frame.data_ref()) {
                    let read = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
                    *unread = unread.saturating_sub(read);
                }
                // A server asks no further once it has all bytes, the trailers, or the body's word.
                let told = frame.trailers_ref().map(by_trailers);
                let complete = *this.unread == Some(0) || this.inner.is_end_stream();
                told.or_else(|| complete.then_some(Outcome::Success))
            }
        };
        if let Some(outcome) = outcome {
            settle(this.held, outcome);
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

impl<B, T, R> fmt::Debug for PermitBody<B, T, R>
where
    B: Body + fmt::Debug,
    T: Ticket,
    R: ReadUsage,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitBody")
            .field("inner", &self.inner)
            .field("ended", &self.held.0.is_none())
            .finish_non_exhaustive()
    }
}
