//! Timeouts and deadlines as a `tower` layer.
//!
//! A [`TimeoutLayer`] bounds the time to the head of a response and, with feature `http`, to the end of
//! its body; and it knows deadlines: it takes one from the request, refuses what comes after it, and
//! passes on what is left of it.
//!
//! What it cuts off is dropped inside [`as_timed_out`](buttress_core::as_timed_out), so that a hanging
//! upstream opens a breaker below it; and what it answers with is known to those above it as timed out
//! ([`Rejection::outcome`](buttress_core::Rejection::outcome)). That is how it differs from tower's
//! `Timeout`, below which an attempt that hangs looks like a caller who went away.
//!
//! ```
//! use std::time::Duration;
//!
//! use buttress_timeout::TimeoutLayer;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mut service = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(5)))
//!     .service(service_fn(async |seconds: u64| {
//!         tokio::time::sleep(Duration::from_secs(seconds)).await;
//!         Ok::<_, std::io::Error>("done")
//!     }));
//!
//! assert!(service.ready().await.unwrap().call(5).await.is_ok());
//! assert!(service.ready().await.unwrap().call(6).await.is_err());
//! # }
//! ```

#[cfg(feature = "http")]
mod body;
#[cfg(feature = "serde")]
mod config;
mod deadline;
mod future;
mod layer;
mod limits;
#[cfg(feature = "http")]
mod respond;
mod service;
mod watch;

#[cfg(feature = "http")]
pub use body::{ThroughBody, TimedBody};
#[cfg(feature = "serde")]
pub use config::TimeoutConfig;
#[cfg(feature = "http")]
pub use deadline::PassOn;
pub use deadline::RequestDeadline;
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use limits::{Limits, Until};
pub use service::Timeout;
pub use watch::{ToHead, Watch};
