//! How far a response is watched.

use crate::limits::Until;

/// Takes a response over, and says how far it is watched.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot watch a `{Res}`",
    note = "`to_body_end(..)` and `through_body()` need an HTTP response"
)]
pub trait Watch<Res> {
    /// The response that goes on outwards.
    type Response;

    /// The watch over one call, whose body may last until then; if it is cut off it ends as gRPC's do if
    /// `grpc` is true.
    #[must_use]
    fn over(&self, body_end: Option<Until>, grpc: bool) -> Self;

    /// Takes the response over.
    fn watch(&self, response: Res) -> Self::Response;
}

/// The call is over when the head of the response has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToHead;

impl<Res> Watch<Res> for ToHead {
    type Response = Res;

    #[inline]
    fn over(&self, _: Option<Until>, _: bool) -> Self {
        Self
    }

    #[inline]
    fn watch(&self, response: Res) -> Res {
        response
    }
}
