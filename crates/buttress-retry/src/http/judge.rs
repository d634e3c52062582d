//! What statuses mean.

use buttress_core::{Outcome, Rejection, When};
use buttress_http::{GRPC_STATUS, Hints, received_retry_info};
use http::header::HeaderMap;
use http::{Response, StatusCode};

use super::words::HttpErrors;
use crate::judge::{Judge, Judgement, OnError};

/// The status of providers that have no capacity, unregistered but widespread.
const OVERLOADED: u16 = 529;

const UNKNOWN: u8 = 2;
const DEADLINE_EXCEEDED: u8 = 4;
const RESOURCE_EXHAUSTED: u8 = 8;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const DATA_LOSS: u8 = 15;

/// Tries again after 408, 425, 429, 500, 502, 503, 504 and 529, after errors, and after a timeout further
/// in, if the request may be repeated; after a connection that could not be made, with any request.
///
/// What the server says about when is heard with 429 and 503, which may say it ([`Hints::Standard`]), or
/// with every status that is tried again ([`Hints::Compatible`]). A response that a layer further in made of a
/// [`Rejection`] is no answer of the upstream and final.
///
/// Only heads are judged: once a body has begun to flow nothing is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnStatus<X = OnError> {
    /// Which hints are heard.
    pub hints: Hints,
    /// Judges errors.
    pub errors: X,
}

impl<B, E, X: Judge<(), E>> Judge<Response<B>, E> for OnStatus<X> {
    #[inline]
    fn judge(&self, result: Result<&Response<B>, &E>) -> Judgement {
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.errors.judge(Err(error)),
        };
        if let Some(rejection) = response.extensions().get::<Rejection>() {
            return Judgement::of_rejection(rejection);
        }
        let status = response.status();
        if status.is_success() {
            return Judgement::last(Outcome::Success);
        }
        by_status(status, response.headers(), self.hints)
    }
}

fn by_status(status: StatusCode, headers: &HeaderMap, hints: Hints) -> Judgement {
    let told = |hint: When| match hint {
        When::After(wait) => Some(wait),
        When::Never | When::Unknown => None,
    };
    let hears = matches!(status.as_u16(), 429 | 503) || hints == Hints::Compatible;
    let hint = match hears {
        true => hints.when(headers),
        false => When::Unknown,
    };
    let (outcome, is_tried_again) = match status.as_u16() {
        429 => (Outcome::Throttled(told(hint)), true),
        503 | OVERLOADED => (Outcome::Overloaded, true),
        408 | 425 | 500 | 502 | 504 => (Outcome::Failure, true),
        500.. => (Outcome::Failure, false),
        _ => (Outcome::Success, false),
    };
    match is_tried_again || hints.asks_to_retry(headers) {
        true => Judgement::again(outcome).hinting(hint),
        false => Judgement::last(outcome),
    }
}

/// Tries again after `UNAVAILABLE` and `RESOURCE_EXHAUSTED` in the head of a gRPC response, as long as
/// `grpc-retry-pushback-ms` says, or else `RetryInfo`; not at all if the pushback is negative or
/// malformed. Errors, and heads that are not gRPC's, are judged as over HTTP.
///
/// A call whose first message has come has its status in the trailers, and is not tried again.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnGrpcStatus<X = OnError> {
    /// Which hints are heard from what is not gRPC.
    pub hints: Hints,
    /// Judges errors.
    pub errors: X,
}

impl<B, E, X: Judge<(), E>> Judge<Response<B>, E> for OnGrpcStatus<X> {
    fn judge(&self, result: Result<&Response<B>, &E>) -> Judgement {
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.errors.judge(Err(error)),
        };
        if let Some(rejection) = response.extensions().get::<Rejection>() {
            return Judgement::of_rejection(rejection);
        }
        let headers = response.headers();
        match headers.get(GRPC_STATUS) {
            Some(code) => {
                let code = code.to_str().ok().and_then(|code| code.parse().ok());
                by_code(code, headers)
            }
            None if response.status() == StatusCode::OK => Judgement::last(Outcome::Success),
            None => by_status(response.status(), headers, self.hints),
        }
    }
}

fn by_code(code: Option<u8>, headers: &HeaderMap) -> Judgement {
    let hint = || match Hints::Standard.when(headers) {
        When::Unknown => received_retry_info(headers).map_or(When::Unknown, When::After),
        hint => hint,
    };
    match code {
        Some(RESOURCE_EXHAUSTED) => {
            let hint = hint();
            let wait = match hint {
                When::After(wait) => Some(wait),
                When::Never | When::Unknown => None,
            };
            Judgement::again(Outcome::Throttled(wait)).hinting(hint)
        }
        Some(UNAVAILABLE) => Judgement::again(Outcome::Overloaded).hinting(hint()),
        Some(UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | DATA_LOSS) | None => {
            Judgement::last(Outcome::Failure).hinting(stop(headers))
        }
        Some(_) => Judgement::last(Outcome::Success).hinting(stop(headers)),
    }
}

/// A pushback that says not to retry counts against the throttle of gRPC whatever the status.
fn stop(headers: &HeaderMap) -> When {
    match buttress_http::received_pushback(headers) {
        Some(When::Never) => When::Never,
        _ => When::Unknown,
    }
}

impl<X> HttpErrors for OnStatus<X> {
    type With<Y> = OnStatus<Y>;

    fn with_errors<Y>(self, errors: Y) -> OnStatus<Y> {
        OnStatus {
            hints: self.hints,
            errors,
        }
    }

    fn with_hints(self, hints: Hints) -> Self {
        Self { hints, ..self }
    }
}

impl<X> HttpErrors for OnGrpcStatus<X> {
    type With<Y> = OnGrpcStatus<Y>;

    fn with_errors<Y>(self, errors: Y) -> OnGrpcStatus<Y> {
        OnGrpcStatus {
            hints: self.hints,
            errors,
        }
    }

    fn with_hints(self, hints: Hints) -> Self {
        Self { hints, ..self }
    }
}
