//! What is told, against what was done.

#[cfg(feature = "http")]
mod grpc;
#[cfg(feature = "axum")]
mod http;
mod layer;
mod observe;
mod support;
