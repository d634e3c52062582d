//! How a call ended, by its status.

use buttress_core::{ByResult, Classify, Outcome, Rejection};
use http::{Response, StatusCode};

use crate::received::received_retry_after;

/// The status of providers that have no capacity, unregistered but widespread.
const OVERLOADED: u16 = 529;

/// Classifies responses by their status: 429 is throttled (with what `Retry-After` says), 503 and 529
/// are overloaded, any other 5xx is a failure, the rest a success. A response that a layer further in
/// made of a [`Rejection`] is a refusal, or timed out ([`Rejection::outcome`]), whatever its status.
///
/// Errors are classified by `C`: by default all are failures;
/// [`ByError`](buttress_core::ByError) also finds the rejections among them.
#[derive(Clone, Copy, Debug)]
pub struct ByStatus<C = ByResult>(
    /// Tells how a call ended that gave no response.
    pub C,
);

// For one classifier only, so that `ByStatus::default()` needs no annotation.
impl Default for ByStatus {
    fn default() -> Self {
        Self(ByResult)
    }
}

impl<B, E, C: Classify<Response<B>, E>> Classify<Response<B>, E> for ByStatus<C> {
    #[inline]
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        let response = match upstreams(result, &self.0) {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Throttled(received_retry_after(response.headers()))
            }
            StatusCode::SERVICE_UNAVAILABLE => Outcome::Overloaded,
            status if status.as_u16() == OVERLOADED => Outcome::Overloaded,
            status if status.is_server_error() => Outcome::Failure,
            _ => Outcome::Success,
        }
    }
}

/// The response if it is the upstream's own; else how the call ended: with an error, or with the answer of
/// a layer further in that refused it.
pub(crate) fn upstreams<'r, B, E>(
    result: Result<&'r Response<B>, &E>,
    errors: &impl Classify<Response<B>, E>,
) -> Result<&'r Response<B>, Outcome> {
    let response = result.map_err(|error| errors.classify(Err(error)))?;
    match response.extensions().get::<Rejection>() {
        Some(rejection) => Err(rejection.outcome()),
        None => Ok(response),
    }
}
