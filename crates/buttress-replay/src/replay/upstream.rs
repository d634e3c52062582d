//! The upstream of a trace: it does to every attempt what the request's line says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use buttress_core::BoxError;
use buttress_core::time::Instant;
use parking_lot::Mutex;
use tower::Service;

use super::timeline::{Event, What};
use super::world::World;
use crate::trace::{Attempt, TransportError};

/// What goes through the layers in place of a request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The line of the trace, from 0.
    pub(super) request: usize,
    pub(super) key: Arc<str>,
    pub(super) cost: u64,
    pub(super) deadline: Option<Instant>,
}

/// What comes back: a head, and a body that ends some time.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Body,
}

/// Where an attempt's events are delivered.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    head: bool,
    body_end: bool,
    waker: Option<Waker>,
}

impl Slot {
    /// The event has happened.
    pub(super) fn deliver(&self, what: What) {
        let mut progress = self.0.lock();
        match what {
            What::Head { .. } => progress.head = true,
            _ => progress.body_end = true,
        }
        let waker = progress.waker.take();
        drop(progress);
        if let Some(waker) = waker {
            waker.wake();
        }
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
        world.timeline.add(Event {
            at: now + script.latency,
            request: call.request,
            what: What::Head { attempt },
        });
        world.call_started();
        drop(world);
        Answer {
            script,
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
        self.world.lock().call_ended();
    }
}

/// The wait for the head of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    script: Attempt,
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
        std::task::ready!(connection.slot.poll(cx, |progress| progress.head));
        let Some(connection) = this.connection.take() else {
            return Poll::Pending;
        };
        if let Some(error) = this.script.error {
            return Poll::Ready(Err(Box::new(Transport(error))));
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
        Poll::Ready(Ok(Reply {
            status: this.script.status,
            body: Body(connection),
        }))
    }
}

/// The wait for the end of a body.
#[derive(Debug)]
pub(super) struct Body(Connection);

impl Future for Body {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.slot.poll(cx, |progress| progress.body_end)
    }
}

/// No response at all.
#[derive(Debug)]
struct Transport(TransportError);

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the upstream broke off: {:?}", self.0)
    }
}

impl std::error::Error for Transport {}
