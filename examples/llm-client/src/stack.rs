//! The layers around the client.

use std::error::Error;

use buttress::core::BoxError;
use buttress::http::Hints;
use buttress::token_budget::Learned;
use buttress::{
    Amounts, CircuitBreakerLayer, Priority, RateLimitLayer, TokenBudget, TokenBudgetLayer,
};
use http::{Request, Response};
use reqwest::Body;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::config::Config;
use crate::usage;

/// What the layers know of a request. It travels among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// How urgent it is.
    pub priority: Priority,
    /// What it may use, as far as can be told before.
    pub estimate: Amounts,
}

/// A client with or without layers.
pub type Client<E> = BoxCloneService<Request<Body>, Response<Body>, E>;

/// Puts the layers of a configuration around a service, and gives the budget to look at. With `learn`, the
/// budget reserves what this part of the answers so far did not exceed, instead of the whole estimate.
///
/// # Errors
///
/// If a configuration that was changed after it was read makes no sense.
pub fn layered<S, E>(
    config: &Config,
    learn: Option<f64>,
    service: S,
) -> Result<(Client<E>, Option<TokenBudget>), BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = E> + Clone + Send + 'static,
    S::Future: Send,
    E: Error + Send + Sync + 'static,
{
    let breaker = config.circuit_breaker.as_ref();
    let breaker = breaker.map(|config| config.breaker()).transpose()?;
    let budget = budget(config, learn)?;
    let limiter = config.rate_limit.as_ref();
    let limiter = limiter.map(|config| config.limiter()).transpose()?;
    let retry = config.retry.clone().unwrap_or_default();
    let attempts = config.retry.as_ref().map_or(1, |_| retry.policy.attempts());

    // What stands behind the queue is asked before a place is handed out: a request goes when it is the most
    // urgent of those that the breaker, the budget and the rate limit would all let go.
    let breaker = breaker.map(CircuitBreakerLayer::from);
    let rate = limiter.map(RateLimitLayer::from);
    let tokens = budget.clone();
    let tokens = tokens.map(|budget| TokenBudgetLayer::from(budget).estimate(estimate_of));
    let queue = config.priority_queue.layer().by(priority_of);
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::wrap))
        .layer(
            retry
                .layer()
                .attempts(attempts)
                .http()
                .on(retry.methods)
                .hints(Hints::Compatible)
                .wrap_bodies(Body::wrap)
                .respond_http(),
        )
        .layer(
            queue
                .after((breaker, tokens, rate))
                .respond_http()
                .measure_frames(usage::reader),
        )
        .service(service);
    Ok((service.boxed_clone(), budget))
}

fn budget(config: &Config, learn: Option<f64>) -> Result<Option<TokenBudget>, BoxError> {
    let Some(config) = &config.token_budget else {
        return Ok(None);
    };
    let builder = config.builder();
    let builder = match learn {
        Some(quantile) => builder.learned(Learned::quantile(quantile)?),
        None => builder,
    };
    Ok(Some(builder.build()?))
}

fn priority_of(request: &Request<Body>) -> Priority {
    let call = request.extensions().get::<Call>();
    call.map_or(Priority::default(), |call| call.priority)
}

fn estimate_of(request: &Request<Body>) -> Option<Amounts> {
    let call = request.extensions().get::<Call>();
    call.map(|call| call.estimate)
}
