//! What a gRPC response says about when to come back.

use std::time::Duration;

use buttress_core::When;
use http::header::HeaderMap;

use super::base64;
use super::details::retry_delay;
use super::fields::{GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS_DETAILS_BIN};

/// What `grpc-retry-pushback-ms` says: [`When::After`] exactly that long, or [`When::Never`] for a
/// call that is not to be retried, as a negative, unreadable or repeated value means (gRPC proposal
/// A6). `None` if there is none. The result is not capped, but cannot exceed 24 days.
#[must_use]
pub fn received_pushback(headers: &HeaderMap) -> Option<When> {
    let mut values = headers.get_all(GRPC_RETRY_PUSHBACK_MS).iter();
    let text = values.next()?.to_str().ok();
    let millis = text.and_then(|text| text.parse::<i32>().ok());
    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
    Some(match (millis, values.next()) {
        (Some(millis), None) => When::After(Duration::from_millis(millis)),
        _ => When::Never,
    })
}

/// What the `google.rpc.RetryInfo` in `grpc-status-details-bin` says, as Google's services send it;
/// `None` if there is none or if anything in it is malformed. The result is not capped.
#[must_use]
pub fn received_retry_info(headers: &HeaderMap) -> Option<Duration> {
    let details = headers.get(GRPC_STATUS_DETAILS_BIN)?;
    retry_delay(&base64::decode(details.as_bytes())?)
}
