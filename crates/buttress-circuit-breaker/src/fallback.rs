//! Another answer in place of an error.

use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use buttress_core::{ByBoxError, ByError, Classify, Outcome};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Answers in place of a service that failed or was refused: with a value, by another service, or with
/// what a function makes of it.
///
/// Without more words it steps in for every error, and a refusal of a layer further in is one;
/// [`refusals`](Self::refusals) and [`when`](Self::when) narrow or widen that. It belongs above the
/// breaker, and above a retry.
///
/// ```
/// use buttress_circuit_breaker::FallbackLayer;
///
/// let cached = FallbackLayer::value("the last answer that we know");
/// let other = FallbackLayer::function(|error: std::io::Error| match error.kind() {
///     std::io::ErrorKind::TimedOut => Ok("later"),
///     _ => Err(error),
/// });
/// # let _ = (cached, other);
/// ```
pub struct FallbackLayer<F, W = AnyError> {
    path: Arc<(F, W)>,
}

/// Answers with a clone of a value.
#[derive(Clone, Copy, Debug)]
pub struct Value<V>(V);

/// Answers with what a function makes of the error.
#[derive(Clone, Copy, Debug)]
pub struct Function<F>(F);

/// Asks another service.
#[derive(Clone, Copy, Debug)]
pub struct Other<S>(S);

impl<V> FallbackLayer<Value<V>> {
    /// Answers with clones of a response.
    pub fn value(response: V) -> Self {
        Self::of(Value(response))
    }
}

impl<F> FallbackLayer<Function<F>> {
    /// Answers with what `function` makes of the error: a response, or an error. A refusal is found in an
    /// error by `Rejection::find`.
    pub fn function<E, Res>(function: F) -> Self
    where
        F: Fn(E) -> Result<Res, E>,
    {
        Self::of(Function(function))
    }
}

impl<S> FallbackLayer<Other<S>> {
    /// Sends the request to another service, which needs a clone of it.
    pub fn service(other: S) -> Self {
        Self::of(Other(other))
    }
}

impl<F> FallbackLayer<F> {
    fn of(fallback: F) -> Self {
        Self {
            path: Arc::new((fallback, AnyError)),
        }
    }

    /// Steps in for refusals of buttress layers only, not for other errors.
    #[must_use]
    pub fn refusals(self) -> FallbackLayer<F, Refusals<ByError>>
    where
        F: Clone,
    {
        self.when(Refusals(ByError))
    }

    /// As [`refusals`](Self::refusals), where errors are in a box.
    #[must_use]
    pub fn boxed_refusals(self) -> FallbackLayer<F, Refusals<ByBoxError>>
    where
        F: Clone,
    {
        self.when(Refusals(ByBoxError))
    }

    /// Steps in when `when` says so: a closure over `Result<&Response, &Error>`. A response for which it
    /// steps in is dropped; only a [value](FallbackLayer::value) or a [service](FallbackLayer::service)
    /// can take its place, as a function is given errors only.
    #[must_use]
    pub fn when<W>(self, when: W) -> FallbackLayer<F, W>
    where
        F: Clone,
    {
        let fallback = self.path.0.clone();
        FallbackLayer {
            path: Arc::new((fallback, when)),
        }
    }
}

/// Tells for which results a fallback steps in. A closure is one.
pub trait StepsIn<Res, E> {
    /// Whether it does.
    fn steps_in(&self, result: Result<&Res, &E>) -> bool;
}

/// Every error.
#[derive(Clone, Copy, Debug)]
pub struct AnyError;

impl<Res, E> StepsIn<Res, E> for AnyError {
    fn steps_in(&self, result: Result<&Res, &E>) -> bool {
        result.is_err()
    }
}

/// What a classifier calls refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusals<C>(C);

impl<Res, E, C: Classify<Res, E>> StepsIn<Res, E> for Refusals<C> {
    fn steps_in(&self, result: Result<&Res, &E>) -> bool {
        self.0.classify(result) == Outcome::Refused
    }
}

impl<Res, E, F: Fn(Result<&Res, &E>) -> bool> StepsIn<Res, E> for F {
    fn steps_in(&self, result: Result<&Res, &E>) -> bool {
        self(result)
    }
}

/// Answers in place of a result.
pub trait Fallback<Req, Res, E> {
    /// What must be kept of a request for it.
    type Kept;
    /// The answer.
    type Future: Future<Output = Result<Res, E>>;

    /// Keeps it.
    fn keep(&self, request: &Req) -> Self::Kept;

    /// Answers.
    fn answer(&self, kept: Self::Kept, result: Result<Res, E>) -> Self::Future;
}

impl<Req, Res: Clone, E> Fallback<Req, Res, E> for Value<Res> {
    type Kept = ();
    type Future = Ready<Result<Res, E>>;

