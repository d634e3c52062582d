//! Retries as a `tower` layer.
//!
//! A [`RetryLayer`] sends a request again when an attempt failed and another may help: after a pause of
//! exponential [`Backoff`] with jitter or as long as the server said, as far as a [`RetryBudget`] that all
//! callers share allows, and never at the cost of an upstream that is down. A [`HedgeLayer`] sends a second
//! attempt beside one that takes long.
//!
//! ```
//! use std::future::ready;
//! use std::io;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use buttress_retry::{BudgetRule, RetryLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let pauses = Duration::from_millis(500)..=Duration::from_secs(8);
//! let retry = RetryLayer::exponential(pauses).attempts(4).budget(BudgetRule::ratio(0.1));
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let mut service = ServiceBuilder::new().layer(retry).service(service_fn(|call: u32| {
//!     ready(match CALLS.fetch_add(1, Ordering::Relaxed) {
//!         0 | 1 => Err(io::Error::other("down")),
//!         _ => Ok(call),
//!     })
//! }));
//! assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), 7);
//! assert_eq!(CALLS.load(Ordering::Relaxed), 3);
//! # }
//! ```
//!
//! With feature `http`, `.http()` and `.grpc()` know what may be repeated, what a status means, what a
//! server says about when to come back, and how a body is sent twice.

mod attempt;
mod backoff;
mod budget;
mod call;
#[cfg(feature = "serde")]
mod config;
mod future;
mod hedge;
#[cfg(feature = "http")]
mod http;
mod judge;
mod layer;
mod methods;
mod policy;
mod presets;
mod random;
mod replay;
mod report;
mod rule;
mod sample;
mod service;
mod setting;
mod slices;
mod sync;
mod timer;
mod tokens;

pub use attempt::Attempt;
pub use backoff::{Backoff, Jitter, Pauses};
pub use budget::{BudgetSnapshot, RetryBudget};
#[cfg(feature = "serde")]
pub use config::RetryConfig;
pub use future::ResponseFuture;
pub use hedge::{Delay, Hedge, HedgeFuture, HedgeLayer};
#[cfg(feature = "http")]
pub use http::{
    AsReplayBody, HttpErrors, HttpReplay, HttpRetryLayer, HttpTemplate, OnGrpcStatus, OnStatus,
    Rebody, WrappedBy,
};
pub use judge::{Again, Judge, Judgement, OnBoxError, OnError};
pub use layer::{RetryLayer, RetryParts};
pub use methods::Methods;
pub use policy::RetryPolicy;
pub use replay::{Cloned, CopiedBy, Copies, CopiesBy, Repeats, Replay, Template};
pub use rule::BudgetRule;
pub use service::Retry;
pub use setting::SettingError;
