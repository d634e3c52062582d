//! gRPC: refusals as statuses, and statuses as outcomes.

mod answer;
mod base64;
mod classify;
mod details;
mod fields;
mod protobuf;
mod received;
mod status;

pub use answer::{GrpcAnswer, grpc_trailers};
pub use classify::ByGrpcStatus;
pub(crate) use classify::by_trailers;
pub use fields::{GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS, GRPC_STATUS_DETAILS_BIN};
pub use received::{received_pushback, received_retry_info};
pub(crate) use status::Status;
