//! What a layer is told of when a request counts.

use std::fmt;

use buttress_core::{Admission, AtHead, Now, Outcome, Permit, Settle, Ticket};

use crate::charge::{Charged, Judged};
use crate::layer::RateLimitLayer;
use crate::ticket::Spent;

/// Tells by the answer of the inner service whether a request counts.
///
/// A closure is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell by a `{Res}` whether a request counts",
    note = "use a closure whose argument is annotated: `|result: Result<&Response, &Error>| result.is_err()`",
    note = "for HTTP there is `charge_if_status(|status| ..)`"
)]
pub trait ChargeAnswer<Res, E> {
    /// Whether a request counts that was answered so.
    fn charges(&self, result: Result<&Res, &E>) -> bool;
}

impl<Res, E, F: Fn(Result<&Res, &E>) -> bool> ChargeAnswer<Res, E> for F {
    fn charges(&self, result: Result<&Res, &E>) -> bool {
        self(result)
    }
}

/// Settles as `C` does, and tells by the answer whether the request counts.
#[derive(Clone, Copy)]
pub struct ChargeBy<C, F> {
    pub(crate) settle: C,
    pub(crate) charge: F,
}

impl<Res, E, T, C, F> Settle<Res, E, T> for ChargeBy<C, F>
where
    T: Ticket,
    C: Settle<Res, E, Judged<T>>,
    F: ChargeAnswer<Res, E>,
{
    type Response = C::Response;

    #[inline]
    fn settle(
        &self,
        result: Result<Res, E>,
        permit: Permit<T>,
        now: &Now,
    ) -> Result<C::Response, E> {
        let permit = Judged::permit(permit, || self.charge.charges(result.as_ref()));
        self.settle.settle(result, permit, now)
    }
}

impl<C: fmt::Debug, F> fmt::Debug for ChargeBy<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeBy")
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

/// A way to settle that another may take the place of.
#[diagnostic::on_unimplemented(
    message = "this would forget what `charge_if_response` or `charge_if_status` said",
    note = "say `respond_http()` and its relatives first, and then when a request counts"
)]
pub trait Replaceable {}

impl<C> Replaceable for AtHead<C> {}

impl<Q, A, C, R> RateLimitLayer<Q, A, C, R>
where
    A: Admission<Ticket = Spent>,
{
    /// Counts only requests whose outcome says so: `|outcome| outcome == Outcome::Failure`.
    ///
    /// A request spends when it is admitted, so that requests at the same time are never more than the
    /// limit, and gets back what it spent when its outcome is known and does not count. While they run, such
    /// requests take room, and others may be refused for it. A request that was cancelled stays charged.
    ///
    /// How a call ended is told by the layer's way to settle: without more words a response is a success
    /// and an error a failure; with `respond_http()` the status says, as `buttress_http::ByStatus` reads it,
    /// for which a 401 and a 304 are successes: to tell them apart there are `charge_if_status` and
    /// [`charge_if_response`](Self::charge_if_response).
    ///
    /// Say it after [`wait`](RateLimitLayer::wait) and before [`observe`](RateLimitLayer::observe).
    #[must_use]
    pub fn charge_if<F>(self, charge: F) -> RateLimitLayer<Q, Charged<A, F>, C, R>
    where
        F: Fn(Outcome) -> bool + Clone,
    {
        RateLimitLayer {
            admission: Charged::new(self.admission, self.limiter.clone(), charge),
            limiter: self.limiter,
            ask: self.ask,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }

    /// As [`charge_if`](Self::charge_if), by the answer itself: a closure whose argument is annotated,
    /// `|result: Result<&Response, &Error>| ..`.
    ///
    /// A call that a timeout cut off has no answer and stays charged. Say it after `respond_http()` and its
    /// relatives.
    #[must_use]
    pub fn charge_if_response<Res, E, F>(
        self,
        charge: F,
    ) -> RateLimitLayer<Q, Charged<A>, ChargeBy<C, F>, R>
    where
        F: Fn(Result<&Res, &E>) -> bool + Clone,
    {
        self.charge_by(charge)
    }

    pub(crate) fn charge_by<F>(
        self,
        charge: F,
    ) -> RateLimitLayer<Q, Charged<A>, ChargeBy<C, F>, R> {
        RateLimitLayer {
            admission: Charged::new(self.admission, self.limiter.clone(), ()),
            limiter: self.limiter,
            ask: self.ask,
            settle: ChargeBy {
                settle: self.settle,
                charge,
            },
            on_reject: self.on_reject,
        }
    }
}
