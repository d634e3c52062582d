//! Bodies that end in time, or are cut off.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use buttress_core::{BoxError, Rejection, as_timed_out};
use buttress_http::grpc_trailers;
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep_until};

use crate::limits::Until;
use crate::watch::Watch;

/// The call is over when the body of the response has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThroughBody {
    body_end: Option<Until>,
    grpc: bool,
}

impl<B> Watch<Response<B>> for ThroughBody {
    type Response = Response<TimedBody<B>>;

    fn over(&self, body_end: Option<Until>, grpc: bool) -> Self {
        Self { body_end, grpc }
    }

    fn watch(&self, response: Response<B>) -> Self::Response {
        response.map(|body| TimedBody {
            inner: Some(body),
            until: self.body_end,
            grpc: self.grpc,
            timer: None,
        })
    }
}

pin_project! {
    /// A body that is cut off when its time has come.
    ///
    /// What the upstream has ready is handed on, however late it is asked for: only a body that is waited
    /// for is cut off, so a slow reader is nobody's failure. The inner body is then dropped, which ends it
    /// below as timed out; the reader gets an error that
    /// [`Rejection::find`](buttress_core::Rejection::find) knows, or, if the layer answers in gRPC, trailers
    /// with `DEADLINE_EXCEEDED`.
    ///
    /// A timer is made only for a body that has to be waited for.
    pub struct TimedBody<B> {
        // None once it was cut off.
        #[pin]
        inner: Option<B>,
        // None if it may last as long as it likes, and once it has ended.
        until: Option<Until>,
        grpc: bool,
        timer: Option<Pin<Box<Sleep>>>,
    }

    impl<B> PinnedDrop for TimedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.until.is_some_and(|until| until.has_come()) {
                cut_off(this.inner);
            }
        }
    }
}

fn cut_off<B>(mut inner: Pin<&mut Option<B>>) {
    as_timed_out(|| inner.set(None));
}

/// A body that may last as long as it likes, for answers.
impl<B> TimedBody<B> {
    const fn answer(body: B) -> Self {
        Self {
            inner: Some(body),
            until: None,
            grpc: false,
            timer: None,
        }
    }
}

impl<B: From<Bytes>> From<Bytes> for TimedBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self::answer(B::from(bytes))
    }
}

impl<B: Default> Default for TimedBody<B> {
    fn default() -> Self {
        Self::answer(B::default())
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = inner.as_mut().poll_frame(cx) {
            let more = matches!(&frame, Some(Ok(frame)) if frame.is_data());
            if !more || inner.is_end_stream() {
                *this.until = None;
                *this.timer = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(until) = *this.until else {
            return Poll::Pending;
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until.at())));
        // As for the head: the inner body may leave the timer no share of the task's time.
        ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
        cut_off(this.inner);
        *this.until = None;
        *this.timer = None;
        Poll::Ready(Some(last_frame(until.rejection(), *this.grpc)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.as_ref();
        inner.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What the reader of a body that was cut off is told.
fn last_frame<D>(rejection: Rejection, grpc: bool) -> Result<Frame<D>, BoxError> {
    match grpc {
        true => Ok(Frame::trailers(grpc_trailers(&rejection))),
        false => Err(rejection.into()),
    }
}

impl<B: fmt::Debug> fmt::Debug for TimedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedBody")
            .field("inner", &self.inner)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
