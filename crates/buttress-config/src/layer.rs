//! The layer that puts a stack around a service.

use std::fmt;
use std::task::{Context, Poll};

use buttress_core::{Admission, AdmitLayer, Ask, AtHead, BoxError, ByError, Path, Seed, Settle};
use buttress_http::{AtBodyEnd, AtUsage, ByStatus, HttpAnswer, Throughout};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::util::{BoxCloneSyncService, MapRequest, MapResponse};
use tower::{Layer, Service};

use crate::admissions::{LiveBudget, LiveLimit, LiveQueue, QueueReader};
use crate::body::StackBody;
use crate::gates::{GateAsk, ask_breaker, ask_budget, ask_limiter};
use crate::live::Layers;
use crate::order::LayerName;
use crate::stack::Stack;
use crate::words::{AnyKey, AnyMeasure, Described, StackRequest};

/// Everything inside a step of a stack, whatever it is: a service that fails with `E`.
type Step<E> = BoxCloneSyncService<StackRequest, Response<StackBody>, E>;

/// Puts a [`Stack`] around a service of HTTP.
///
/// The service gets [`StackRequest`]s, which services over any body take, as those of axum do; for one that
/// takes only its own body say [`wrap_bodies`](Self::wrap_bodies). Its errors must be of a type that is a
/// `std::error::Error`.
///
/// Every step of the stack allocates for its future, and for the body of the response if that has one: what
/// stands in the stack is known only when the file is read. A stack that is written down in the program,
/// layer by layer, does without.
#[derive(Clone)]
pub struct StackLayer<F = fn(StackBody) -> StackBody> {
    stack: Stack,
    wrap: F,
}

impl StackLayer {
    pub(crate) fn new(stack: Stack, wrap: fn(StackBody) -> StackBody) -> Self {
        Self { stack, wrap }
    }
}

impl<F> StackLayer<F> {
    /// Hands requests to the inner service with a body of its own type, which a function makes, such as
    /// `Body::new` of axum and tonic, or `Body::wrap` of reqwest.
    #[must_use]
    pub fn wrap_bodies<F2, B>(self, wrap: F2) -> StackLayer<F2>
    where
        F2: Fn(StackBody) -> B,
    {
        StackLayer {
            stack: self.stack,
            wrap,
        }
    }
}

impl<S, F, B, A> Layer<S> for StackLayer<F>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + Sync + 'static,
    S::Error: std::error::Error + Send + Sync + 'static,
    S::Future: Send,
    F: Fn(StackBody) -> B + Clone + Send + Sync + 'static,
    B: 'static,
    A: Body<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
{
    type Service = StackService<S::Error>;

    fn layer(&self, inner: S) -> Self::Service {
        let wrap = self.wrap.clone();
        let mut steps = step(MapRequest::new(inner, move |request: StackRequest| {
            request.map(&wrap)
        }));
        for layer in self.stack.order().iter().rev() {
            steps = around(&self.stack, *layer, steps);
        }
        StackService { steps }
    }
}

impl<F> fmt::Debug for StackLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackLayer")
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

/// A service with a stack around it. It takes requests with any body.
pub struct StackService<E> {
    steps: Step<E>,
}

impl<B, E> Service<Request<B>> for StackService<E>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<StackBody>;
    type Error = E;
    type Future = <Step<E> as Service<StackRequest>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.steps.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.steps.call(request.map(StackBody::new))
    }
}

// Derived, this would demand it of the error.
impl<E> Clone for StackService<E> {
    fn clone(&self) -> Self {
        Self {
            steps: self.steps.clone(),
        }
    }
}

impl<E> fmt::Debug for StackService<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackService").finish_non_exhaustive()
    }
}

/// Forgets the type of a service.
fn step<S, B, E>(service: S) -> Step<E>
where
    S: Service<StackRequest, Response = Response<B>, Error = E> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: 'static,
{
    let erased = |response: Response<B>| response.map(StackBody::new);
    Step::new(MapResponse::new(service, erased))
}

/// Puts one layer around what is there. Those that a queue asks stand behind it, and nowhere else.
fn around<E>(stack: &Stack, layer: LayerName, inner: Step<E>) -> Step<E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let layers = &*stack.layers;
    if layers.gates.contains(&layer) {
        return inner;
    }
    match layer {
        LayerName::Retry => match &layers.retry {
            Some(retry) => step(retry.around(inner)),
            None => inner,
        },
        LayerName::PriorityQueue => queued(stack, inner),
        LayerName::CircuitBreaker => broken(stack, inner),
        LayerName::TokenBudget => budgeted(stack, inner),
        LayerName::RateLimit => limited(stack, inner),
    }
}

