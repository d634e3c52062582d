//! Attempts as tasks of their own.
//!
//! What falls due inside an attempt (a wait) comes before the attempt's own timeout, for all requests of an
//! instant; so the driver must be able to poll the one without the other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use buttress_core::BoxError;
use buttress_core::time::{Instant, now};
use parking_lot::Mutex;
use tower::Service;

use super::ready::{Part, Ready, Task};
use super::stack::Stack;
use super::upstream::{Call, Reply};

type Result = std::result::Result<Reply, BoxError>;

/// The attempts that run, at most one a request.
#[derive(Clone)]
pub(super) struct Attempts {
    running: Arc<Mutex<Vec<Latest>>>,
    /// How many have begun.
    begun: Arc<AtomicU64>,
    ready: Arc<Ready>,
}

/// The latest attempt of a request.
#[derive(Clone, Default)]
enum Latest {
    #[default]
    None,
    Running(Attempt),
    Ended,
}

/// An attempt that runs, when it began, and how many had begun before it.
#[derive(Clone)]
struct Attempt {
    order: u64,
    began: Instant,
    handle: Handle,
}

impl Latest {
    fn running(&self) -> Option<&Attempt> {
        match self {
            Self::Running(attempt) => Some(attempt),
            Self::None | Self::Ended => None,
        }
    }
}

type Handle = Arc<Mutex<State>>;

/// An attempt that runs, or has come to its end and was not asked for it yet.
struct State {
    /// Lets the attempt be polled.
    waker: Waker,
    future: Option<Pin<Box<dyn Future<Output = Result> + Send>>>,
    result: Option<Result>,
    asking: Option<Waker>,
}

impl Attempts {
    pub(super) fn new(requests: usize, ready: Arc<Ready>) -> Self {
        Self {
            running: Arc::new(Mutex::new(vec![Latest::None; requests])),
            begun: Arc::default(),
            ready,
        }
    }

    /// Where the attempt stands in the order in which attempts came to the layers; none if none runs.
    pub(super) fn order(&self, request: usize) -> Option<u64> {
        Some(self.running.lock().get(request)?.running()?.order)
    }

    /// When the attempt that runs came to the layers.
    pub(super) fn began(&self, request: usize) -> Option<Instant> {
        Some(self.running.lock().get(request)?.running()?.began)
    }

    /// Whether the request is between two attempts, or at its end.
    pub(super) fn is_between(&self, request: usize) -> bool {
        let running = self.running.lock();
        matches!(running.get(request), Some(Latest::Ended))
    }

    /// Lets the attempt go on, and wakes who asked for its end if it has come.
    pub(super) fn poll(&self, request: usize) {
        if let Some(handle) = self.handle(request)
            && let Some(asking) = Self::go_on(&handle)
        {
            asking.wake();
        }
    }

    fn handle(&self, request: usize) -> Option<Handle> {
        let running = self.running.lock();
        Some(Arc::clone(&running.get(request)?.running()?.handle))
    }

    /// Polls the attempt; who waits for its end, if it has just come.
    fn go_on(handle: &Handle) -> Option<Waker> {
        let (mut future, waker) = {
            let mut state = handle.lock();
            (state.future.take()?, state.waker.clone())
        };
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = handle.lock();
        match polled {
            Poll::Ready(result) => {
                state.result = Some(result);
                state.asking.take()
            }
            Poll::Pending => {
                state.future = Some(future);
                None
            }
        }
    }
}

/// Stands just inside `[retry]`.
#[derive(Clone)]
pub(super) struct Apart {
    pub(super) inner: Stack,
    pub(super) attempts: Attempts,
}

impl Service<Call> for Apart {
    type Response = Reply;
    type Error = BoxError;
    type Future = Awaited;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Awaited {
        let request = call.request;
        let part = Part::Attempt;
        let handle = Arc::new(Mutex::new(State {
            waker: self.attempts.ready.waker(Task { request, part }),
            future: Some(self.inner.call(call)),
            result: None,
            asking: None,
        }));
        if let Some(place) = self.attempts.running.lock().get_mut(request) {
            *place = Latest::Running(Attempt {
                order: self.attempts.begun.fetch_add(1, Ordering::Relaxed),
                began: now(),
                handle: Arc::clone(&handle),
            });
        }
        Awaited {
            request,
            handle,
            attempts: self.attempts.clone(),
            is_new: true,
        }
    }
}

/// Waits for the end of an attempt. Dropping it ends the attempt.
pub(super) struct Awaited {
    request: usize,
    handle: Handle,
    attempts: Attempts,
    is_new: bool,
}

impl Future for Awaited {
    type Output = Result;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result> {
        let this = &mut *self;
        if std::mem::take(&mut this.is_new) {
            Attempts::go_on(&this.handle);
        }
        let mut state = this.handle.lock();
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.asking = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(place) = self.attempts.running.lock().get_mut(self.request) {
            *place = Latest::Ended;
        }
        // What is dropped with the attempt looks at what happens around it: here, and outside the lock.
        let future = self.handle.lock().future.take();
        drop(future);
    }
}
