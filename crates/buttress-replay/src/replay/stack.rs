//! The layers of a policy, around the upstream.

use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreakerConfig, CircuitBreakerLayer, Window};
use buttress_core::{BoxError, ByBoxError, Describe, Event, Now};
use buttress_http::{ByStatus, Hints};
use buttress_rate_limit::{RateLimitConfig, RateLimitLayer, RateLimiter};
use buttress_retry::{OnBoxError, OnStatus, RetryConfig};
use bytes::Bytes;
use http::Response;
use http_body::Body;
use tower::util::{BoxCloneService, MapRequest, MapResponse};
use tower::{Layer, Service};

use super::attempts::{Apart, Attempts};
use super::repeat::Repeat;
use super::upstream::{Call, Reply, Upstream};
use super::world::{Left, World};
use crate::policy::{self, Policy};

/// Any stack.
pub(super) type Stack = BoxCloneService<Call, Reply, BoxError>;

/// A stack, and what can be asked of its layers.
pub(super) struct Built {
    pub(super) stack: Stack,
    limiter: Option<RateLimiter>,
}

impl Built {
    /// Builds from the inside out.
    pub(super) fn new(policy: &Policy, world: &World, attempts: &Attempts) -> Self {
        let mut stack = Stack::new(Upstream(world.clone()));
        let mut limiter = None;
        for layer in policy.stack.iter().rev() {
            stack = match layer {
                policy::Layer::Retry => match &policy.retry {
                    Some(config) => retried(stack, config, policy.seed, attempts),
                    None => stack,
                },
                policy::Layer::CircuitBreaker => match &policy.circuit_breaker {
                    Some(config) => broken(stack, config, policy.seed, world),
                    None => stack,
                },
                policy::Layer::RateLimit => match &policy.rate_limit {
                    Some(config) => {
                        let (limited, handle) = rate_limited(stack, config, policy, world);
                        limiter = Some(handle);
                        limited
                    }
                    None => stack,
                },
            }
        }
        Self { stack, limiter }
    }

    /// What is left for a key now.
    pub(super) fn left(&self, key: &str) -> Option<Left> {
        scarcest(self.limiter.as_ref()?, key)
    }
}

fn retried(inner: Stack, config: &RetryConfig, seed: u64, attempts: &Attempts) -> Stack {
    let mut config = config.clone();
    config.seed = Some(seed);
    let layer = config
        .layer()
        .replay(Repeat {
            methods: config.methods.clone(),
            deadline: config.policy.deadline(),
        })
        // The upstream of a trace says in milliseconds when to come back.
        .retry_if(OnStatus {
            hints: Hints::Compatible,
            errors: OnBoxError,
        })
        .as_box_error();
    Stack::new(layer.layer(Apart {
        inner,
        attempts: attempts.clone(),
    }))
}

fn broken(inner: Stack, config: &CircuitBreakerConfig, seed: u64, world: &World) -> Stack {
    let mut config = config.clone();
    config.seed = Some(seed);
    let epoch = match config.window() {
        // Slices are tenths.
        Window::Time(time) => world.lock().aligned(time / 10),
        Window::Calls(_) => world.lock().aligned(Duration::ZERO),
    };
    let breaker = config
        .builder()
        .epoch(epoch)
        .build()
        .expect("a policy that was read makes sense");
    let layer = CircuitBreakerLayer::from(breaker)
        .reading_statuses()
        .classify(ByStatus(ByBoxError))
        .as_box_error();
    match config.by {
        Some(_) => boxed(layer.by(|call: &Call| Some(call.key.clone())).layer(inner)),
        None => boxed(layer.layer(inner)),
    }
}

/// A service whose layer has made a body of its own.
fn boxed<S, B>(service: S) -> Stack
where
    S: Service<Call, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let boxed = |response: Response<B>| -> Reply { response.map(|body| Box::pin(body) as _) };
    Stack::new(MapResponse::new(service, boxed))
}

fn rate_limited(
    inner: Stack,
    config: &RateLimitConfig,
    policy: &Policy,
    world: &World,
) -> (Stack, RateLimiter) {
    let mut config = config.clone();
    config.seed = Some(policy.seed);
    let limiter = config
        .builder()
        .wall_clock(world.lock().wall_clock(policy.start))
        .build()
        .expect("a policy that was read can be enforced");
    let layer = RateLimitLayer::from(limiter.clone())
        .by(|call: &Call| Some(call.key.clone()))
        .cost(|call: &Call| call.cost)
        .deadline(|call: &Call| call.deadline)
        .as_box_error();
    let inner = probed(inner, limiter.clone(), world.clone());
    let world = world.clone();
    let observe = move |event| {
        if let Event::Admitted { shadowed: true } = event {
            let mut world = world.lock();
            let polled = world.polled;
            world.records[polled].shadowed = true;
        }
    };
    let stack = match config.wait {
        Some(wait) => Stack::new(layer.wait(wait).observe(observe).layer(inner)),
        None => Stack::new(layer.observe(observe).layer(inner)),
    };
    (stack, limiter)
}

/// Notes what is left just after an admission, which is when the limiter calls the service below it.
fn probed(inner: Stack, limiter: RateLimiter, world: World) -> Stack {
    Stack::new(MapRequest::new(inner, move |call: Call| {
        let left = scarcest(&limiter, &call.key);
        world.lock().records[call.request].left = left;
        call
    }))
}

fn scarcest(limiter: &RateLimiter, key: &str) -> Option<Left> {
    let mut scarcest: Option<Left> = None;
    limiter.standings(limiter.hash(key), &Now::new(), &mut |standing| {
        let left = Left {
            remaining: standing.remaining,
            limit: standing.capacity,
        };
        if scarcest.is_none_or(|scarcest| left.remaining < scarcest.remaining) {
            scarcest = Some(left);
        }
    });
    scarcest
}
