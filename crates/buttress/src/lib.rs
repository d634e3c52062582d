//! Layers that hold a service up under load.
//!
//! buttress is a workspace of independent [`tower`](https://docs.rs/tower) layers. This crate has nothing
//! of its own: each crate is a module and a feature here, and what most users type is at the root.
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use axum::{Router, routing::post};
//! # #[cfg(feature = "axum")]
//! use buttress::{ClientIp, Quota, RateLimitLayer};
//!
//! # #[cfg(feature = "axum")]
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let app = Router::new()
//!     .route("/chat", post(async || "hello\n"))
//!     .route_layer(RateLimitLayer::new(Quota::per_minute(5)).by(ClientIp::peer()).respond_http());
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! Around a client, with the feature `reqwest`:
//!
//! ```no_run
//! # #[cfg(not(feature = "reqwest"))]
//! # fn main() {}
//! # #[cfg(feature = "reqwest")]
//! # mod example {
//! use std::time::Duration;
//!
//! use buttress::{Quota, RateLimitLayer, Upstream};
//!
//! # type Error = buttress::core::BoxError;
//! # pub async fn run() -> Result<(), Error> {
//! let http = reqwest::Client::new();
//! let limit = RateLimitLayer::new(Quota::per_second(10)).by(Upstream::host()).wait(Duration::from_secs(5));
//! let client = buttress::reqwest::client(http.clone()).layer(limit);
//!
//! let response = client.execute(http.get("https://api.example.com/v1").build()?).await?;
//! println!("{}", response.text().await?);
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "reqwest")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), buttress::core::BoxError> {
//! #     example::run().await
//! # }
//! ```
//!
//! And likewise with the feature `hyper-util`:
//!
//! ```no_run
//! # #[cfg(not(feature = "hyper-util"))]
//! # fn main() {}
//! # #[cfg(feature = "hyper-util")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), buttress::core::BoxError> {
//! use buttress::{Quota, RateLimitLayer, Upstream};
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//!
//! let http = Client::builder(TokioExecutor::new()).build_http::<String>();
//! let limit = RateLimitLayer::new(Quota::per_second(10)).by(Upstream::host());
//! let client = buttress::hyper_util::client(http).layer(limit);
//!
//! let response = client.request(http::Request::get("http://127.0.0.1:3000/").body(String::new())?).await?;
//! println!("{}", response.status());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "circuit-breaker")]
pub use buttress_circuit_breaker as circuit_breaker;
#[cfg(feature = "config")]
pub use buttress_config as config;
pub use buttress_core as core;
#[cfg(feature = "test-util")]
pub use buttress_core::test_util;
#[cfg(feature = "http")]
pub use buttress_http as http;
#[cfg(feature = "hyper-util")]
pub use buttress_http::hyper_util;
#[cfg(feature = "reqwest")]
pub use buttress_http::reqwest;
#[cfg(feature = "metrics")]
pub use buttress_metrics as metrics;
#[cfg(feature = "priority-queue")]
pub use buttress_priority_queue as priority_queue;
#[cfg(feature = "rate-limit")]
pub use buttress_rate_limit as rate_limit;
#[cfg(feature = "retry")]
pub use buttress_retry as retry;
#[cfg(feature = "timeout")]
pub use buttress_timeout as timeout;
#[cfg(feature = "token-budget")]
pub use buttress_token_budget as token_budget;

#[cfg(feature = "circuit-breaker")]
pub use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, FallbackLayer};
pub use buttress_core::{Error, Reason, Rejection, When};
#[cfg(feature = "http")]
pub use buttress_http::{ApiKey, ClientIp, MatchedRoute, Networks, Preflight, Upstream, by_head};
#[cfg(feature = "metrics")]
pub use buttress_metrics::{Metrics, MetricsLayer, Status};
#[cfg(feature = "priority-queue")]
pub use buttress_priority_queue::{
    ConcurrencyLimit, ConcurrencyLimitLayer, Priority, PriorityQueue, PriorityQueueLayer,
    QueueDemand,
};
#[cfg(feature = "rate-limit")]
pub use buttress_rate_limit::{Quota, RateLimitLayer, RateLimiter};
#[cfg(feature = "retry")]
pub use buttress_retry::{BudgetRule, Jitter, RetryBudget, RetryLayer};
#[cfg(feature = "timeout")]
pub use buttress_timeout::TimeoutLayer;
#[cfg(feature = "token-budget")]
pub use buttress_token_budget::{Amounts, Dimension, TokenBudget, TokenBudgetLayer};

// The README's examples are compiled like any other.
#[cfg(all(
    doctest,
    feature = "axum",
    feature = "circuit-breaker",
    feature = "metrics",
    feature = "priority-queue",
    feature = "rate-limit",
    feature = "reqwest",
    feature = "retry",
    feature = "timeout",
    feature = "token-budget"
))]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "rate-limit", feature = "test-util"))]
#[doc = include_str!("../../../docs/testing.md")]
struct Testing;

#[cfg(all(
    doctest,
    feature = "circuit-breaker",
    feature = "rate-limit",
    feature = "reqwest",
    feature = "retry",
    feature = "timeout"
))]
#[doc = include_str!("../../../docs/retry-and-breaker.md")]
struct RetryAndBreaker;

#[cfg(all(
    doctest,
    feature = "circuit-breaker",
    feature = "priority-queue",
    feature = "rate-limit",
    feature = "reqwest",
    feature = "retry",
    feature = "token-budget"
))]
#[doc = include_str!("../../../docs/budgets-and-queues.md")]
struct BudgetsAndQueues;

#[cfg(all(doctest, feature = "axum", feature = "config", feature = "reqwest"))]
#[doc = include_str!("../../../docs/configuration.md")]
struct Configuration;
