//! What stands below a timeout in these tests.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{
    AdmitLayer, BoxError, End, Now, Outcome, Path, Permit, Policy, Rejection, Ticket, With,
};
use buttress_http::{AtBodyEnd, PermitBody};
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tower::util::BoxCloneService;
use tower::{Layer, service_fn};

/// Any bytes.
pub(crate) type Bytes = VecDeque<u8>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// A policy that admits everything and writes down how it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends(Arc<Mutex<Vec<End>>>);

impl Ends {
    pub(crate) fn take(&self) -> Vec<End> {
        std::mem::take(&mut *self.0.lock().expect("no other thread panicked"))
    }
}

impl Ticket for Ends {
    fn end(self, end: End, _: &Now) {
        self.0.lock().expect("no other thread panicked").push(end);
    }
}

impl Policy for Ends {
    type Demand = ();
    type Ticket = Self;

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        Ok(())
    }

    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<Self>, Rejection> {
        Ok(Permit::new(self.clone()))
    }
}

pub(crate) const SETTLED: End = End::Settled(Outcome::Success, None);
pub(crate) const TIMED_OUT: End = End::Settled(Outcome::TimedOut, None);

/// A body whose frames a test sends.
#[derive(Debug)]
pub(crate) struct Stream(mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>);

impl Default for Stream {
    fn default() -> Self {
        Self(mpsc::unbounded_channel().1)
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}

pub(crate) type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

pub(crate) fn data(text: &str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(text.bytes().collect()))
}

pub(crate) type Held = Response<PermitBody<Stream, Ends>>;
pub(crate) type Below = BoxCloneService<Request<()>, Held, Infallible>;

/// What stands below a timeout: a service that answers once, the frames of its body, and how it ended.
pub(crate) fn streaming(after: Duration) -> (Below, Frames, Ends) {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = Arc::new(Mutex::new(Some(receive)));
    let ends = Ends::default();
    let service = AdmitLayer::from_path(Path {
        ask: (),
        admission: ends.clone(),
        settle: AtBodyEnd::default(),
        on_reject: With(|_| -> Result<Held, Infallible> { panic!("everything is admitted") }),
    })
    .layer(service_fn(move |_: Request<()>| {
        let body = Stream(
            receive
                .lock()
                .expect("no other thread panicked")
                .take()
                .expect("one body a test"),
        );
        async move {
            tokio::time::sleep_until(now() + after).await;
            Ok::<_, Infallible>(Response::new(body))
        }
    }));
    (Below::new(service), send, ends)
}
