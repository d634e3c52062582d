//! Which requests do no harm when a server gets them twice.

use http::Method;
use http::header::{HeaderMap, HeaderName};

/// `Idempotency-Key`: the server recognises a request that it got before
/// (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether a request carries an `Idempotency-Key` that says anything.
#[must_use]
pub fn has_idempotency_key(headers: &HeaderMap) -> bool {
    let key = headers.get(IDEMPOTENCY_KEY);
    key.is_some_and(|key| !key.as_bytes().trim_ascii().is_empty())
}

/// Whether a method may be repeated: it is idempotent (RFC 9110, section 9.2.2) and registered as such
/// for general use. `CONNECT` is none of these, and methods of other specifications are taken for none.
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
