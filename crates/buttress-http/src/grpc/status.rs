//! The status of a refusal.

use std::time::Duration;

use buttress_core::{Reason, When};
use http::header::{HeaderMap, HeaderValue};

use super::base64;
use super::details::{Violation, push_quota_failure, push_retry_info, status};
use super::fields::{GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS, GRPC_STATUS_DETAILS_BIN};
use crate::fields::visible_ascii;

pub(super) const UNKNOWN: u8 = 2;
pub(super) const DEADLINE_EXCEEDED: u8 = 4;
pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
pub(super) const INTERNAL: u8 = 13;
pub(super) const UNAVAILABLE: u8 = 14;
pub(super) const DATA_LOSS: u8 = 15;

const DO_NOT_RETRY: HeaderValue = HeaderValue::from_static("-1");

/// A longer status carries no `QuotaFailure`: together with the message and in Base64, it would come
/// near to the 8 KiB of metadata beyond which clients drop a response.
const LONGEST_STATUS: usize = 4096;

/// All of a status that does not change from one refusal to the next.
pub(crate) struct Status {
    code: u8,
    message: HeaderValue,
    /// A `google.rpc.Status` that lacks the `RetryInfo`.
    details: Box<[u8]>,
    has_details: bool,
}

impl Status {
    /// `violated` are the name, the capacity and a sentence about each quota that refuses.
    pub(crate) fn new(reason: Reason, message: &str, violated: &[(&str, u64, String)]) -> Self {
        let code = code(reason);
        let mut details = status(code, message);
        let without = details.len();
        if !violated.is_empty() {
            let violations = violated
                .iter()
                .map(|(name, capacity, description)| Violation {
                    name,
                    capacity: *capacity,
                    description,
                });
            push_quota_failure(&mut details, violations);
        }
        if details.len() > LONGEST_STATUS {
            details.truncate(without);
        }
        Self {
            code,
            message: percent_encoded(message),
            has_details: details.len() > without,
            details: details.into_boxed_slice(),
        }
    }

    /// Writes the status, and when to come back.
    pub(crate) fn write(&self, when: When, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(self.code)));
        headers.insert(GRPC_MESSAGE, self.message.clone());
        let wait = match when {
            When::After(wait) => Some(wait),
            When::Never | When::Unknown => None,
        };
        if let Some(pushback) = pushback(when) {
            headers.insert(GRPC_RETRY_PUSHBACK_MS, pushback);
        }
        if self.has_details || wait.is_some() {
            headers.insert(GRPC_STATUS_DETAILS_BIN, self.details(wait));
        }
    }

    fn details(&self, wait: Option<Duration>) -> HeaderValue {
        let Some(wait) = wait else {
            return visible_ascii(base64::encode(&self.details));
        };
        let mut details = Vec::with_capacity(self.details.len() + 80);
        details.extend_from_slice(&self.details);
        push_retry_info(&mut details, wait);
        visible_ascii(base64::encode(&details))
    }
}

/// Those codes whose statuses of HTTP, as `google/rpc/code.proto` pairs them, are the ones that
/// [`HttpAnswer`](crate::HttpAnswer) sends.
const fn code(reason: Reason) -> u8 {
    match reason {
        Reason::RateLimit | Reason::TokenBudget | Reason::Banned => RESOURCE_EXHAUSTED,
        Reason::Deadline | Reason::AttemptTimeout => DEADLINE_EXCEEDED,
        Reason::MissingKey => INTERNAL,
        // Whatever refuses for another reason has no room.
        _ => UNAVAILABLE,
    }
}

/// Milliseconds, rounded up and at least 1. What 32 bits with a sign cannot express (24 days) is not
/// sent shortened, since the call would come back too early.
fn pushback(when: When) -> Option<HeaderValue> {
    match when {
        When::Unknown => None,
        When::Never => Some(DO_NOT_RETRY),
        When::After(wait) => {
            let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
            Some(i32::try_from(millis).map_or(DO_NOT_RETRY, HeaderValue::from))
        }
    }
}

/// Percent-encoding as "gRPC over HTTP2" defines it for `grpc-message`.
fn percent_encoded(text: &str) -> HeaderValue {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => {
                let hex = |digit: u8| b"0123456789ABCDEF"[usize::from(digit & 0xf)];
                encoded.extend([b'%', hex(byte >> 4), hex(byte)]);
            }
            _ => encoded.push(byte),
        }
    }
    visible_ascii(encoded)
}
