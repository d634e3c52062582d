//! What scripts of another origin may read of a response.

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use crate::fields::{
    RATE_LIMIT, RATE_LIMIT_POLICY, X_RATE_LIMIT_LIMIT, X_RATE_LIMIT_REMAINING, X_RATE_LIMIT_RESET,
};
use crate::grpc::{GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS, GRPC_STATUS_DETAILS_BIN};

/// Every field about limits that an HTTP response may have.
///
/// A browser hides them from scripts of another origin unless `Access-Control-Expose-Headers` names
/// them. With tower-http, on the outside of the limit so that refusals are covered:
///
/// ```
/// use tower_http::cors::{Any, CorsLayer};
///
/// let cors = CorsLayer::new().allow_origin(Any).expose_headers(buttress_http::EXPOSED);
/// # let _ = cors;
/// ```
///
/// Elsewhere, [`exposed`] is the value to send.
pub const EXPOSED: [HeaderName; 6] = [
    RETRY_AFTER,
    RATE_LIMIT,
    RATE_LIMIT_POLICY,
    X_RATE_LIMIT_LIMIT,
    X_RATE_LIMIT_REMAINING,
    X_RATE_LIMIT_RESET,
];

/// Every field by which a gRPC response tells of a refusal, for gRPC-Web; used like [`EXPOSED`].
pub const EXPOSED_GRPC: [HeaderName; 4] = [
    GRPC_STATUS,
    GRPC_MESSAGE,
    GRPC_RETRY_PUSHBACK_MS,
    GRPC_STATUS_DETAILS_BIN,
];

/// The value of `Access-Control-Expose-Headers` that names all of [`EXPOSED`].
///
/// Where a response has that field already, this one is appended as another line.
#[must_use]
pub const fn exposed() -> HeaderValue {
    HeaderValue::from_static(
        "retry-after, ratelimit, ratelimit-policy, x-ratelimit-limit, x-ratelimit-remaining, \
         x-ratelimit-reset",
    )
}
