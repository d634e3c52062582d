//! What services and buttress layers do, as metrics.
#![doc = include_str!("names.md")]
#![cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "labels and bodies are told of HTTP and gRPC only")
)]

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
mod observer;
mod once_table;
mod protocol;
mod registry;
mod sampled;
mod series;
mod service;
mod shared;
mod sink;
mod snapshot;
mod spans;
pub mod status;
mod tally;
#[cfg(feature = "tracing")]
mod traced;

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
pub use observer::{LayerMetrics, LayerSnapshot};
pub use protocol::{Answered, Calls, Protocol};
pub use registry::Metrics;
pub use sampled::Number;
pub use service::Measured;
pub use snapshot::RequestMetrics;
pub use status::{RefusalObserver, Status};
#[cfg(feature = "tracing")]
pub use traced::{Target, Traced};

// The documentation's examples are compiled like any other.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/operations/status.md")]
struct StatusDocument;
