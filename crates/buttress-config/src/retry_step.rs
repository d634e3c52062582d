//! Retries whose policy is changed while they work.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use buttress_core::Now;
use buttress_http::{HttpAnswer, ReplayBody};
use buttress_retry::{
    HttpReplay, OnStatus, Retry, RetryBudget, RetryConfig, RetryLayer, RetryParts, WrappedBy,
};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::body::StackBody;
use crate::switch::Switch;
use crate::words::StackRequest;

type Replays = HttpReplay<WrappedBy<fn(ReplayBody<StackBody>) -> StackBody>>;
type Layers = RetryLayer<Replays, OnStatus, HttpAnswer<()>>;
type Parts = RetryParts<Replays, OnStatus, HttpAnswer<()>>;
type Retries<S> = Retry<S, Replays, OnStatus, HttpAnswer<()>>;

/// The retries of a stack.
#[derive(Clone)]
pub(crate) struct LiveRetry {
    pub(crate) switch: Switch,
    shared: Arc<Shared>,
}

struct Shared {
    /// How often it was changed, so that a service looks under the lock only after a change.
    generation: AtomicU64,
    told: Mutex<(Layers, Parts)>,
}

impl LiveRetry {
    pub(crate) fn new(config: &RetryConfig) -> Self {
        let wrap: fn(ReplayBody<StackBody>) -> StackBody = StackBody::new;
        let layer = config
            .layer()
            .http()
            .on(config.methods.clone())
            .wrap_bodies(wrap)
            .respond_http();
        let parts = layer.parts();
        Self {
            switch: Switch::new(config.enabled),
            shared: Arc::new(Shared {
                generation: AtomicU64::new(0),
                told: Mutex::new((layer, parts)),
            }),
        }
    }

    pub(crate) fn budget(&self) -> RetryBudget {
        self.shared.told.lock().0.retry_budget().clone()
    }

    /// From the next call on. What runs goes on as it began; the budget keeps what it holds.
    pub(crate) fn set(&self, config: &RetryConfig) {
        let mut told = self.shared.told.lock();
        let held = told.0.retry_budget();
        let budget = match held.rule() == config.budget {
            true => held.clone(),
            false => held.changed_to(config.budget, &Now::new()),
        };
        let layer = told.0.clone().with_policy(config.policy);
        let layer = layer.budget(budget).on(config.methods.clone());
        *told = (layer.clone(), layer.parts());
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn around<S>(&self, inner: S) -> RetryStep<S> {
        let told = self.shared.told.lock();
        RetryStep {
            seen: self.shared.generation.load(Ordering::Acquire),
            retry: told.0.layer(inner),
            live: self.clone(),
        }
    }
}

/// A service whose requests are sent again, or pass this by while it is off.
#[derive(Clone)]
pub(crate) struct RetryStep<S> {
    live: LiveRetry,
    seen: u64,
    retry: Retries<S>,
}

impl<S> RetryStep<S> {
    fn catch_up(&mut self) {
        let shared = &self.live.shared;
        if shared.generation.load(Ordering::Acquire) != self.seen {
            let told = shared.told.lock();
            self.seen = shared.generation.load(Ordering::Acquire);
            self.retry.set(told.1.clone());
        }
    }
}

impl<S> Service<StackRequest> for RetryStep<S>
where
    Retries<S>: Service<StackRequest, Response = S::Response, Error = S::Error>,
    S: Service<StackRequest>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<<Retries<S> as Service<StackRequest>>::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.retry.poll_ready(cx)
    }

    fn call(&mut self, request: StackRequest) -> Self::Future {
        if !self.live.switch.is_on() {
            let passed = self.retry.get_mut().call(request);
            return RetryFuture::Passed { passed };
        }
        self.catch_up();
        let retried = self.retry.call(request);
        RetryFuture::Retried { retried }
    }
}

pin_project! {
    #[project = RetryFutureProjection]
    pub(crate) enum RetryFuture<R, P> {
        Retried { #[pin] retried: R },
        Passed { #[pin] passed: P },
    }
}

impl<R: Future, P: Future<Output = R::Output>> Future for RetryFuture<R, P> {
    type Output = R::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Output> {
        match self.project() {
            RetryFutureProjection::Retried { retried } => retried.poll(cx),
            RetryFutureProjection::Passed { passed } => passed.poll(cx),
        }
    }
}
