//! `google.rpc.Status` and its details (`google/rpc/status.proto`, `error_details.proto`).

use std::time::Duration;

use super::protobuf::{Value, push_bytes, push_number, read};

/// The longest `google.protobuf.Duration`: about 10,000 years.
const LONGEST: u64 = 315_576_000_000;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const QUOTA_FAILURE: &str = "type.googleapis.com/google.rpc.QuotaFailure";

/// A quota that refuses.
pub(super) struct Violation<'a> {
    /// The name of the quota.
    pub(super) name: &'a str,
    /// How many units it holds at most.
    pub(super) capacity: u64,
    /// A sentence for a human.
    pub(super) description: &'a str,
}

/// A status without details.
pub(super) fn status(code: u8, message: &str) -> Vec<u8> {
    let mut status = Vec::with_capacity(256);
    push_number(&mut status, 1, code.into());
    push_bytes(&mut status, 2, message.as_bytes());
    status
}

/// Adds a `QuotaFailure` to a status.
///
/// The subject is the quota too: the client is known by the hash of its key only, and knows itself.
pub(super) fn push_quota_failure<'a>(
    status: &mut Vec<u8>,
    violations: impl Iterator<Item = Violation<'a>>,
) {
    let mut failure = Vec::new();
    for quota in violations {
        let mut violation = Vec::new();
        push_bytes(&mut violation, 1, quota.name.as_bytes());
        push_bytes(&mut violation, 2, quota.description.as_bytes());
        push_bytes(&mut violation, 5, quota.name.as_bytes());
        let capacity = quota.capacity.min(i64::MAX.unsigned_abs());
        push_number(&mut violation, 7, capacity);
        push_bytes(&mut failure, 1, &violation);
    }
    push_any(status, QUOTA_FAILURE, &failure);
}

/// Adds a `RetryInfo` to a status.
pub(super) fn push_retry_info(status: &mut Vec<u8>, wait: Duration) {
    let mut delay = Vec::with_capacity(12);
    push_number(&mut delay, 1, wait.as_secs().min(LONGEST));
    push_number(&mut delay, 2, wait.subsec_nanos().into());
    let mut info = Vec::with_capacity(14);
    push_bytes(&mut info, 1, &delay);
    push_any(status, RETRY_INFO, &info);
}

fn push_any(status: &mut Vec<u8>, type_url: &str, value: &[u8]) {
    let mut any = Vec::with_capacity(type_url.len() + value.len() + 8);
    push_bytes(&mut any, 1, type_url.as_bytes());
    push_bytes(&mut any, 2, value);
    push_bytes(status, 3, &any);
}

/// The delay of the `RetryInfo` in a status; `None` if there is none, or if anything is malformed.
pub(super) fn retry_delay(status: &[u8]) -> Option<Duration> {
    let mut info = None;
    let mut malformed = false;
    read(status, |field, value| {
        if let (3, Value::Bytes(any)) = (field, value) {
            match read_any(any) {
                Some((type_url, value)) => {
                    // Whatever stands before the slash is where the type may be looked up.
                    let name = type_url.rsplit(|&byte| byte == b'/').next();
                    if name == Some(b"google.rpc.RetryInfo") {
                        info = Some(value);
                    }
                }
                None => malformed = true,
            }
        }
    })?;
    if malformed {
        return None;
    }
    let delay = last_bytes(info?, 1)?;
    let (mut seconds, mut nanos) = (0, 0);
    read(delay, |field, value| match (field, value) {
        (1, Value::Number(number)) => seconds = number,
        (2, Value::Number(number)) => nanos = number,
        _ => {}
    })?;
    // Negative numbers are larger than these bounds.
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000)?;
    (seconds <= LONGEST).then(|| Duration::new(seconds, nanos))
}

fn read_any(any: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut type_url, mut content) = (&[][..], &[][..]);
    read(any, |field, value| match (field, value) {
        (1, Value::Bytes(bytes)) => type_url = bytes,
        (2, Value::Bytes(bytes)) => content = bytes,
        _ => {}
    })?;
    Some((type_url, content))
}

/// A field of a message; of several, the last counts.
fn last_bytes(message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut found = None;
    read(message, |field, value| match value {
        Value::Bytes(bytes) if field == wanted => found = Some(bytes),
        _ => {}
    })?;
    found
}