    fn keep(&self, _: &Req) {}

    fn answer(&self, (): (), _: Result<Res, E>) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

impl<Req, Res, E, F: Fn(E) -> Result<Res, E>> Fallback<Req, Res, E> for Function<F> {
    type Kept = ();
    type Future = Ready<Result<Res, E>>;

    fn keep(&self, _: &Req) {}

    fn answer(&self, (): (), result: Result<Res, E>) -> Self::Future {
        ready(result.or_else(&self.0))
    }
}

impl<Req, Res, E, S> Fallback<Req, Res, E> for Other<S>
where
    Req: Clone,
    S: Service<Req, Response = Res, Error = E> + Clone,
{
    type Kept = Req;
    type Future = Asking<S, Req>;

    fn keep(&self, request: &Req) -> Req {
        request.clone()
    }

    fn answer(&self, request: Req, _: Result<Res, E>) -> Self::Future {
        Asking {
            state: AskingState::Readying {
                // A clone has no readiness of its own yet.
                service: self.0.clone(),
                request: Some(request),
            },
        }
    }
}

pin_project! {
    /// Waits for the other service to be ready, and then for its answer.
    pub struct Asking<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: AskingState<S, Req, S::Future>,
    }
}

pin_project! {
    #[project = AskingProjection]
    enum AskingState<S, Req, F> {
        Readying { service: S, request: Option<Req> },
        Asked { #[pin] answer: F },
    }
}

impl<S: Service<Req>, Req> Future for Asking<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let answer = match state.as_mut().project() {
                AskingProjection::Asked { answer } => return answer.poll(cx),
                AskingProjection::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take();
                    service.call(request.expect("a request is sent once"))
                }
            };
            state.set(AskingState::Asked { answer });
        }
    }
}

/// A service with a [`FallbackLayer`].
pub struct FallbackService<S, F, W = AnyError> {
    inner: S,
    path: Arc<(F, W)>,
}

impl<S, F, W> Layer<S> for FallbackLayer<F, W> {
    type Service = FallbackService<S, F, W>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService {
            inner,
            path: Arc::clone(&self.path),
        }
    }
}

impl<Req, S, F, W> Service<Req> for FallbackService<S, F, W>
where
    S: Service<Req>,
    F: Fallback<Req, S::Response, S::Error>,
    W: StepsIn<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FallbackFuture<S, Req, F, W>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let kept = self.path.0.keep(&request);
        FallbackFuture {
            state: FallbackState::First {
                inner: self.inner.call(request),
                kept: Some(kept),
                path: Arc::clone(&self.path),
            },
        }
    }
}

pin_project! {
    /// The future of a [`FallbackService`].
    pub struct FallbackFuture<S, Req, F, W>
    where
        S: Service<Req>,
        F: Fallback<Req, S::Response, S::Error>,
    {
        #[pin]
        state: FallbackState<S::Future, F::Kept, F::Future, F, W>,
    }
}

pin_project! {
    #[project = FallbackProjection]
    enum FallbackState<I, K, A, F, W> {
        First { #[pin] inner: I, kept: Option<K>, path: Arc<(F, W)> },
        Second { #[pin] answer: A },
    }
}

impl<S, Req, F, W> Future for FallbackFuture<S, Req, F, W>
where
    S: Service<Req>,
    F: Fallback<Req, S::Response, S::Error>,
    W: StepsIn<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let answer = match state.as_mut().project() {
                FallbackProjection::Second { answer } => return answer.poll(cx),
                FallbackProjection::First { inner, kept, path } => {
                    let result = ready!(inner.poll(cx));
                    let (fallback, when) = &**path;
                    if !when.steps_in(result.as_ref()) {
                        return Poll::Ready(result);
                    }
                    let kept = kept.take().expect("a fallback answers once");
                    fallback.answer(kept, result)
                }
            };
            state.set(FallbackState::Second { answer });
        }
    }
}

impl<S: Clone, F, W> Clone for FallbackService<S, F, W> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            path: Arc::clone(&self.path),
        }
    }
}

impl<S: fmt::Debug, F, W> fmt::Debug for FallbackService<S, F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S: Service<Req>, Req> fmt::Debug for Asking<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking(..)")
    }
}

impl<S, Req, F, W> fmt::Debug for FallbackFuture<S, Req, F, W>
where
    S: Service<Req>,
    F: Fallback<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FallbackFuture(..)")
    }
}

impl<F, W> fmt::Debug for FallbackLayer<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FallbackLayer(..)")
    }
}

impl<F, W> Clone for FallbackLayer<F, W> {
    fn clone(&self) -> Self {
        Self {
            path: Arc::clone(&self.path),
        }
    }
}
