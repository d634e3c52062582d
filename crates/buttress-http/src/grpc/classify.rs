use buttress_core::{ByResult, Classify, Outcome, When};
use http::header::HeaderMap;
use http::{Response, StatusCode};

use super::fields::GRPC_STATUS;
use super::received::{received_pushback, received_retry_info};
use super::status::{
    DATA_LOSS, DEADLINE_EXCEEDED, INTERNAL, RESOURCE_EXHAUSTED, UNAVAILABLE, UNKNOWN,
};
use crate::classify::upstreams;
use crate::received::received_retry_after;

/// The highest code that gRPC defines, `UNAUTHENTICATED`.
const LAST_CODE: u8 = 16;

/// Classifies responses by their `grpc-status`: `RESOURCE_EXHAUSTED` is throttled (with what
/// `grpc-retry-pushback-ms` says, or else `RetryInfo`), `UNAVAILABLE` is overloaded, `INTERNAL`,
/// `UNKNOWN`, `DATA_LOSS`, `DEADLINE_EXCEEDED` and codes that gRPC does not know are failures, the rest
/// are answers: successes. A response that a layer further in made of a
/// [`Rejection`](buttress_core::Rejection) is a refusal, or timed out, whatever its status.
///
/// Only the head is read. A call that fails before its first message has its status there; one with
/// messages has it in the trailers, and its head is a success as far as it can tell;
/// [`AtBodyEnd`](crate::AtBodyEnd) also reads the trailers. A head that is
/// not gRPC's comes from something on the way, so its status of HTTP counts: 429 is throttled, 502, 503
/// and 504 are overloaded, 401, 403 and 404 are answers, and any other than 200 is a failure.
///
/// Errors are classified by `C`: by default all are failures;
/// [`ByError`](buttress_core::ByError) also finds the rejections among them.
#[derive(Clone, Copy, Debug)]
pub struct ByGrpcStatus<C = ByResult>(
    /// Tells how a call ended that gave no response.
    pub C,
);

// For one classifier only, so that `ByGrpcStatus::default()` needs no annotation.
impl Default for ByGrpcStatus {
    fn default() -> Self {
        Self(ByResult)
    }
}

impl<B, E, C: Classify<Response<B>, E>> Classify<Response<B>, E> for ByGrpcStatus<C> {
    #[inline]
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        let response = match upstreams(result, &self.0) {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        let headers = response.headers();
        by_status(headers).unwrap_or_else(|| by_http(response.status(), headers))
    }
}

/// How a call ended whose response had these trailers. Without a status among them they are not gRPC's.
pub(crate) fn by_trailers(trailers: &HeaderMap) -> Outcome {
    by_status(trailers).unwrap_or(Outcome::Success)
}

fn by_status(headers: &HeaderMap) -> Option<Outcome> {
    let code = headers.get(GRPC_STATUS)?.to_str().ok();
    Some(by_code(code.and_then(|code| code.parse().ok()), headers))
}

fn by_code(code: Option<u8>, headers: &HeaderMap) -> Outcome {
    match code {
        Some(RESOURCE_EXHAUSTED) => Outcome::Throttled(match received_pushback(headers) {
            Some(When::After(wait)) => Some(wait),
            Some(_) => None,
            None => received_retry_info(headers),
        }),
        Some(UNAVAILABLE) => Outcome::Overloaded,
        Some(INTERNAL | UNKNOWN | DATA_LOSS | DEADLINE_EXCEEDED) => Outcome::Failure,
        Some(..=LAST_CODE) => Outcome::Success,
        Some(_) | None => Outcome::Failure,
    }
}

/// The pairs of "HTTP to gRPC Status Code Mapping", but for 429, which says more.
fn by_http(status: StatusCode, headers: &HeaderMap) -> Outcome {
    match status {
        StatusCode::OK
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND => Outcome::Success,
        StatusCode::TOO_MANY_REQUESTS => Outcome::Throttled(received_retry_after(headers)),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Overloaded
        }
        _ => Outcome::Failure,
    }
}
