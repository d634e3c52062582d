//! The upstream of a trace: it does to every attempt what the request's line says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use buttress_core::BoxError;
use buttress_core::time::Instant;
use buttress_http::RETRY_AFTER_MS;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tower::Service;

use super::timeline::{Event, What};
use super::world::World;
use crate::trace::{Attempt, Priority, TransportError};

/// What goes through the layers in place of a request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The line of the trace, from 0.
    pub(super) request: usize,
    pub(super) key: Arc<str>,
    pub(super) tenant: Arc<str>,
    pub(super) priority: Priority,
    pub(super) cost: u64,
    /// The tokens to reserve; none if the budget is not to be asked.
    pub(super) estimate: Option<u64>,
    pub(super) method: Arc<str>,
    /// When the answer becomes worthless, as far as the layers have said.
    pub(super) deadline: Option<Instant>,
    /// When the request arrived.
    pub(super) arrived: Instant,
}

/// What comes back: a head, and a body that ends some time.
pub(super) type Reply = Response<ReplyBody>;

/// Any body: every layer that looks at bodies makes it another.
pub(super) type ReplyBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// The status as the trace has it, which need not be the one that the layers see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status(pub(super) u16);

/// Where an attempt's events are delivered.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    head: bool,
    body_end: bool,
    /// Nobody waits for it any more.
    over: bool,
    waker: Option<Waker>,
}

impl Slot {
    /// The event happens, unless nobody waits for it; whether it did.
    pub(super) fn deliver(&self, what: What) -> bool {
        let mut progress = self.0.lock();
        if progress.over {
            return false;
        }
        match what {
            What::Head { .. } => progress.head = true,
            _ => progress.body_end = true,
        }
        let waker = progress.waker.take();
        drop(progress);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn poll(&self, cx: &Context<'_>, done: impl Fn(&Progress) -> bool) -> Poll<()> {
        let mut progress = self.0.lock();
        if done(&progress) {
            return Poll::Ready(());
        }
        progress.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The innermost service.
#[derive(Debug, Clone)]
pub(super) struct Upstream(pub(super) World);

impl Service<Call> for Upstream {
    type Response = Reply;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Answer {
        let mut world = self.0.lock();
        let now = world.now();
        let record = &mut world.records[call.request];
        let attempt = record.attempts.len();
        let slot = Arc::new(Slot::default());
        record.attempts.push(now);
        record.slots.push(Arc::clone(&slot));
        let service = &world.trace[call.request].service;
        let script = service[attempt.min(service.len() - 1)].clone();
        let used = (world.trace[call.request].tokens).and_then(|tokens| tokens.used);
        let head = What::Head { attempt };
        if script.latency == 0 {
            // What the upstream does at this very instant beats whatever else falls due at it.
            slot.deliver(head);
        } else {
            world.timeline.add(Event {
                at: now + script.latency,
                request: call.request,
                what: head,
            });
        }
        world.call_started(call.request);
        drop(world);
        Answer {
            script,
            used,
            attempt,
            connection: Some(Connection {
                world: Arc::clone(&self.0),
                request: call.request,
                slot,
            }),
        }
    }
}

/// An attempt in flight. Dropping it ends it.
#[derive(Debug)]
struct Connection {
    world: World,
    request: usize,
    slot: Arc<Slot>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.slot.0.lock().over = true;
        self.world.lock().call_ended(self.request);
    }
}

/// The wait for the head of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    script: Attempt,
    used: Option<u64>,
    attempt: usize,
    connection: Option<Connection>,
}

impl Future for Answer {
    type Output = Result<Reply, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(connection) = &this.connection else {
            return Poll::Pending;
        };
        ready!(connection.slot.poll(cx, |progress| progress.head));
        let Some(connection) = this.connection.take() else {
            return Poll::Pending;
        };
        if let Some(error) = this.script.error {
            return Poll::Ready(Err(transport(error)));
        }
        let mut world = connection.world.lock();
        let end = Event {
            at: world.now() + this.script.body,
            request: connection.request,
            what: What::BodyEnd {
                attempt: this.attempt,
            },
        };
        world.timeline.add(end);
        drop(world);
        Poll::Ready(Ok(reply(&this.script, this.used, connection)))
    }
}

fn reply(script: &Attempt, used: Option<u64>, connection: Connection) -> Reply {
    let body: ReplyBody = Box::pin(Rest {
        breaks: script.body_error,
        used,
        connection: Some(connection),
    });
    let mut reply = Response::new(body);
    *reply.status_mut() = seen(script.status);
    // The format gives a `retry_after` a meaning with these two.
    if let (429 | 503, Some(wait)) = (script.status, script.retry_after) {
        reply
            .headers_mut()
            .insert(RETRY_AFTER_MS, HeaderValue::from(wait));
    }
    reply.extensions_mut().insert(Status(script.status));
    reply
}

/// The status that the layers see. HTTP knows of some that they have no body; in a trace all have one.
fn seen(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::NO_CONTENT) | Err(_) => StatusCode::OK,
        Ok(StatusCode::NOT_MODIFIED) => StatusCode::FOUND,
        Ok(status) => status,
    }
}

/// The body, which is nothing but the wait for its end, and then a last piece that tells the tokens used.
#[derive(Debug)]
struct Rest {
    breaks: bool,
    used: Option<u64>,
    // None once it has ended.
    connection: Option<Connection>,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(connection) = &self.connection else {
            return Poll::Ready(None);
        };
        ready!(connection.slot.poll(cx, |progress| progress.body_end));
        if let (false, Some(used)) = (self.breaks, self.used.take()) {
            return Poll::Ready(Some(Ok(Frame::data(usage_piece(used)))));
        }
        self.connection = None;
        Poll::Ready(self.breaks.then(|| Err("the body broke off".into())))
    }
}

/// The piece of a body that tells the tokens used.
fn usage_piece(used: u64) -> Bytes {
    Bytes::copy_from_slice(&used.to_be_bytes())
}

/// What a piece of a body tells of the tokens used.
pub(super) fn usage_of(piece: &[u8]) -> Option<u64> {
    piece.try_into().ok().map(u64::from_be_bytes)
}

/// An error as those who look at errors know it.
fn transport(error: TransportError) -> BoxError {
    use std::io::{Error, ErrorKind};
    Box::new(match error {
        TransportError::Connect => Error::from(ErrorKind::ConnectionRefused),
        TransportError::Reset => Error::from(ErrorKind::ConnectionReset),
    })
}
