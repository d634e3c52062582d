use std::fmt;
use std::sync::Arc;

use buttress_core::{Describe, Now, OnReject, Rejection};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::status::Status;
use crate::prepared::Present;
use crate::problem::detail;
use crate::refusal::Fields;
use crate::render::Renderer;

/// Answers refusals with a gRPC status; body and error type stay those of the inner service.
///
/// The response has no body: its head is all there is ("Trailers-Only" of "gRPC over HTTP2"). It
/// carries
///
/// - `grpc-status`: `RESOURCE_EXHAUSTED` for a used up quota, `UNAVAILABLE` for missing capacity,
///   `DEADLINE_EXCEEDED` for a deadline or a timeout, `INTERNAL` for a request without the key that it is limited by:
///   the codes that belong to the statuses that [`HttpAnswer`](crate::HttpAnswer) sends;
/// - `grpc-message`: one sentence;
/// - `grpc-retry-pushback-ms`: the exact wait, rounded up to a millisecond and at least 1; `-1` if the
///   call is not to be retried, because it can never be admitted or not within 24 days; nothing if
///   nothing is known. Clients with a retry policy (gRPC proposal A6) obey it by themselves;
/// - `grpc-status-details-bin`: a `google.rpc.Status` with a `RetryInfo` if the wait is known, and with
///   a `QuotaFailure` that lists the quotas that refuse, if they fit into 4 KiB (some fifteen quotas).
///
/// The [`Rejection`] is an extension of the response.
///
/// It serves tonic's servers and channels, and every other body that is empty by `Default`. Put it on
/// gRPC routes only, as other clients would take the answer for a success. For gRPC-Web it belongs
/// below the layer that translates. With the feature `tonic`, a service of a tonic server that is limited
/// by itself keeps its name: `add_service(limit.layer(service))`.
pub struct GrpcAnswer<D> {
    renderer: Arc<Renderer<D>>,
    fields: Fields,
}

impl<D: Describe> GrpcAnswer<D> {
    /// Answers about the limits that `describe` knows. It is asked when a request is refused, also for
    /// what a request lacks that has no key.
    pub fn new(describe: D) -> Self {
        Self {
            renderer: Arc::new(Renderer::new(describe)),
            fields: Fields {
                ratelimit: false,
                x_ratelimit: false,
            },
        }
    }

    /// Adds the fields of HTTP, as metadata. Without this word there are none: what they say is in the
    /// status already, but for the quotas that do not refuse.
    #[must_use]
    pub const fn fields(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }

    fn head(&self, rejection: &Rejection, now: &Now) -> HeaderMap {
        let lines = 5 + if self.fields.ratelimit { 2 } else { 0 };
        let lines = lines + if self.fields.x_ratelimit { 3 } else { 0 };
        let mut headers = HeaderMap::with_capacity(lines);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let (prepared, numbers) = self.renderer.refused(rejection, now, |prepared, numbers| {
            (Arc::clone(prepared), numbers.clone())
        });
        let status = prepared.grpc_status(rejection);
        status.write(rejection.when(), &mut headers);
        prepared.write(&numbers, self.fields, Present::Joins, &mut headers);
        headers
    }
}

impl<B: Default, E, D: Describe> OnReject<Response<B>, E> for GrpcAnswer<D> {
    type Response = Response<B>;
    type Error = E;

    fn reject(&self, rejection: Rejection, now: &Now) -> Result<Response<B>, E> {
        let mut response = Response::new(B::default());
        *response.headers_mut() = self.head(&rejection, now);
        response.extensions_mut().insert(rejection);
        Ok(response)
    }

    #[inline]
    fn response(response: Response<B>) -> Response<B> {
        response
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

/// The trailers that end a call whose head has been sent already: `grpc-status`, `grpc-message`, and
/// `grpc-retry-pushback-ms` if the rejection knows when to come back.
#[must_use]
pub fn grpc_trailers(rejection: &Rejection) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(4);
    let status = Status::new(rejection.reason(), &detail(rejection, &[]), &[]);
    status.write(rejection.when(), &mut trailers);
    trailers
}

// Derived, `Clone` would demand it of what is behind the `Arc`.
impl<D> Clone for GrpcAnswer<D> {
    fn clone(&self) -> Self {
        Self {
            renderer: Arc::clone(&self.renderer),
            fields: self.fields,
        }
    }
}

impl<D> fmt::Debug for GrpcAnswer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcAnswer")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
