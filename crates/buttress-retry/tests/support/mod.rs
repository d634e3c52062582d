//! An upstream that does what a test tells it, and what is seen of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::time::{Instant, later, now};
use buttress_core::{Event, Observe, Rejection};
use tower::{Service, ServiceExt};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    Answers(u32),
    Fails,
    Refuses(Rejection),
    Hangs,
    After(Duration, &'static Does),
}

#[derive(Debug)]
pub(crate) enum Failure {
    Down,
    Refused(Rejection),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Down => None,
            Self::Refused(rejection) => Some(rejection),
        }
    }
}

/// A response that is counted while it lives, as one that holds a connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u32,
    _alive: Alive,
}

#[derive(Debug)]
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does one thing after the other, the last for ever, and insists on being readied for each.
pub(crate) struct Upstream {
    script: Arc<Vec<Does>>,
    start: Instant,
    calls: Arc<Mutex<Vec<u64>>>,
    pub(crate) requests: Arc<Mutex<Vec<u32>>>,
    pub(crate) responses: Arc<AtomicUsize>,
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) ready: Arc<AtomicUsize>,
    readiness: Option<Alive>,
}

impl Upstream {
    pub(crate) fn new(script: impl Into<Vec<Does>>) -> Self {
        Self {
            script: Arc::new(script.into()),
            start: now(),
            calls: Arc::default(),
            requests: Arc::default(),
            responses: Arc::default(),
            running: Arc::default(),
            ready: Arc::default(),
            readiness: None,
        }
    }

    /// When it was called, in milliseconds.
    pub(crate) fn calls(&self) -> Vec<u64> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn count(of: &Arc<AtomicUsize>) -> usize {
        of.load(Ordering::SeqCst)
    }
}

// A clone has no readiness.
impl Clone for Upstream {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            start: self.start,
            calls: Arc::clone(&self.calls),
            requests: Arc::clone(&self.requests),
            responses: Arc::clone(&self.responses),
            running: Arc::clone(&self.running),
            ready: Arc::clone(&self.ready),
            readiness: None,
        }
    }
}

impl Service<u32> for Upstream {
    type Response = Answer;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.readiness.is_none() {
            self.readiness = Some(Alive::new(&self.ready));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let readiness = self.readiness.take();
        assert!(readiness.is_some(), "called without being readied");
        drop(readiness);
        self.requests.lock().unwrap().push(request);
        let mut calls = self.calls.lock().unwrap();
        let does = self.script[calls.len().min(self.script.len() - 1)];
        calls.push(u64::try_from(self.start.elapsed().as_millis()).unwrap());
        drop(calls);
        let responses = Arc::clone(&self.responses);
        let running = Alive::new(&self.running);
        Box::pin(async move {
            let _running = running;
            let mut does = does;
            loop {
                match does {
                    Does::After(wait, then) => {
                        tokio::time::sleep_until(later(now(), wait)).await;
                        does = *then;
                    }
                    Does::Answers(number) => {
                        let _alive = Alive::new(&responses);
                        return Ok(Answer { number, _alive });
                    }
                    Does::Fails => return Err(Failure::Down),
                    Does::Refuses(rejection) => return Err(Failure::Refused(rejection)),
                    Does::Hangs => std::future::pending().await,
                }
            }
        })
    }
}

/// Sends a request as a caller does.
pub(crate) async fn send<S: Service<u32> + Clone>(
    service: &S,
    request: u32,
) -> Result<S::Response, S::Error> {
    service.clone().oneshot(request).await
}

/// Writes down what it hears.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observe for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