/// What a circuit is kept by.
fn circuit_key(stack: &Stack) -> AnyKey {
    match stack.layers.is_keyed {
        true => stack.words().key.clone(),
        false => AnyKey::new(()),
    }
}

fn limited<E>(stack: &Stack, inner: Step<E>) -> Step<E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let Some(live) = &stack.layers.limiter else {
        return inner;
    };
    let path = Path {
        ask: ask_limiter(&live.handle, &live.switch, stack.words()),
        admission: LiveLimit {
            limiter: live.handle.clone(),
            wait: live.wait.clone(),
        },
        settle: AtHead::default(),
        on_reject: HttpAnswer::new(Described {
            limits: live.handle.clone(),
            key: stack.words().key.clone(),
        }),
    };
    admitted(path, inner)
}

fn budgeted<E>(stack: &Stack, inner: Step<E>) -> Step<E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let Some(live) = &stack.layers.budget else {
        return inner;
    };
    let path = Path {
        ask: ask_budget(&live.handle, &live.switch, stack.words()),
        admission: LiveBudget {
            budget: live.handle.clone(),
            wait: live.wait.clone(),
        },
        settle: AtUsage::new(stack.words().measure.clone()).classify(ByStatus(ByError)),
        on_reject: HttpAnswer::new(Described {
            limits: live.handle.clone(),
            key: stack.words().key.clone(),
        }),
    };
    admitted(path, inner)
}

fn broken<E>(stack: &Stack, inner: Step<E>) -> Step<E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let Some(live) = &stack.layers.breaker else {
        return inner;
    };
    let key = circuit_key(stack);
    let path = Path {
        ask: ask_breaker(&live.handle, &live.switch, key.clone()),
        admission: live.handle.clone(),
        settle: AtBodyEnd(ByStatus(ByError)),
        on_reject: HttpAnswer::new(Described { limits: (), key }),
    };
    admitted(path, inner)
}

fn queued<E>(stack: &Stack, inner: Step<E>) -> Step<E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let layers = &*stack.layers;
    let Some(live) = &layers.queue else {
        return inner;
    };
    let words = stack.words();
    let gate = |index: usize| gate(stack, layers, layers.gates.get(index).copied());
    // Only the budget wants to know what a call used, and only if it stands behind the queue.
    let measures = layers.gates.contains(&LayerName::TokenBudget);
    let measure = measures.then(|| words.measure.clone());
    let path = Path {
        ask: QueueReader {
            words: words.clone(),
            seed: layers.seed.map_or_else(Seed::random, Seed::fixed),
            switch: live.switch.clone(),
            gates: (gate(0), gate(1), gate(2)),
        },
        admission: LiveQueue(live.handle.clone()),
        settle: Throughout::new(ByStatus(ByError))
            .measure(measure.unwrap_or_else(AnyMeasure::default)),
        on_reject: HttpAnswer::new(Described {
            limits: (),
            key: words.key.clone(),
        }),
    };
    admitted(path, inner)
}

fn gate(stack: &Stack, layers: &Layers, layer: Option<LayerName>) -> GateAsk {
    let words = stack.words();
    let ask = match layer {
        Some(LayerName::CircuitBreaker) => layers.breaker.as_ref().map(|live| {
            GateAsk::Breaker(ask_breaker(&live.handle, &live.switch, circuit_key(stack)))
        }),
        Some(LayerName::TokenBudget) => {
            let live = layers.budget.as_ref();
            live.map(|live| GateAsk::Budget(ask_budget(&live.handle, &live.switch, words)))
        }
        Some(LayerName::RateLimit) => {
            let live = layers.limiter.as_ref();
            live.map(|live| GateAsk::Limiter(ask_limiter(&live.handle, &live.switch, words)))
        }
        Some(LayerName::Retry | LayerName::PriorityQueue) | None => None,
    };
    ask.unwrap_or(GateAsk::Absent)
}

/// Puts an admission around what is there.
fn admitted<E, B, Q, A, C, P>(path: Path<Q, A, C, HttpAnswer<P>>, inner: Step<E>) -> Step<E>
where
    E: Send + 'static,
    Q: Ask<StackRequest, Demand = A::Demand> + Send + Sync + 'static,
    A: Admission + Send + Sync + 'static,
    A::Ticket: Send,
    A::Wait: Send,
    C: Settle<Response<StackBody>, E, A::Ticket, Response = Response<B>>,
    C: Clone + Send + Sync + 'static,
    P: buttress_core::Describe + Send + Sync + 'static,
    B: Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    step(AdmitLayer::from_path(path).layer(inner))
}
