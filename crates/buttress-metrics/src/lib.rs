//! What services and buttress layers do, as metrics.
#![doc = include_str!("names.md")]

#[cfg(feature = "http")]
mod body;
mod buckets;
mod call;
mod ending;
mod future;
#[cfg(feature = "http")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod kind;
mod latency;
mod layer;
pub mod names;
mod once_table;
mod protocol;
mod series;
mod service;
mod shared;
mod sink;
mod snapshot;
mod spans;

#[cfg(feature = "http")]
pub use body::MeasuredBody;
pub use ending::Ending;
pub use future::ResponseFuture;
#[cfg(feature = "http")]
pub use grpc::Grpc;
#[cfg(feature = "http")]
pub use http::Http;
pub use latency::Percentiles;
pub use layer::{DEFAULT_LABEL_SETS, MetricsHandle, MetricsLayer};
pub use protocol::{Answered, Calls, Protocol};
pub use service::Measured;
pub use snapshot::RequestMetrics;
