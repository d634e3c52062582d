//! When a permit ends, and with what.

use crate::outcome::{ByResult, Classify};
use crate::permit::{End, Permit, Ticket};
use crate::time::Now;

/// Takes the inner service's answer and the permit together, and decides when the permit ends: at the
/// head ([`AtHead`]), or when the response's body ends, in which case the response carries it away.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot settle a response `{Res}`",
    note = "`AtHead` settles any response; settling at the end of a body needs an HTTP response"
)]
pub trait Settle<Res, E, T: Ticket> {
    /// The response that goes on outwards.
    type Response;

    /// Settles the permit, or hands it to the response.
    ///
    /// # Errors
    ///
    /// The inner service's error, unchanged.
    fn settle(
        &self,
        result: Result<Res, E>,
        permit: Permit<T>,
        now: &Now,
    ) -> Result<Self::Response, E>;
}

/// Ends the permit as soon as the inner service has answered.
#[derive(Clone, Copy, Debug)]
pub struct AtHead<C = ByResult>(
    /// Tells how the call ended.
    pub C,
);

// For one classifier only, so that `AtHead::default()` needs no annotation.
impl Default for AtHead {
    fn default() -> Self {
        Self(ByResult)
    }
}

impl<Res, E, T, C> Settle<Res, E, T> for AtHead<C>
where
    T: Ticket,
    C: Classify<Res, E>,
{
    type Response = Res;

    #[inline]
    fn settle(&self, result: Result<Res, E>, permit: Permit<T>, now: &Now) -> Result<Res, E> {
        let outcome = self.0.classify(result.as_ref());
        permit.end(End::Settled(outcome, None), now);
        result
    }
}
