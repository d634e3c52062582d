//! What a user's own answer to a refusal is told.

use std::fmt;
use std::time::Duration;

use buttress_core::{Rejection, Standing};
use bytes::Bytes;
use http::StatusCode;

use crate::prepared::Prepared;
use crate::problem;

/// Which fields about limits a response carries. Those of HTTP always have `Retry-After` if the time
/// is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers-11 defines them. On
    /// by default.
    ///
    /// They list every quota that concerns the request. The policy's window is left out below a
    /// second, which the field cannot express, and both are left out as a whole if a quota has a name
    /// that they cannot carry (only printable ASCII).
    pub ratelimit: bool,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` (in seconds from now) of
    /// the quota with the fewest units left, for clients that know nothing newer. Off by default.
    pub x_ratelimit: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            ratelimit: true,
            x_ratelimit: false,
        }
    }
}

/// A refusal, for whoever answers it in their own words.
pub struct Refusal<'a> {
    pub(crate) rejection: Rejection,
    pub(crate) standings: &'a [Standing<'a>],
    pub(crate) prepared: &'a Prepared,
}

impl<'a> Refusal<'a> {
    /// Why the request was refused, and by which limit.
    #[must_use]
    pub const fn rejection(&self) -> Rejection {
        self.rejection
    }

    /// The status that fits: 429 for a used up quota and for a ban, 503 for missing capacity, 504 for a deadline
    /// or a timeout, 500 for a request without the key that it is limited by.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        problem::status(self.rejection.reason())
    }

    /// How long to wait before asking again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.rejection.retry_after()
    }

    /// Where all quotas stand that concern the request.
    #[must_use]
    pub const fn standings(&self) -> &'a [Standing<'a>] {
        self.standings
    }

    /// The names of the quotas that refuse the request.
    pub fn violated(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let rejection = self.rejection;
        let refusing = move |standing: &&Standing<'_>| rejection.violates(standing.quota);
        self.standings
            .iter()
            .filter(refusing)
            .map(|standing| standing.name)
    }

    /// One sentence that says what happened; for a missing key, what is missing.
    #[must_use]
    pub fn detail(&self) -> &'a str {
        &self.prepared.detail
    }

    /// The problem document (RFC 9457, `application/problem+json`) that would be sent.
    #[must_use]
    pub fn problem(&self) -> Bytes {
        self.prepared.problem.clone()
    }
}

impl fmt::Debug for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("rejection", &self.rejection)
            .field("standings", &self.standings)
            .finish_non_exhaustive()
    }
}
