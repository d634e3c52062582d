//! The layers of a policy, around the upstream.

use buttress_core::{BoxError, Describe, Event, Now};
use buttress_rate_limit::{RateLimitConfig, RateLimitLayer, RateLimiter};
use tower::Layer;
use tower::util::{BoxCloneService, MapRequest};

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
    pub(super) fn new(policy: &Policy, world: &World) -> Self {
        let mut stack = Stack::new(Upstream(world.clone()));
        let mut limiter = None;
        for layer in policy.stack.iter().rev() {
            match (layer, &policy.rate_limit) {
                (policy::Layer::RateLimit, Some(config)) => {
                    let (limited, handle) = rate_limited(stack, config, policy, world);
                    stack = limited;
                    limiter = Some(handle);
                }
                (policy::Layer::RateLimit, None) => {}
            }
        }
        Self { stack, limiter }
    }

    /// What is left for a key now.
    pub(super) fn left(&self, key: &str) -> Option<Left> {
        scarcest(self.limiter.as_ref()?, key)
    }
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
