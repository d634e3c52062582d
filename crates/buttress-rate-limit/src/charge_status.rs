//! Counting by the status of HTTP.

use buttress_core::Admission;
use buttress_http::HttpFields;
use http::{Response, StatusCode};

use crate::charge::Charged;
use crate::charge_if::{ChargeAnswer, ChargeBy, Replaceable};
use crate::layer::RateLimitLayer;
use crate::respond::Described;
use crate::ticket::Spent;

/// Tells by its status whether a request counts. One without a response counts.
#[derive(Clone, Copy, Debug)]
pub struct ByStatusCode<F>(F);

impl<B, E, F: Fn(StatusCode) -> bool> ChargeAnswer<Response<B>, E> for ByStatusCode<F> {
    #[inline]
    fn charges(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or(true, |response| (self.0)(response.status()))
    }
}

/// Settles as an HTTP layer does, and counts by status.
pub type ChargeByStatus<F> = ChargeBy<HttpFields<Described>, ByStatusCode<F>>;

impl<D> Replaceable for HttpFields<D> {}

impl<Q, A, R> RateLimitLayer<Q, A, HttpFields<Described>, R>
where
    A: Admission<Ticket = Spent>,
{
    /// Counts only requests whose response has a status that says so. What others have spent is given back
    /// when the status is known, before the fields about limits are written.
    ///
    /// To count only failed logins, and not the customers who come back:
    ///
    /// ```
    /// use buttress_http::ClientIp;
    /// use buttress_rate_limit::{Quota, RateLimitLayer};
    /// use http::StatusCode;
    ///
    /// let layer = RateLimitLayer::new(Quota::per_minute(5))
    ///     .by(ClientIp::peer())
    ///     .respond_http()
    ///     .charge_if_status(|status| status == StatusCode::UNAUTHORIZED);
    /// # let _ = layer;
    /// ```
    ///
    /// And for what costs nothing: `|status| status != StatusCode::NOT_MODIFIED`.
    ///
    /// A request spends when it is admitted, so that guesses sent all at once are never more than the limit;
    /// while they run, requests that will not count take room too. What has no status stays charged: an
    /// error, a timeout, a caller who left.
    #[must_use]
    pub fn charge_if_status<F>(
        self,
        charge: F,
    ) -> RateLimitLayer<Q, Charged<A>, ChargeByStatus<F>, R>
    where
        F: Fn(StatusCode) -> bool + Clone,
    {
        self.charge_by(ByStatusCode(charge))
    }
}
