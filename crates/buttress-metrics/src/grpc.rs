//! Calls and statuses of gRPC.

use buttress_core::{Now, Outcome, Permit, Ticket};
use http::{Request, Response};
use http_body::Body;

use crate::body::MeasuredBody;
use crate::call::{Asked, Call};
use crate::http::length;
use crate::kind::grpc_code;
use crate::protocol::{Answered, Protocol, Seen, sealed};
use crate::shared::Place;

/// `UNIMPLEMENTED`, as one more than its number.
const UNIMPLEMENTED: u8 = 13;

/// Names longer than this are nobody's.
const LONGEST: usize = 256;

/// gRPC: calls are told apart by service and method, and by their code, which is in the head or the trailers.
///
/// Names are made up by whoever calls, so a service and method get a series of their own when a call to them
/// has ended otherwise than `UNIMPLEMENTED`; until then it is counted under `other`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grpc;

impl sealed::Sealed for Grpc {}

impl<B: Body, B2: Body> Protocol<Request<B>, Response<B2>> for Grpc {
    #[inline]
    fn asked(&self, request: &Request<B>, seen: &Seen<'_>) -> Asked {
        let uri = request.uri();
        let place = match names(uri.path()) {
            Some(names) => seen
                .0
                .known(names)
                .unwrap_or_else(|| Place::Unproven(Box::new(uri.clone()))),
            None => Place::Other,
        };
        Asked {
            place,
            method: 0,
            sent: length(request.headers(), request.body()).unwrap_or(0),
        }
    }
}

/// The service and the method that a path names.
pub(crate) fn names(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let named = !service.is_empty() && !method.is_empty() && !method.contains('/');
    (named && path.len() <= LONGEST).then_some((service, method))
}

impl<B: Body> Answered<Response<B>> for Grpc {
    type Response = Response<MeasuredBody<B>>;

    #[inline]
    fn answered(
        &self,
        response: Response<B>,
        outcome: Outcome,
        mut call: Permit<Call>,
        now: &Now,
    ) -> Self::Response {
        if let Some(call) = call.ticket_mut() {
            let code = grpc_code(response.headers());
            if let Some(code) = code {
                call.set_code(code);
            }
            // Only a head of gRPC's tells that the service knows the call.
            let is_grpc = response.status() == http::StatusCode::OK;
            if is_grpc && code != Some(UNIMPLEMENTED) {
                call.prove();
            }
            call.head(outcome, now);
        }
        MeasuredBody::follow_grpc(response, call, outcome, now)
    }
}
