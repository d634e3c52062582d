//! HTTP and gRPC.

mod judge;
mod replay;
mod words;

pub use judge::{OnGrpcStatus, OnStatus};
pub use replay::{AsReplayBody, HttpReplay, HttpTemplate, Rebody, WrappedBy};
pub use words::{HttpErrors, HttpRetryLayer};
