//! One body for all steps of a stack.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

type Boxed = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// A body of any kind, so that the steps of a stack have one type whatever stands in it.
///
/// `StackBody::default()` is empty; `Bytes` become one; [`new`](Self::new) takes any body.
#[derive(Default)]
pub struct StackBody(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    // Under a lock only so that a body can be shared; whoever polls it has it alone.
    Boxed(Mutex<Boxed>),
}

impl StackBody {
    /// Any body.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // A body that is one already is not put into a box again.
        let mut body = Some(body);
        if let Some(body) = (&mut body as &mut dyn std::any::Any).downcast_mut::<Option<Self>>() {
            return body.take().unwrap_or_default();
        }
        match body {
            Some(body) if !body.is_end_stream() => {
                Self(Kind::Boxed(Mutex::new(Box::pin(AnyError { body }))))
            }
            _ => Self::default(),
        }
    }
}

impl From<Bytes> for StackBody {
    fn from(content: Bytes) -> Self {
        match content.is_empty() {
            true => Self::default(),
            false => Self(Kind::Whole(content)),
        }
    }
}

impl Body for StackBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Boxed(body) => body.get_mut().as_mut().poll_frame(cx),
            Kind::Whole(content) => {
                let content = std::mem::take(content);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(content))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(_) => false,
            Kind::Boxed(body) => body.lock().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(content) => {
                SizeHint::with_exact(u64::try_from(content.len()).unwrap_or(u64::MAX))
            }
            Kind::Boxed(body) => body.lock().size_hint(),
        }
    }
}

impl fmt::Debug for StackBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBody").finish_non_exhaustive()
    }
}

pin_project_lite::pin_project! {
    struct AnyError<B> {
        #[pin]
        body: B,
    }
}

impl<B> Body for AnyError<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.project().body.poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
