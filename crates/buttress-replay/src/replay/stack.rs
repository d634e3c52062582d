//! The layers of a policy, around the upstream.

use bytes::Bytes;
use http::Response;
use http_body::Body;

use buttress_core::BoxError;
use buttress_http::Hints;
use buttress_rate_limit::RateLimiter;
use buttress_retry::{OnBoxError, OnStatus, RetryConfig};
use buttress_token_budget::{Dimension, TokenBudget};
use tower::util::{BoxCloneService, MapResponse};
use tower::{Layer, Service};

use super::attempts::{Apart, Attempts};
use super::gates::Gate;
use super::layers::{Breaker, Budget, Limit, scarcest};
use super::queue;
use super::repeat::Repeat;
use super::upstream::{Call, Reply, Upstream};
use super::world::{Left, World};
use crate::policy::{self, Policy, Tables};

/// Any stack.
pub(super) type Stack = BoxCloneService<Call, Reply, BoxError>;

/// A stack, and what can be asked of its layers.
pub(super) struct Built {
    pub(super) stack: Stack,
    limiter: Option<RateLimiter>,
    budget: Option<TokenBudget>,
    /// Those that a queue further out is to ask, outermost first.
    gates: Vec<Gate>,
}

impl Built {
    /// Builds from the inside out.
    pub(super) fn new(policy: &Policy, world: &World, attempts: &Attempts) -> Self {
        let mut built = Self {
            stack: Stack::new(Upstream(world.clone())),
            limiter: None,
            budget: None,
            gates: Vec::new(),
        };
        let queue = (policy.stack.iter()).position(|layer| *layer == policy::Layer::PriorityQueue);
        let queue = queue.filter(|_| policy.tables.is_rate_aware());
        for (index, layer) in policy.stack.iter().enumerate().rev() {
            let is_asked = queue.is_some_and(|queue| index > queue);
            built = built.around(*layer, is_asked, policy, world, attempts);
        }
        built
    }

    /// Puts one layer more around the stack, or among those that a queue asks.
    fn around(
        mut self,
        layer: policy::Layer,
        is_asked: bool,
        policy: &Policy,
        world: &World,
        attempts: &Attempts,
    ) -> Self {
        let Tables {
            retry,
            priority_queue,
            circuit_breaker,
            token_budget,
            rate_limit,
        } = &policy.tables;
        match layer {
            policy::Layer::Retry => {
                let around = |config| retried(self.stack.clone(), config, policy.seed, attempts);
                self.stack = retry.as_ref().map_or(self.stack.clone(), around);
            }
            policy::Layer::PriorityQueue => {
                let gates = std::mem::take(&mut self.gates);
                if let Some(config) = priority_queue {
                    self.stack = queue::queued(self.stack, config, gates, world);
                }
            }
            policy::Layer::CircuitBreaker => {
                if let Some(config) = circuit_breaker {
                    let breaker = Breaker::new(config, policy.seed, world);
                    match is_asked {
                        true => self.gates.insert(0, breaker.gate()),
                        false => self.stack = breaker.around(self.stack),
                    }
                }
            }
            policy::Layer::TokenBudget => {
                if let Some(config) = token_budget {
                    let budget = Budget::new(config, policy, world);
                    self.budget = Some(budget.budget.clone());
                    match is_asked {
                        true => self.gates.insert(0, budget.gate()),
                        false => self.stack = budget.around(self.stack),
                    }
                }
            }
            policy::Layer::RateLimit => {
                if let Some(config) = rate_limit {
                    let limit = Limit::new(config, policy, world);
                    self.limiter = Some(limit.limiter.clone());
                    match is_asked {
                        true => self.gates.insert(0, limit.gate()),
                        false => self.stack = limit.around(self.stack),
                    }
                }
            }
        }
        self
    }

    /// What is left for a key now.
    pub(super) fn left(&self, key: &str) -> Option<Left> {
        scarcest(self.limiter.as_ref()?, key)
    }

    /// The tokens that were used, and those that were given back, as the budget has counted.
    pub(super) fn tokens(&self) -> (u128, u128) {
        let Some(status) = self.budget.as_ref().map(TokenBudget::status) else {
            return (0, 0);
        };
        let total = |amounts: [u64; 8]| u128::from(amounts[Dimension::TOTAL.index()]);
        let refunded = total(status.refunded);
        let used = (total(status.granted) + total(status.overshot)).saturating_sub(refunded);
        (used, refunded)
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

/// A service whose layer has made a body of its own.
pub(super) fn boxed<S, B>(service: S) -> Stack
where
    S: Service<Call, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let boxed = |response: Response<B>| -> Reply { response.map(|body| Box::pin(body) as _) };
    Stack::new(MapResponse::new(service, boxed))
}
