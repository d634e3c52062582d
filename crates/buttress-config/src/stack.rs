//! A stack that was built, its handles, and how it reads requests.

use std::fmt;
use std::sync::Arc;

use buttress_circuit_breaker::CircuitBreaker;
use buttress_core::Key;
use buttress_http::Measure;
use buttress_priority_queue::{PriorityOf, PriorityQueue};
use buttress_rate_limit::{Cost, RateLimiter};
use buttress_retry::RetryBudget;
use buttress_token_budget::{Estimate, TokenBudget};

use crate::body::StackBody;
use crate::change::Changes;
use crate::config::StackConfig;
use crate::gates::StackGates;
use crate::layer::StackLayer;
use crate::live::{BuildError, Layers};
use crate::order::LayerName;
use crate::words::{AnyKey, AnyMeasure, StackRequest, Words};

impl StackConfig {
    /// Builds the stack: the layers in their order, and their handles.
    ///
    /// # Errors
    ///
    /// For a configuration that was read only one: with `rate_aware`, `retry` may not stand between the queue
    /// and a layer that it asks. One that was changed since may make no sense, or not be enforceable.
    pub fn build(&self) -> Result<Stack, BuildError> {
        Ok(Stack {
            layers: Arc::new(Layers::new(self)?),
            words: Words::default(),
        })
    }
}

/// A stack of layers, built as a [`StackConfig`] says: its handles, and the layer that puts it around a
/// service.
///
/// How requests are read is said here, as no file can: [`key`](Self::key), [`cost`](Self::cost),
/// [`tokens`](Self::tokens), [`priority`](Self::priority), [`tenant`](Self::tenant). Without a word all
/// requests have one key and one tenant, cost one unit, use no tokens and are of medium priority. Deadlines
/// are those of [`CallDeadline`](buttress_http::CallDeadline).
///
/// ```
/// use buttress_config::{StackBody, StackConfig};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = StackConfig::from_toml("[rate_limit]\nquotas = ['1/minute']")?
///     .build()?
///     .key(buttress_http::header(http::header::HOST));
/// let service = stack.layer().layer(service_fn(async |_: Request<StackBody>| {
///     Ok::<_, std::convert::Infallible>(Response::new(StackBody::default()))
/// }));
///
/// let request = || Request::get("/").header("host", "a").body(StackBody::default());
/// assert_eq!(service.clone().oneshot(request()?).await?.status(), 200);
/// assert_eq!(service.clone().oneshot(request()?).await?.status(), 429);
///
/// let changed = StackConfig::from_toml("[rate_limit]\nquotas = ['5/minute']")?;
/// assert_eq!(stack.apply(&changed)?.applied, ["rate_limit.quotas"]);
/// assert_eq!(service.oneshot(request()?).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// Clones, and all services that it makes, share all state.
#[derive(Clone)]
pub struct Stack {
    pub(crate) layers: Arc<Layers>,
    words: Words,
}

impl Stack {
    /// What the quotas, the budget, and the circuits (with `by = "key"`) are kept by: a ready key such as
    /// [`ClientIp::peer()`](buttress_http::ClientIp::peer), a tuple of keys, or a closure
    /// (`|request: &StackRequest| Some(..)`). A request without its key is answered with 500 and a sentence
    /// that says what is missing.
    ///
    /// `overrides` of a file hold for keys that hash as their text does: a header's text read by a closure
    /// does, an address does not.
    #[must_use]
    pub fn key(mut self, key: impl Key<StackRequest> + Send + Sync + 'static) -> Self {
        self.words.key = AnyKey::new(key);
        self
    }

    /// What a request costs, in units of the rate limit and of a tenant's turn: a number, or a closure.
    #[must_use]
    pub fn cost(mut self, cost: impl Cost<StackRequest> + Send + Sync + 'static) -> Self {
        self.words.cost = Words::cost(cost);
        self
    }

    /// How many tokens a request will use, and how many it used: a closure that returns
    /// [`Amounts`](buttress_token_budget::Amounts) or an `Option` of them, and a
    /// [`Measure`] such as [`FromBody`](buttress_http::FromBody) or `()` for one that leaves the estimate as
    /// it is. Without it no request concerns the budget.
    #[must_use]
    pub fn tokens<M>(
        mut self,
        estimate: impl Estimate<StackRequest> + Send + Sync + 'static,
        measure: M,
    ) -> Self
    where
        M: Measure + Send + Sync + 'static,
        M::Reader: Send + 'static,
    {
        self.words.estimate = Words::estimate(estimate);
        self.words.measure = AnyMeasure::new(measure);
        self
    }

    /// How urgent a request is: a closure that returns a [`Priority`](buttress_priority_queue::Priority), or
    /// a ready reader such as [`PriorityField`](buttress_priority_queue::PriorityField).
    #[must_use]
    pub fn priority(
        mut self,
        priority: impl PriorityOf<StackRequest> + Send + Sync + 'static,
    ) -> Self {
        self.words.priority = Words::priority(priority);
        self
    }

    /// Whose a request is, for `fair = true`: a ready key, or a closure. Requests of nobody are one tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Key<StackRequest> + Send + Sync + 'static) -> Self {
        self.words.tenant = AnyKey::new(tenant);
        self
    }

    /// The layer that puts the stack around a service of HTTP. What its layers refuse is answered with a
    /// response, and the error type stays the inner service's.
    #[must_use]
    pub fn layer(&self) -> StackLayer {
        StackLayer::new(self.clone(), |body: StackBody| body)
    }

    /// The layers that were built, outermost first; those that are disabled at present are among them.
    #[must_use]
    pub fn order(&self) -> &[LayerName] {
        &self.layers.order
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> StackConfig {
        self.layers.config.lock().clone()
    }

    /// The rate limit's handle.
    #[must_use]
    pub fn limiter(&self) -> Option<&RateLimiter> {
        self.layers.limiter.as_ref().map(|live| &live.handle)
    }

    /// The budget's handle.
    #[must_use]
    pub fn budget(&self) -> Option<&TokenBudget> {
        self.layers.budget.as_ref().map(|live| &live.handle)
    }

    /// The breaker's handle.
    #[must_use]
    pub fn breaker(&self) -> Option<&CircuitBreaker> {
        self.layers.breaker.as_ref().map(|live| &live.handle)
    }

    /// The queue's handle.
    #[must_use]
    pub fn queue(&self) -> Option<&PriorityQueue<StackGates>> {
        self.layers.queue.as_ref().map(|live| &live.handle)
    }

    /// The retries' budget. One whose rule is changed is another, which goes on from what this one holds.
    #[must_use]
    pub fn retry_budget(&self) -> Option<RetryBudget> {
        self.layers.retry.as_ref().map(|retry| retry.budget())
    }

    /// Puts another configuration in force, as far as that needs no restart: for every decision from now on,
    /// without losing what was counted, who waits, or what is in flight.
    ///
    /// What was changed by hand through a handle stays as it is, unless the configuration changes the same.
    ///
    /// # Errors
    ///
    /// As for [`StackConfig::build`]; then nothing changes.
    pub fn apply(&self, config: &StackConfig) -> Result<Changes, BuildError> {
        self.layers.apply(config)
    }

    pub(crate) const fn words(&self) -> &Words {
        &self.words
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("order", &self.order())
            .finish_non_exhaustive()
    }
}
