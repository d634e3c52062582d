//! What is read of requests and responses.

use buttress_core::{End, Now, Outcome, Permit};

use crate::call::{Asked, Call};
use crate::shared::{Place, Shared};

/// What is read of requests and responses: [`Calls`], [`Http`](crate::Http) or [`Grpc`](crate::Grpc).
///
/// It is sealed: other protocols have other names for their metrics.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not measure requests of `{Req}` with responses of `{Res}`",
    note = "`MetricsLayer::http()` and `grpc()` need `http::Request` and `http::Response`; without them any types will do"
)]
pub trait Protocol<Req, Res>: Answered<Res> {
    #[doc(hidden)]
    fn asked(&self, request: &Req, seen: &Seen<'_>) -> Asked;
}

/// What is read of responses.
pub trait Answered<Res>: Copy + sealed::Sealed {
    /// The response, with what follows its body.
    type Response;

    #[doc(hidden)]
    fn answered(
        &self,
        response: Res,
        outcome: Outcome,
        call: Permit<Call>,
        now: &Now,
    ) -> Self::Response;
}

/// What a layer has seen so far.
#[derive(Debug)]
pub struct Seen<'a>(pub(crate) &'a Shared);

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Any requests and any responses: there is a response or an error, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls;

impl sealed::Sealed for Calls {}

impl<Req, Res> Protocol<Req, Res> for Calls {
    #[inline]
    fn asked(&self, _: &Req, _: &Seen<'_>) -> Asked {
        Asked {
            place: Place::Other,
            method: 0,
            sent: 0,
        }
    }
}

impl<Res> Answered<Res> for Calls {
    type Response = Res;

    #[inline]
    fn answered(&self, response: Res, outcome: Outcome, call: Permit<Call>, now: &Now) -> Res {
        call.end(End::Settled(outcome, None), now);
        response
    }
}
