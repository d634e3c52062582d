//! HTTP words for buttress layers.
//!
//! What limits are kept by ([`ClientIp`], [`ApiKey`], [`MatchedRoute`], [`by_head`] and others), what
//! they do not concern ([`Preflight`], [`allow_list`]), how a refusal is told ([`HttpAnswer`]: a
//! problem document of RFC 9457 with `Retry-After`, `RateLimit` and `RateLimit-Policy`), how a
//! response is understood ([`ByStatus`], [`received_limits`], [`received_retry_after`]), a permit that
//! lives until a response's body has ended ([`AtBodyEnd`]), and a deadline that travels with a request
//! ([`CallDeadline`], [`TimeoutField`]).
//!
//! gRPC is HTTP with other words for the same: [`GrpcAnswer`], [`ByGrpcStatus`], [`received_pushback`]
//! and [`received_retry_info`]. Keys are read as ever, as metadata are headers.
//!
//! This crate knows no policy. What it writes about limits it learns through
//! [`Describe`](buttress_core::Describe), so that it serves every layer that refuses requests. Nor is
//! it a framework: its keys read any `http::Request`, and its answers are plain `http::Response`s
//! that keep the body and the error type of the service below.
//!
//! With the feature `axum`, [`ClientIp`] and [`MatchedRoute`] also read what axum puts into the
//! request's extensions; with the feature `tonic`, [`ClientIp`] reads what tonic's server puts there.
//! With the features `reqwest` and `hyper-util`, those clients become a [`Client`], which layers are put
//! around in one line.

mod admitted;
mod answer;
mod body;
mod classify;
mod client;
mod cors;
mod deadline;
mod exempt;
mod fields;
mod forwarded;
mod grpc;
mod head;
mod hints;
mod idempotency;
mod keys;
mod networks;
mod prepared;
mod problem;
mod received;
mod recording;
mod refusal;
mod render;
mod replay;
mod throughout;
mod usage;

pub use admitted::HttpFields;
pub use answer::{AnswerBody, HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith};
pub use body::{AtBodyEnd, PermitBody};
pub use classify::ByStatus;
pub use client::Client;
#[cfg(feature = "hyper-util")]
pub use client::hyper_util;
#[cfg(feature = "reqwest")]
pub use client::reqwest;
pub use cors::{EXPOSED, EXPOSED_GRPC, exposed};
pub use deadline::{CallDeadline, GRPC_TIMEOUT, TimeoutField, grpc_timeout};
pub use exempt::{AllowList, Preflight, allow_list};
pub use fields::{
    FieldError, FieldNames, PolicyItem, RATE_LIMIT, RATE_LIMIT_POLICY, Remaining,
    X_RATE_LIMIT_LIMIT, X_RATE_LIMIT_REMAINING, X_RATE_LIMIT_RESET, decimal, rate_limit_policy,
    retry_after, whole_seconds,
};
pub use forwarded::{ForwardedField, client_ip};
pub use grpc::{
    ByGrpcStatus, GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS, GRPC_STATUS_DETAILS_BIN,
    GrpcAnswer, grpc_trailers, received_pushback, received_retry_info,
};
pub use head::{ByHead, RequestHead, by_head};
pub use hints::{Hints, RETRY_AFTER_MS, X_SHOULD_RETRY};
pub use idempotency::{IDEMPOTENCY_KEY, has_idempotency_key, is_idempotent};
pub use keys::{
    Anonymous, ApiKey, ClientIp, ExtensionKey, HeaderKey, MatchedRoute, OrAnonymous, PeerAddr,
    Route, Upstream, extension, header, or_anonymous,
};
pub use networks::{NetworkError, Networks, group};
pub use received::{
    ReceivedLimit, ReceivedPolicy, received_limits, received_policies, received_retry_after,
};
pub use refusal::{Fields, Refusal};
pub use replay::{BodyReplay, DEFAULT_REPLAY_LIMIT, ReplayBody, ReplayError};
pub use throughout::{Throughout, Told};
pub use usage::{
    AtUsage, BodyUsage, FrameUsage, FromBody, FromFrames, FromHead, HeadUsage, Measure, ReadUsage,
};
