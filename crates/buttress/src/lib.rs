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

#[cfg(feature = "circuit-breaker")]
pub use buttress_circuit_breaker as circuit_breaker;
pub use buttress_core as core;
#[cfg(feature = "http")]
pub use buttress_http as http;
#[cfg(feature = "rate-limit")]
pub use buttress_rate_limit as rate_limit;
#[cfg(feature = "retry")]
pub use buttress_retry as retry;
#[cfg(feature = "timeout")]
pub use buttress_timeout as timeout;

#[cfg(feature = "circuit-breaker")]
pub use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, FallbackLayer};
pub use buttress_core::{Error, Reason, Rejection, When};
#[cfg(feature = "http")]
pub use buttress_http::{ApiKey, ClientIp, MatchedRoute, Networks, Preflight, by_head};
#[cfg(feature = "rate-limit")]
pub use buttress_rate_limit::{Quota, RateLimitLayer, RateLimiter};
#[cfg(feature = "retry")]
pub use buttress_retry::{BudgetRule, Jitter, RetryBudget, RetryLayer};
#[cfg(feature = "timeout")]
pub use buttress_timeout::TimeoutLayer;

// The README's examples are compiled like any other.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
