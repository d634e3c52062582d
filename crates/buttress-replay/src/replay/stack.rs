//! The layers of a policy, around the upstream.

use bytes::Bytes;
use http::Response;
use http_body::Body;

use buttress_core::{BoxError, Settle};
use buttress_http::Hints;
use buttress_rate_limit::RateLimiter;
use buttress_retry::{OnBoxError, OnStatus, RetryConfig};
use buttress_token_budget::{Dimension, TokenBudget};
use tower::util::{BoxCloneService, MapResponse};
use tower::{Layer, Service};

use super::attempts::{Apart, Attempts};
use super::gates::{Gate, Ticket};
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

/// Where a layer that admits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    InTheStack,
    /// A rate-aware queue asks it.
    AtTheQueue,
    /// A rate-aware queue asks it for the first attempt, and `[retry]` between the two makes further ones.
    AtBoth,
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
        let place = |wanted| policy.stack.iter().position(|layer| *layer == wanted);
        let queue = place(policy::Layer::PriorityQueue).filter(|_| policy.tables.is_rate_aware());
        let retry = place(policy::Layer::Retry);
        for (index, layer) in policy.stack.iter().enumerate().rev() {
            let stands = match queue {
                Some(queue) if index > queue => match retry {
                    Some(retry) if retry > queue && index > retry => Stands::AtBoth,
                    _ => Stands::AtTheQueue,
                },
                _ => Stands::InTheStack,
            };
            built = built.around(*layer, stands, policy, world, attempts);
        }
        built
    }

    /// Puts one layer more around the stack, or among those that a queue asks.
    fn around(
        mut self,
        layer: policy::Layer,
        stands: Stands,
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
                    match stands {
                        Stands::InTheStack => self.stack = breaker.around(self.stack),
                        _ => self.asked(breaker.gate(), stands, Breaker::settle()),
                    }
                }
            }
            policy::Layer::TokenBudget => {
                if let Some(config) = token_budget {
                    let budget = Budget::new(config, policy, world);
                    self.budget = Some(budget.budget.clone());
                    match stands {
                        Stands::InTheStack => self.stack = budget.around(self.stack),
                        _ => self.asked(budget.gate(), stands, Budget::settle()),
                    }
                }
            }
            policy::Layer::RateLimit => {
                if let Some(config) = rate_limit {
                    let limit = Limit::new(config, policy, world);
                    self.limiter = Some(limit.limiter.clone());
                    match stands {
                        Stands::InTheStack => self.stack = limit.around(self.stack),
                        _ => self.asked(limit.gate(), stands, Limit::settle()),
                    }
                }
            }
        }
        self
    }

    /// Puts a layer among those that a queue asks.
    fn asked<C, B>(&mut self, mut gate: Gate, stands: Stands, settle: C)
    where
        C: Settle<Reply, BoxError, Ticket, Response = Response<B>> + Clone + Send + Sync + 'static,
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        if stands == Stands::AtBoth {
            self.stack = gate.also_around(self.stack.clone(), settle);
        }
        self.gates.insert(0, gate);
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
